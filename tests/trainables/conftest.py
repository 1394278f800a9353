from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.trainables.commands import as_before


@pytest.fixture(autouse=True, scope="package")
def no_waiting_for_the_disk() -> Iterator[None]:
    """These tests kill processes, not the machine, and would spend most of their time in `fsync`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    """Ray as a sweep starts it, with two cores."""
    import ray

    from trainables import engine

    with as_before():
        engine.start_ray({"cpus": 2, "resources": {"gpus": 0}}, dashboard=False)
        yield
        ray.shutdown()
