"""The embedded encoder: found without an import, checked before use, and missed with a remedy."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from distill.errors import UserError
from distill.models import embedded
from distill.models.folder import inspect


def _install(monkeypatch: pytest.MonkeyPatch, place: Path, name: str = "made_up_encoder_package") -> Path:
    """A package of the expected form that fails when imported."""
    folder = place / name / "model"
    folder.mkdir(parents=True)
    (place / name / "__init__.py").write_text("raise RuntimeError('the package was imported')")
    (folder / "model.safetensors").write_bytes(b"weights")
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.setattr(embedded, "PACKAGE", name)
    return folder


def test_found_without_importing_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = _install(monkeypatch, tmp_path)
    monkeypatch.setattr(embedded, "SHA256", embedded.hash_file(folder / "model.safetensors"))
    assert embedded.folder() == folder
    assert embedded.PACKAGE not in sys.modules


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = _install(monkeypatch, tmp_path)
    with pytest.raises(UserError, match=r"sha256.*reinstall") as refused:
        embedded.folder()
    assert str(folder) in str(refused.value)


@pytest.mark.parametrize("half", [False, True], ids=["absent", "without weights"])
def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, half: bool) -> None:
    monkeypatch.setattr(embedded, "PACKAGE", "no_such_encoder_package")
    if half:
        (_install(monkeypatch, tmp_path) / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r'pip install -e "\.\[demo\]".*--teacher'):
        embedded.folder()


@pytest.mark.skipif(importlib.util.find_spec(embedded.PACKAGE) is None, reason="the demo extra is not installed")
def test_the_real_package() -> None:
    found = inspect(embedded.folder(), "--teacher")
    assert (found.model_type, found.layers, found.hidden_size, found.heads) == ("bert", 6, 384, 12)


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from distill.models import embedded, folder, layers\n"
        "assert not {'torch', 'transformers', 'ray'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
