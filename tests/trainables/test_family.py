"""Several sizes in one command: planned together, written whole or not at all, reopened after any kill."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from socket import gethostname
from typing import Any

import pytest

from distill.errors import UserError
from tests.trainables.test_bad_input import snapshot
from trainables import children, family, plan, sweep
from trainables.config import SweepConfig, from_namespace
from trainables.families import FAMILY, read_family
from trainables.lock import FolderLock
from trainables.options import parser
from trainables.record import RUNNING, SWEEP, read

Ask = Callable[..., SweepConfig]


@pytest.fixture
def ask(tiny_encoder: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """The configuration of a command on the tiny models."""
    monkeypatch.setenv("DISTILL_TUNE_ARTIFACTS", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)

    def asked(*arguments: str) -> SweepConfig:
        typed = ["--teacher", str(tiny_encoder), "--data-dir", str(tiny_data), "--trials", "3", *arguments]
        return from_namespace(vars(parser().parse_args(typed)), typed)

    return asked


def without_time(header: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in header.items() if name != "created"}


def test_every_child_is_what_its_own_command_would_plan(ask: Ask, tmp_path: Path) -> None:
    out = tmp_path / "out"
    planned = family.plan_family(ask("--layers", "2,3,1", "--seed", "4", "--out", str(out)))
    assert list(planned.headers) == ["2L", "3L", "1L"]
    for layers in (2, 3, 1):
        alone = plan.make(ask("--seed", "4", "--layers", str(layers), "--out", str(out / f"{layers}L")))
        told = planned.headers[f"{layers}L"]
        # The same words in another order: what a child changes stands last.
        assert sorted(told.pop("command")) == sorted(alone.pop("command"))
        assert without_time(told) == without_time(alone)


def test_rows_and_encoder_are_read_once(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainables import models

    reads: list[str] = []
    for name in ("_data", "_teacher"):
        kept = getattr(models, name)

        def counted(*args: Any, kept: Callable[..., Any] = kept, name: str = name) -> Any:
            reads.append(name)
            return kept(*args)

        monkeypatch.setattr(models, name, counted)
    family.plan_family(ask("--layers", "1,2,3,4"))
    assert sorted(reads) == ["_data", "_teacher"]


def test_the_parent_is_written_and_read_back(ask: Ask) -> None:
    config = ask("--layers", "1,2", "--set", "batch_size=8")
    planned = family.plan_family(config)
    assert planned.parent.parent == Path.cwd() / "sweeps"
    assert planned.parent.name.startswith("emd-cola-1-2L-")
    with family.created(planned) as recorders:
        assert [recorder.path.name for recorder in recorders] == ["1L", "2L"]
    found = read_family(planned.parent)
    assert found.content == json.loads((planned.parent / FAMILY).read_text())
    assert found.names == ["1L", "2L"]
    assert found.content["command"] == list(config.command)
    assert family.config_of(found) == config
    assert {name: record.plan["layers"] for name, record in found.records().items()} == {"1L": 1, "2L": 2}
    for name, header in planned.headers.items():
        assert json.loads((planned.parent / name / SWEEP).read_text()) == json.loads(json.dumps(header))


def test_the_plan_is_told_once_and_what_differs_per_size(ask: Ask) -> None:
    planned = family.plan_family(ask("--layers", "4,1,2"))
    lines = family.describe(planned)
    assert lines[0] == "Sweeps: BERT-EMD on cola, 4, 1 and 2 layers, recipe modern, each in a folder of its own."
    for once in ("Teacher:", "Data:", "Early stopping:", "Resources:"):
        assert sum(line.strip().startswith(once) for line in lines) == 1
    own = {name: lines[lines.index(f"{name}:") + 1 :] for name in ("4L", "1L", "2L")}
    assert all(next(line for line in rest if "Student:" in line).count(f"{n[0]} layers") for n, rest in own.items())
    plans = [header["plan"] for header in planned.headers.values()]
    assert f"Together: 3 sweeps, {sum(len(p['points']) for p in plans)} trials" in lines[-1]
    # The published row of four layers is a point of that size alone.
    assert any("[published]" in line for line in own["4L"][: own["4L"].index("1L:")])
    assert not any("[published]" in line for line in [*lines[: lines.index("4L:")], *own["1L"]])


def test_time_and_disk_of_all_count_the_teacher_once(ask: Ask) -> None:
    headers = family.plan_family(ask("--layers", "1,2,4")).headers
    estimates = [header["plan"]["estimate"] for header in headers.values()]
    teacher = estimates[0]["teacher_seconds"]
    assert teacher > 0
    assert {one["teacher_seconds"] for one in estimates} == {teacher}
    total = family._total([header["plan"] for header in headers.values()])
    assert total["seconds"] == pytest.approx(teacher + sum(one["seconds"] - teacher for one in estimates))
    assert total["disk_bytes"] == sum(one["disk_bytes"] for one in estimates)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--layers 2,9", ("--layers 9", "4 layers", "1 to 4")),
        ("--layers 0,2", ("--layers 0,2", "least is 1")),
        ("--layers 2,x", ("--layers 2,x", "2,3,4,6")),
        ("--layers 1,2 --student-layers 1,2", ("--layers 1,2", "--student-layers", "leave one out")),
        ("--layers 1,2 --student bert", ("--layers 1,2", "--student", "leave one out")),
        ("--layers 1,2 --out full", ("--out", "full", "not an empty folder")),
        ("--layers 1,2 --out parent", ("holds other sweeps", "--resume", "parent")),
        ("--layers 2,4 --recipe published", ("--layers 2", "published")),
    ],
)
def test_one_bad_size_refuses_all_and_leaves_nothing(
    ask: Ask, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: str, said: tuple[str, ...]
) -> None:
    for name, file in (("full", "x"), ("parent", FAMILY)):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text("{}")
    before = snapshot(tmp_path)
    typed = ask().command[:-2]
    assert sweep.main([*typed, *arguments.split()]) == 2
    text = capsys.readouterr().err
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    assert all(word in text for word in said), text
    assert snapshot(tmp_path) == before


def test_a_dry_run_writes_nothing(ask: Ask, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(tmp_path)
    assert sweep.main([*ask().command, "--layers", "1,2", "--dry-run"]) == 0
    assert "Together: 2 sweeps" in capsys.readouterr().out
    assert snapshot(tmp_path) == before


def refuse_inside(planned: family.Planned, *started: int) -> None:
    """Start the children, and a trial of some, and refuse to go on."""
    with family.created(planned) as recorders:
        for recorder in recorders:
            recorder.session([])
        for number in started:
            recorders[number].started("p00", attempt=1)
        raise UserError("The teacher cannot teach.")


def test_what_is_refused_before_the_first_trial_leaves_nothing(ask: Ask, tmp_path: Path) -> None:
    planned = family.plan_family(ask("--layers", "1,2", "--out", str(tmp_path / "out")))
    with pytest.raises(UserError, match="cannot teach"):
        refuse_inside(planned)
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="cannot teach"):
        refuse_inside(planned)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_child_that_cannot_be_written_takes_the_others_with_it(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainables.recorder import Recorder

    create = Recorder.create

    def full(path: Path, header: dict[str, Any]) -> Recorder:
        if path.name == "2L":
            raise UserError("No space is left.")
        return create(path, header)

    monkeypatch.setattr(Recorder, "create", full)
    planned = family.plan_family(ask("--layers", "1,2"))
    with pytest.raises(UserError, match="No space"), family.created(planned):
        raise AssertionError("nothing is to run")
    assert not planned.parent.exists()


def test_a_folder_that_cannot_be_written_is_named(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainables import recorder

    def full(file: Path, content: dict[str, Any]) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recorder, "write_json", full)
    planned = family.plan_family(ask("--layers", "1,2"))
    said = f"--out {planned.parent} cannot be written: No space left on device"
    with pytest.raises(UserError, match=said), family.created(planned):
        raise AssertionError("nothing is to run")
    assert not planned.parent.exists()


def test_a_fault_of_the_disk_while_trials_run_is_not_blamed_on_the_folder(ask: Ask) -> None:
    planned = family.plan_family(ask("--layers", "1,2"))
    with pytest.raises(OSError, match="later"), family.created(planned):
        raise OSError(28, "later")
    assert (planned.parent / "1L" / SWEEP).exists()


def test_a_refusal_once_a_trial_ran_keeps_everything(ask: Ask) -> None:
    planned = family.plan_family(ask("--layers", "1,2"))
    with pytest.raises(UserError, match="cannot teach"):
        refuse_inside(planned, 1)
    assert read(planned.parent / "2L").trials["p00"].state == RUNNING


@pytest.mark.parametrize("rest", ["nothing", "an empty child", "no child at all"])
def test_a_kill_while_the_children_were_written_is_mended(ask: Ask, rest: str) -> None:
    config = ask("--layers", "1,2,3")
    planned = family.plan_family(config)
    with family.created(planned):
        pass
    for name in planned.headers if rest == "no child at all" else ["2L"]:
        shutil.rmtree(planned.parent / name)
    if rest == "an empty child":
        (planned.parent / "2L" / "trials").mkdir(parents=True)
    with family.reopened(planned.parent, False) as (recorders, data):
        assert [recorder.path.name for recorder in recorders] == ["1L", "2L", "3L"]
        assert len(data.train) == planned.headers["1L"]["plan"]["data"]["train_rows"]
        for recorder in recorders:
            made = {**without_time(recorder.record.header)}
            meant = {**without_time(planned.headers[recorder.path.name])}
            # The parent's name was chosen in between; a child is told it then.
            for header in (made, meant):
                header["config"] = {n: v for n, v in header["config"].items() if n != "out"}
                header.pop("command")
            assert json.loads(json.dumps(made)) == json.loads(json.dumps(meant))


def test_a_child_that_lost_its_plan_but_not_its_rows_is_left_alone(ask: Ask) -> None:
    planned = family.plan_family(ask("--layers", "1,2"))
    with family.created(planned) as recorders:
        recorders[0].session([])
    (planned.parent / "1L" / SWEEP).unlink()
    with pytest.raises(UserError, match="1L holds no sweep"), family.reopened(planned.parent, False):
        raise AssertionError("nothing is to run")
    assert (planned.parent / "1L" / "rows.jsonl").exists()


@pytest.mark.parametrize("held", ["2L", ""])
def test_who_else_writes_a_child_or_the_parent_is_named(ask: Ask, held: str) -> None:
    planned = family.plan_family(ask("--layers", "1,2"))
    with family.created(planned):
        pass
    other = FolderLock(planned.parent / held)
    other.acquire()
    said = rf"{planned.parent / held} is being written by another sweep \(process {os.getpid()} on {gethostname()}\);"
    with pytest.raises(UserError, match=said), family.reopened(planned.parent, False):
        raise AssertionError("nothing is to run")
    other.release()
    # The refusal let go of all of them.
    with family.reopened(planned.parent, False) as (recorders, _):
        assert len(recorders) == 2


def test_resume_takes_no_further_sizes(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    planned = family.plan_family(ask("--layers", "1,2"))
    with family.created(planned):
        pass
    assert sweep.main(["--resume", str(planned.parent), "--layers", "1,2,3"]) == 2
    assert "--layers cannot change it" in capsys.readouterr().err


def test_the_command_of_a_child_asks_for_it_alone() -> None:
    typed = ("--layers", "2,3", "--task", "rte", "--out=x", "--no-baseline")
    asked = SweepConfig(sizes=(2, 3))
    made = children.command_of(typed, SweepConfig(layers=2, out="x/2L"), asked, ["layers", "out"])
    assert made == ("--task", "rte", "--no-baseline", "--layers", "2", "--out", "x/2L")
    assert children.command_of(typed, SweepConfig(layers=3), asked, ["layers"])[-2:] == ("--layers", "3")
