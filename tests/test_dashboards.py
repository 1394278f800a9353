"""docs/dashboards.md: the study loads as the page says, and looking changes nothing."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import optuna
import pytest

from tests import fake_sweep
from trainables import record

PAGE = Path(__file__).resolve().parents[1] / "docs" / "dashboards.md"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_sweep.build(tmp_path_factory.mktemp("sweep") / "s", journal=True)


def contents(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


def run_page(folder: Path, place: Path) -> dict[str, Any]:
    """Run the page's Python on a folder; what it leaves in its names."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    code = code.replace("DIR/", f"{folder}/").replace('"curves.html"', repr(str(place / "curves.html")))
    names: dict[str, Any] = {}
    exec(code, names)
    return names


def test_the_page_reads_a_sweep(sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(sweep)
    names = run_page(sweep, tmp_path)
    assert contents(sweep) == before, "neither the journal nor a lock beside it is written"
    read = record.read(sweep)
    best = max((t for t in read.trials.values() if t.score is not None), key=lambda t: t.score or 0.0)
    assert capsys.readouterr().out.startswith(f"{best.id} {best.score}")
    assert [t.user_attrs["id"] for t in names["study"].trials] == list(read.trials)
    assert {t.user_attrs["id"]: t.state.name for t in names["study"].trials} == {
        t.id: t.state for t in read.trials.values()
    }
    assert (tmp_path / "curves.html").stat().st_size > 1000


def test_a_copy_taken_in_mid_line(sweep: Path, tmp_path: Path) -> None:
    """A copy of a running sweep's journal may end anywhere."""
    whole = (sweep / record.JOURNAL).read_bytes()
    end = whole.rindex(b"\n", 0, len(whole) - 1)
    for cut in (end + 2, end + 30, len(whole) - 1):
        (tmp_path / record.JOURNAL).write_bytes(whole[:cut])
        study = run_page(tmp_path, tmp_path)["study"]
        # The fake writes a whole trial in a line: the torn one is left out, the others are there.
        assert len(study.trials) == len(record.read(sweep).trials) - 1
        assert study.trials[0].state == optuna.trial.TrialState.COMPLETE


def test_the_page_names_what_a_sweep_prints() -> None:
    from trainables.engine import worker_name

    page = PAGE.read_text(encoding="utf-8")
    assert f"`{worker_name([{'method': 'emd', 'task': 'cola', 'layers': 4}])}`" in page
    assert record.JOURNAL in page
