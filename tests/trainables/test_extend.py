"""A sweep that gets further points goes on with them alone, whatever was killed when."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis import verify as verification
from analysis.verify import verify
from distill.errors import UserError
from tests.trainables.commands import NO_DASHBOARD, command, evaluations, here, on_ray
from tests.trainables.sweeps import create, run_to_end, value
from tests.trainables.test_engine import CPUS, proven, run, starts, values
from trainables import extend, sweep
from trainables.record import COMPLETE, FINISHED, JOURNAL, ROWS, WAITING, read
from trainables.recorder import Recorder


def further(sweep: Recorder, *ids: str) -> list[dict[str, Any]]:
    """Points that differ from the sweep's first in seed alone."""
    base = sweep.record.plan["points"][0]
    return [{**base, "id": id, "seed": n, "number": 90 + n, "hash": f"h{n}"} for n, id in enumerate(ids, 1)]


def faults(folder: Path) -> list[str]:
    return [fault for check in verify(folder) for fault in check.faults]


def test_a_row_adds_points_and_the_study_has_them(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", points=3, epochs=4)
    for point in list(sweep.record.trials):
        run_to_end(sweep, point)
    assert sweep.rule is not None
    rungs = {rung: dict(seen) for rung, seen in sweep.rule.recorded.items()}
    sweep.extend(further(sweep, "p00-s1", "p00-s2"), ["--seeds", "1,2"])
    assert [t.id for t in sweep.record.unfinished()] == ["p00-s1", "p00-s2"]
    assert faults(sweep.path) == []
    run_to_end(sweep, "p00-s1")
    assert "p00-s1" in sweep.rule.recorded[1.0]
    sweep.close()
    again = Recorder(sweep.path)
    assert again.rule == sweep.rule
    assert {rung: dict(list(seen.items())[: len(rungs[rung])]) for rung, seen in again.rule.recorded.items()} == rungs  # type: ignore[union-attr]
    assert again.record.trials["p00-s1"].state in FINISHED
    assert again.record.trials["p00-s2"].state == WAITING
    again.close()
    assert faults(sweep.path) == []


def test_students_of_further_points_are_ranked_with_the_others(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", points=2, epochs=1, scheduler="none", baseline=False, keep=1)
    sweep.extend(further(sweep, "p00-s1"), [])
    for trial in sweep.record.trials.values():
        (trial.folder / "student").mkdir(parents=True)
        run_to_end(sweep, trial.id)
    best = max(sweep.record.trials, key=lambda point: value(point, 1))
    assert [t.id for t in sweep.record.trials.values() if (t.folder / "student").exists()] == [best]


def test_a_kill_between_the_row_and_the_study_is_mended(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", points=2, epochs=2)
    run_to_end(sweep, "p00")
    journal = (sweep.path / JOURNAL).read_bytes()
    sweep.extend(further(sweep, "p00-s1"), [])
    sweep.close()
    (sweep.path / JOURNAL).write_bytes(journal)
    again = Recorder(sweep.path)
    run_to_end(again, "p00-s1")
    again.close()
    assert faults(sweep.path) == []


def test_a_torn_row_adds_nothing(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", points=2, epochs=2)
    sweep.extend(further(sweep, "p00-s1"), [])
    sweep.close()
    content = (sweep.path / ROWS).read_bytes()
    (sweep.path / ROWS).write_bytes(content[:-1])
    assert list(read(sweep.path).trials) == ["p00", "ft", "p01"]
    (sweep.path / JOURNAL).unlink()
    again = Recorder(sweep.path)
    again.extend(further(again, "p00-s1"), [])
    again.close()
    assert faults(sweep.path) == []


def test_a_point_is_added_once(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", points=2)
    points = further(sweep, "p00-s1")
    sweep.extend(points, [])
    with pytest.raises(UserError, match="p00-s1 already"):
        sweep.extend(points, [])
    row = json.loads((sweep.path / ROWS).read_text().splitlines()[-1])
    with (sweep.path / ROWS).open("a") as stream:
        stream.write(json.dumps({**row, "seq": row["seq"] + 1}) + "\n")
    with pytest.raises(UserError, match="adds point p00-s1, which is there already"):
        read(sweep.path)


def test_ray_runs_the_further_points_alone(ray: None, tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", points=3, epochs=3, scheduler="none", concurrent=CPUS)
    run(sweep)
    old = list(sweep.record.trials)
    sweep.close()
    # Added by one process, and run by another one.
    adding = Recorder(sweep.path)
    adding.extend(further(adding, "p00-s1", "p00-s2", "p00-s3"), ["--seeds", "1,2,3"])
    adding.close()
    again = Recorder(sweep.path)
    run(again, **{"p00-s2": ("die once", 2)})
    trials = read(again.path).trials
    assert {t.state for t in trials.values()} == {COMPLETE}
    assert [starts(again, point) for point in old] == [[1]] * 4
    assert values(again, "p00-s2") == {n: value("p00-s2", n) for n in (1, 2, 3)}
    proven(again)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Nothing to add was named; give --trials, --set or --seeds."),
        (["--points", "p00", "--trials", "3"], "--points says which points get further seeds; give --seeds too."),
        (["--seeds", "1"], "holds no sweep"),
    ],
)
def test_bad_input(tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert extend.main([str(tmp_path), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


@pytest.mark.slow
def test_the_real_command(ray: None, tiny_encoder: Path, tiny_data: Path, tmp_path: Path) -> None:
    """A finished sweep, more points killed in the middle, resumed; one dry run; one refusal."""
    folder, store = tmp_path / "sweep", tmp_path / "store"
    given = ["--layers", "2", "--teacher", str(tiny_encoder), "--data-dir", str(tiny_data), "--artifacts", str(store)]
    given += ["--teacher-lr", "1e-3", "--teacher-epochs", "3", "--allow-weak-teacher", "--set", "lr=1e-3,3e-4"]
    given += ["--set", "batch_size=8", "--epochs", "2", "--scheduler", "none"]
    # One worker: starting another takes longer than all of its work.
    given += ["--max-concurrent", "1", *NO_DASHBOARD]
    first = on_ray(sweep.main, *given, "--trials", "2", "--out", str(folder))
    assert first.code == 0, first.text
    rows = (folder / ROWS).read_bytes()

    dry = here(extend.main, str(folder), "--trials", "3", "--seeds", "1", "--dry-run")
    assert dry.code == 0, dry.text
    assert [line.split()[0] for line in dry.lines[1:-1]] == ["p03", "p00-s1", "ft-s1", "p02-s1", "p03-s1"]
    assert (folder / ROWS).read_bytes() == rows

    cut = command("trainables.extend", str(folder), "--trials", "3", "--seeds", "1", when=evaluations(3))
    assert cut.code < 0, cut.text
    assert len(read(folder).trials) == 8
    done = on_ray(sweep.main, "--resume", str(folder))
    assert done.code == 0, done.text
    record = read(folder)
    assert {t.state for t in record.trials.values()} == {COMPLETE}
    assert (folder / ROWS).read_bytes().startswith(rows)
    finished = {"p00", "ft", "p02"}
    assert (
        finished & {json.loads(line).get("point") for line in (folder / ROWS).read_bytes()[len(rows) :].splitlines()}
        == set()
    )
    terms = {point: [row["terms"] for row in t.evaluations.values()] for point, t in record.trials.items()}
    assert terms["p00-s1"] != terms["p00"]
    assert here(verification.main, str(folder)).code == 0

    again = here(extend.main, str(folder), "--seeds", "1")
    assert (again.code, len(again.lines)) == (2, 1)
    assert "Nothing is new" in again.text

    # The same points in one sweep give the same values.
    whole = on_ray(sweep.main, *given, "--trials", "3", "--out", str(tmp_path / "whole"))
    assert whole.code == 0, whole.text
    other = read(tmp_path / "whole").trials
    assert {p: [row["terms"] for row in t.evaluations.values()] for p, t in other.items()} == {
        p: terms[p] for p in other
    }
