"""What the tests of `distill` share: one thread, and a tiny encoder with tokenised rows on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from distill.artifacts import Store
from distill.tasks import tokens as tokenised
from tests.distill import tiny
from tests.hub_server import Hub, running, use


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random four-layer BERT of width 16 and its tokenizer."""
    return tiny.encoder_folder(tmp_path_factory.mktemp("encoder"), layers=4)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "artifacts")


@pytest.fixture
def cola_tokens(store: Store, encoder: Path) -> Path:
    """Artifact of tokenised rows of a learnable two-class task."""
    return tokenised.prepare(store, tiny.data("cola", train=96, dev=48), encoder, max_length=32)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with running() as served:
        use(served, tmp_path / "home", monkeypatch)
        yield served


@pytest.fixture
def offline(hub: Hub, tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Sets `HF_HUB_OFFLINE`."""
    with pytest.MonkeyPatch.context() as patch:
        yield lambda: use(hub, tmp_path / "home", patch, offline=True)
