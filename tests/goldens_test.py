"""Every golden file in a folder is put through the checker of its prefix.

`GOLDENS_DIR` names the folder (default: tests/goldens). A file `emd_m4n12_f64.npz` goes to
`tests/golden_checkers/emd.py`; a file that no checker takes fails, and so does one whose arrays a checker did
not use up.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from pathlib import Path

import pytest

from tests.golden_checkers._arrays import Arrays

FOLDER = Path(os.environ.get("GOLDENS_DIR") or Path(__file__).parent / "goldens")
FILES = sorted(FOLDER.glob("*.npz"))


def test_the_folder_holds_goldens() -> None:
    assert FILES, f"no .npz file in {FOLDER}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_golden(path: Path) -> None:
    check_file(path)


def check_file(path: Path) -> None:
    prefix = path.stem.split("_")[0]
    module = f"tests.golden_checkers.{prefix}"
    if importlib.util.find_spec(module) is None:
        pytest.fail(f"no checker takes {path.name}: there is no {module}")
    arrays = Arrays.load(path)
    importlib.import_module(module).check(path.stem, arrays)
    arrays.finish()


def test_a_file_without_a_checker_fails(tmp_path: Path) -> None:
    (tmp_path / "nobody_f64.npz").write_bytes(b"")
    with pytest.raises(pytest.fail.Exception, match="no checker takes nobody_f64"):
        check_file(tmp_path / "nobody_f64.npz")
