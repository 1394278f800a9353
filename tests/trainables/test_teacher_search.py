"""The teacher's own search: candidates are teachers of the store, packed, never trained twice."""

from __future__ import annotations

import itertools
import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from distill.artifacts import Store
from distill.errors import UserError
from distill.teacher import finetune
from distill.training.loop import Diverged
from tests.trainables.commands import command, here, on_ray
from trainables import engine, plan, prepare, resources, teacher, teacher_search
from trainables.config import from_namespace
from trainables.options import parser
from trainables.teacher_search import Candidate, Outcome, ranked
from trainables.teacher_work import TeacherOrder, find

GRID = ("--set", "lr=1e-3,3e-3", "--set", "epochs=1,2")


class Here:
    """Stands in for a Ray task: the work is done in this process when it is waited for."""

    started: ClassVar[list[TeacherOrder]] = []
    most = 0

    def __init__(self, order: TeacherOrder, cpus: float, gpus: float) -> None:
        self.order = order
        self.told: list[str] = []
        self.outcome: Path | UserError | None = None
        Here.started.append(order)

    def work(self) -> None:
        try:
            self.outcome = self.order.carry_out(self.told.append)
        except UserError as error:
            self.outcome = error

    def lines(self) -> list[str]:
        told, self.told = self.told, []
        return told

    def result(self) -> Path:
        if isinstance(self.outcome, UserError):
            raise self.outcome
        assert self.outcome is not None
        return self.outcome

    def close(self) -> None:
        """Nothing to let go of."""


def first(works: Sequence[Here], seconds: float) -> list[Here]:
    """The first of several is finished."""
    Here.most = max(Here.most, len(works))
    works[0].work()
    return [works[0]]


@pytest.fixture
def arguments(tiny_encoder: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command's options; candidates run in this process, on a machine of 2 cores."""
    monkeypatch.setattr(Here, "started", [])
    monkeypatch.setattr(Here, "most", 0)
    monkeypatch.setattr(engine, "start_ray", lambda plan, dashboard: None)
    monkeypatch.setattr(teacher_search, "Remote", Here)
    monkeypatch.setattr(teacher_search, "wait", first)
    monkeypatch.setattr(resources, "detect", lambda: resources.Machine(cpus=2, gpus=0, bfloat16=False))
    return [
        *("--teacher", str(tiny_encoder), "--data-dir", str(tiny_data), "--artifacts", str(tmp_path / "store")),
        *("--search", "--allow-weak-teacher"),
    ]


def rows_of(said: str) -> list[list[str]]:
    """The cells of the printed table, without its head."""
    lines = said.splitlines()
    start = next(i for i, line in enumerate(lines) if line.split()[:2] == ["lr", "epochs"]) + 1
    return [line.split() for line in lines[start : start + 4]]


def test_the_usual_grid(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Half, once and twice the default rate; 2, 3 and 4 epochs. Nothing is begun."""
    assert teacher.main([*arguments, "--dry-run"]) == 0
    said = capsys.readouterr().out
    for rate in ("2.5e-05", "5e-05", "0.0001"):
        for epochs in (2, 3, 4):
            assert f"  lr {rate}, {epochs} epochs\n" in said
    assert "Candidates: 9, of which the store has 0." in said
    assert "2 at once, 1 CPU and 1 thread(s) each" in said
    assert not (tmp_path / "store").exists()
    assert teacher.main([*arguments, "--dry-run", "--teacher-lr", "1e-3", "--teacher-epochs", "1"]) == 0
    assert "Candidates: 1," in capsys.readouterr().out


def test_the_best_is_told_and_found_by_sweeps(
    arguments: list[str], tiny_encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [*arguments, *GRID, "--set", "batch_size=16", "--max-concurrent", "1"]
    assert teacher.main(options) == 0
    said = capsys.readouterr().out
    assert Here.most == 1
    assert [order.training["epochs"] for order in Here.started] == [2, 2, 1, 1]
    assert {order.numerics["threads"] for order in Here.started} == {1}
    assert "lr 0.003, 2 epochs: epoch 1 of 2, mcc" in said
    assert "optimistic" in said

    store = Store(tmp_path / "store")
    facts = {
        (seal["inputs"]["lr"], seal["inputs"]["training"]["epochs"]): seal["facts"]
        for seal in (json.loads(file.read_text()) for file in store.place.glob("teacher-*/artifact.json"))
    }
    assert len(facts) == 4
    told = {(float(cells[0]), int(cells[1])): cells for cells in rows_of(said)}
    assert {key: f"{value['score']:.3f}" for key, value in facts.items()} == {k: v[2] for k, v in told.items()}
    values = [float(cells[2]) for cells in rows_of(said)]
    assert values == sorted(values, reverse=True)
    assert ["best" in cells for cells in rows_of(said)] == [True, False, False, False]

    flags = said.splitlines()[-1].split()
    assert "batch_size=16" in flags
    planned = plan.make(from_namespace(vars(parser().parse_args([*arguments[:6], "--layers", "2", *flags])), []))
    data = prepare.load_data(planned["config"], planned["plan"])
    found = find(prepare.teacher_order(planned["plan"], data))
    assert found is not None
    assert f"Folder: {found / 'model'}" in said
    assert store.facts(found)["score"] == max(value["score"] for value in facts.values())
    # A sweep whose own rows are shorter finds it as well.
    shorter = [*arguments[:6], "--layers", "2", "--set", "max_length=32", *flags]
    planned = plan.make(from_namespace(vars(parser().parse_args(shorter)), []))
    assert planned["plan"]["training"]["max_length"] == 32
    assert find(prepare.teacher_order(planned["plan"], data)) == found

    Here.started.clear()
    assert teacher.main(options) == 0
    assert not Here.started
    again = capsys.readouterr().out
    assert "of which the store has 4" in again
    assert rows_of(again) == rows_of(said)


def test_a_diverged_candidate_is_a_row(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = finetune.finetune

    def brittle(*given: Any) -> Path:
        if given[4].lr > 2e-3:
            raise Diverged("not finite in epoch 1: total")
        return real(*given)

    monkeypatch.setattr(finetune, "finetune", brittle)
    assert teacher.main([*arguments, *GRID]) == 0
    said = capsys.readouterr().out
    assert "lr 0.003, 1 epoch: diverged." in said
    assert rows_of(said)[2:] == [["0.003", "1", "diverged"], ["0.003", "2", "diverged"]]
    assert "--teacher-lr 0.001" in said

    assert teacher.main([*arguments, "--set", "lr=3e-3,4e-3", "--set", "epochs=1"]) == 2
    error = capsys.readouterr().err
    assert "Every candidate diverged" in error
    assert error.count("\n") == 1


def test_a_candidate_that_fails_is_a_row(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = Here.work

    def work(self: Here) -> None:
        if self.order.lr > 2e-3:
            self.outcome = UserError("The teacher could not be made: no memory.")
        else:
            real(self)

    monkeypatch.setattr(Here, "work", work)
    assert teacher.main([*arguments, *GRID]) == 0
    assert "failed: The teacher could not be made: no memory" in capsys.readouterr().out
    assert teacher.main([*arguments, "--set", "lr=3e-3", "--set", "epochs=1"]) == 2
    assert "No candidate was made" in capsys.readouterr().err


def test_interrupted_and_continued(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C after the second candidate; the same command then trains the other two."""
    before = signal.getsignal(signal.SIGTERM)

    def interrupted(works: Sequence[Here], seconds: float) -> list[Here]:
        if len(Here.started) > 3:
            raise KeyboardInterrupt
        return first(works, seconds)

    monkeypatch.setattr(teacher_search, "wait", interrupted)
    assert teacher.main([*arguments, *GRID]) == 130
    assert "Stopped: 2 of 4 candidates are in the store" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGTERM) is before

    monkeypatch.setattr(teacher_search, "wait", first)
    Here.started.clear()
    assert teacher.main([*arguments, *GRID]) == 0
    assert len(Here.started) == 2
    assert Here.most == 2


def test_the_best_that_cannot_teach(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    options = [argument for argument in arguments if argument != "--allow-weak-teacher"]
    assert teacher.main([*options, "--set", "lr=1e-8", "--set", "epochs=1"]) == 2
    said = capsys.readouterr()
    assert "cannot teach" in said.out
    assert "interval" in said.err


def test_ties_go_to_fewer_epochs_whatever_ended_first() -> None:
    def outcome(lr: float, epochs: int, score: float | None) -> Outcome:
        facts = None if score is None else {"score": score}
        return Outcome(Candidate(lr, epochs, {}, None, ("", "")), None, facts, "diverged")  # type: ignore[arg-type]

    made = [outcome(1e-3, 3, 0.5), outcome(3e-3, 2, 0.5), outcome(1e-3, 2, 0.5), outcome(1e-3, 1, 0.4),
            outcome(1e-4, 1, None)]  # fmt: skip
    expected = [made[2], made[1], made[0], made[3], made[4]]
    for order in itertools.permutations(made):
        assert ranked(order) == expected


@pytest.mark.slow
def test_killed_and_continued(ray: None, tiny_encoder: Path, tiny_data: Path, tmp_path: Path) -> None:
    """The real command: kill -9 after the first candidate, Ctrl-C in the middle, then to the end."""
    options = [
        *("--teacher", str(tiny_encoder), "--data-dir", str(tiny_data), "--artifacts", str(tmp_path / "store")),
        *("--allow-weak-teacher", "--search", "--set", "batch_size=4", "--set", "lr=1e-3,3e-3,1e-2"),
        *("--set", "epochs=4,5"),
    ]

    def after(words: str, count: int) -> Any:
        return lambda lines: sum(words in line for line in lines) >= count

    def known(text: str) -> int:
        return int(text.partition("of which the store has ")[2].partition(".")[0])

    first = command("trainables.teacher", *options, when=after(": done", 1))
    assert first.code == -signal.SIGKILL
    assert known(first.text) == 0
    second = command("trainables.teacher", *options, when=after(": epoch ", 4), send=signal.SIGINT, group=False)
    assert second.code == 130, second.text
    assert known(second.text) >= 1
    assert "Stopped: " in second.text
    third = on_ray(teacher.main, *options)
    assert third.code == 0, third.text
    assert known(second.text) <= known(third.text) < 6
    assert third.text.count(": started.") == 6 - known(third.text)
    fourth = here(teacher.main, *options)
    assert known(fourth.text) == 6
    assert "started" not in fourth.text
    # The table and all that follows it.
    assert fourth.lines[-12:] == third.lines[-12:]
