"""One point of a sweep, trained in a worker process. Knows its folder and its point, nothing of the others."""

from __future__ import annotations

import errno
import json
import shutil
import traceback
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill import given, methods
from distill.models.folder import Head
from distill.models.outputs import save_classifier
from distill.models.student import load_classifier
from distill.tasks.base import Task
from distill.tasks.planned import task_of
from distill.teacher.cached import CachedTeacher, DamagedOutputs
from distill.teacher.source import OnlineTeacher, TeacherSource
from distill.training import checkpoint
from distill.training.assemble import assemble
from distill.training.batching import Tokens
from distill.training.loop import Diverged, Evaluation, Run
from distill.training.settings import Numerics, Training
from trainables import beside, further, last_look, memory, stage_rows, stages
from trainables.lock import FolderLock
from trainables.node_store import localised
from trainables.record import DIVERGED, OUT_OF_MEMORY, TRIALS, read
from trainables.storage import StorageFailure
from trainables.teacher_source import source_of

# Reported in place of a value that does not exist, so that every report has the metric.
WORST = -1e30
_STAGING = ".student"
# Seconds a worker waits for another one that still writes its trial; workers without a driver end within seconds.
_PATIENCE = 60.0


def trial(config: dict[str, Any]) -> None:
    """The function Ray Tune runs: train the point, report once per evaluation.

    Args:
        config: `sweep` (the folder), `point` (its id), `recorded` (evaluations the driver already has), `resources`
            (what Ray set aside), `micro` (parts of each batch), and the point's hyper-parameters for people who look
            at Ray's tables.
    """
    from ray import tune

    train_in(config, Path(config["sweep"]), tune.report, lambda: None)


def train_in(
    config: dict[str, Any],
    sweep: Path,
    report: Callable[[dict[str, Any]], None],
    written: Callable[[], object],
) -> None:
    """`trial` in a folder that need not be the driver's; the other arguments as in `train_point`."""
    memory.fence(config["resources"]["GPU"])
    train_point(sweep, str(config["point"]), int(config["recorded"]), report, written, int(config["micro"]))


def train_point(
    sweep: Path,
    point: str,
    recorded: int,
    report: Callable[[dict[str, Any]], None],
    written: Callable[[], object] = lambda: None,
    micro: int = 1,
) -> None:
    """Train one point from its newest checkpoint and report every evaluation after the first `recorded`.

    Errors of the program itself are reported as a failure instead of raised: they would come back on every retry.
    Only a killed process leaves without a word, and that is what Ray retries.

    Args:
        report: Called when the files of an evaluation are written.
        written: Called instead where a stage before the reporting one was evaluated.
        micro: Parts into which each batch is cut.

    Raises:
        Held: Another process still trains the point, a worker that outlived its driver or its node's connection;
            Ray tries again later.
    """
    folder = sweep / TRIALS / point
    folder.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(folder)
    lock.acquire(_PATIENCE)
    try:
        _train(sweep, point, recorded, report, written, micro)
    finally:
        lock.release()


def _train(
    sweep: Path,
    point: str,
    recorded: int,
    report: Callable[[dict[str, Any]], None],
    written: Callable[[], object],
    micro: int,
) -> None:
    folder = sweep / TRIALS / point
    # A worker serves many trials; its log in Ray's dashboard tells them apart by this line.
    print(f"trial {point} of {sweep.name}, from evaluation {recorded + 1}", flush=True)
    failure = None
    try:
        work = _Work(sweep, point, micro)
    except Exception as error:
        failure = _failure(folder, error, 1, 0.0)
    if failure is not None:
        report(failure)
        return
    for row in work.rows[recorded:]:
        report(row)
    evaluations = iter(work.run)
    while True:
        # Only the training is guarded: Ray ends a stopped trial by raising inside `report`. And an error holds what
        # was on the device when it was raised, which is free only behind its clause.
        try:
            evaluation = next(evaluations, None)
            kept = None if evaluation is None else work.keep(evaluation)
        except Exception as error:
            failure = _failure(folder, error, len(work.rows) + 1, work.rows[-1]["epoch"] if work.rows else 0.0)
        if failure is not None or evaluation is None:
            del evaluations
            work.release()
            if failure is not None:
                report(failure)
            return
        if kept is not None:
            report(kept)
        else:
            written()


def run_of(
    plan: dict[str, Any],
    prepared: dict[str, Any],
    spec: dict[str, Any],
    micro: int = 1,
    carried: dict[str, Tensor] | None = None,
) -> Run:
    """The training of a point, from its beginning.

    Args:
        spec: The point.
        micro: Parts into which each batch is cut.
        carried: What its stages find of the teacher's side; None looks there, or has it made.

    Raises:
        Diverged: What the teacher's side was to have could not be trained.
    """
    if carried is None:
        carried = beside.carried(plan, prepared, spec)
    numerics = Numerics(**plan["numerics"])
    method = methods.get(spec["method"])
    recipe, head = spec.get("recipe", plan["recipe"]), spec.get("head", "own")
    student = prepared["student"]
    run = assemble(
        method,
        task_of(plan),
        student["path"],
        tuple(student["kept"]) if student["kept"] else None,
        tokens(prepared["data"]["path"]),
        params=spec["params"],
        training=Training(**{**plan["training"], **spec.get("training", {})}),
        numerics=numerics,
        recipe=recipe,
        head=head,
        seed=spec["seed"],
        source=source(plan, prepared["teacher"], spec, numerics, head),
        teacher=prepared["teacher"]["path"],
        micro=micro,
        carried=carried,
    )
    # The undistilled baseline begins as it always does.
    given.begin(run, given.taken(method, spec["params"], prepared.get("given") or {}))
    return run


def source(
    plan: dict[str, Any], prepared: dict[str, Any], spec: dict[str, Any], numerics: Numerics, head: Head
) -> TeacherSource | None:
    """Who answers for the teacher: its outputs on disk where the plan keeps them, else the teacher itself.

    Args:
        prepared: What is ready of the teacher.
        spec: The point.
    """
    kind = source_of(plan, spec)
    if kind is None:
        return None
    if kind == "cached" and prepared.get("outputs"):
        return outputs(prepared["outputs"], prepared.get("outputs_dev"))
    return teacher(prepared["path"], task_of(plan), numerics, head)


class _Work:
    """A run, its files, and the rows it has produced."""

    def __init__(self, sweep: Path, point: str, micro: int) -> None:
        record = read(sweep)
        plan, own = record.plan, record.trial(point)
        assert record.prepared is not None
        mine = stages.of_point(record.header, record.prepared, own.point)
        prepared = localised(beside.of_point(plan, mine, own.point))
        self.folder = sweep / TRIALS / point
        self.rows: list[dict[str, Any]] = []
        self.best: float | None = None
        # Evaluations of stages before the one that reports.
        self.early = 0
        self.run = run_of(plan, prepared, own.point, micro)
        self.beside_seconds = beside.seconds_alone(plan, prepared, own.point)
        self.dev = self.run.dev
        path, training = prepared["data"]["path"], self.run.training
        self.last_look = last_look.of(plan, path, self.run.task, training.evaluation_batch, self.run.numerics.device)
        self.further = further.looks(prepared, self.run.task, training.evaluation_batch, self.run.numerics.device)
        state = checkpoint.load(self.folder)
        if state is not None:
            self.run.load_state(state["run"])
            self.rows = json.loads(state["rows"])
            self.best = state["best"]
            self.early = state.get("early", 0)
        elif behind := stages.begin(self.run, record.header, prepared, own.point):
            print(f"trial {point} begins behind {behind}", flush=True)
        # A kill may have come between these lines and the state that they go with.
        _keep_first(self.folder / "seen.jsonl", len(self.rows))
        stage_rows.keep_first(self.folder, self.early)
        shutil.rmtree(self.folder / _STAGING, ignore_errors=True)

    def keep(self, evaluation: Evaluation) -> dict[str, Any] | None:
        """Write everything that must outlive the process, then give the row to report."""
        row: dict[str, Any] = {
            "evaluation": evaluation.number,
            "epoch": evaluation.epoch,
            "value": evaluation.value,
            "metrics": evaluation.metrics,
            "reported": None,
            "terms": evaluation.terms,
            "seconds": evaluation.seconds,
            "stage_seconds": 0.0,
            "steps": evaluation.steps,
            "lr": evaluation.lr,
            "stage": evaluation.stage,
            "failure": None,
        }
        if not evaluation.reporting:
            self.early += 1
            stage_rows.append(self.folder, {**row, "epochs": evaluation.epochs, "seen": evaluation.seen})
            self._save_state()
            return None
        if not self.rows:
            row["stage_seconds"] = stage_rows.seconds(self.folder) + self.beside_seconds
        self.rows.append(row)
        if self.best is None or evaluation.value > self.best:
            self.best = evaluation.value
            self._save_student()
            self._save_predictions("best", evaluation.logits, self.dev.gold)
            if self.last_look is not None:
                row["reported"], logits, seconds = self.last_look.look(self.run.student)
                row["seconds"] += seconds
                self._save_predictions("report", logits, self.last_look.rows.gold)
            for name, look in self.further.items():
                found, logits, seconds = look.look(self.run.student)
                row["further"] = {**row.get("further", {}), **{f"{name}/{which}": v for which, v in found.items()}}
                row["seconds"] += seconds
                self._save_predictions(name, logits, look.rows.gold)
        self._save_predictions("last", evaluation.logits, self.dev.gold)
        if evaluation.seen:
            _append(self.folder / "seen.jsonl", {"evaluation": evaluation.number, **evaluation.seen})
        self._save_state()
        return row

    def _save_state(self) -> None:
        # Evaluations are counted in each stage, generations over all of them.
        state = {"run": self.run.state(), "rows": json.dumps(self.rows), "best": self.best, "early": self.early}
        checkpoint.save(self.folder, self.early + len(self.rows), state)

    def _save_student(self) -> None:
        """Beside the old one first: a kill leaves the old student, none, or the new one, never a part."""
        student, staging = self.folder / "student", self.folder / _STAGING
        shutil.rmtree(staging, ignore_errors=True)
        save_classifier(self.run.student, self.run.task, staging)
        shutil.rmtree(student, ignore_errors=True)
        staging.rename(student)

    def _save_predictions(self, which: str, logits: np.ndarray, labels: np.ndarray) -> None:
        file = self.folder / f"predictions-{which}.npz"
        temporary = file.with_name(f".{file.name}")
        with temporary.open("wb") as stream:
            np.savez(stream, logits=self.run.task.units(logits), labels=self.run.task.units(labels))
        temporary.replace(file)

    def release(self) -> None:
        """Let the student's memory go before the process takes the next trial."""
        del self.run
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@lru_cache(maxsize=1)
def teacher(path: str, task: Task, numerics: Numerics, head: Head) -> OnlineTeacher:
    """The teacher read through a head, loaded once per process however many trials it serves."""
    return OnlineTeacher(load_classifier(path, task, head=head), numerics.device, numerics.autocast)


@lru_cache(maxsize=1)
def outputs(path: str, dev: str | None = None) -> CachedTeacher:
    """The teacher's outputs, opened once per process; their pages are shared with all others of the node.

    Args:
        dev: Those on the dev rows.
    """
    return CachedTeacher(path, dev)


@lru_cache(maxsize=1)
def tokens(path: str) -> tuple[Tokens, Tokens]:
    """Training and dev rows, loaded once per process."""
    return Tokens.load(Path(path) / "train.npz"), Tokens.load(Path(path) / "dev.npz")


def _append(file: Path, row: dict[str, Any]) -> None:
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row) + "\n")


def _keep_first(file: Path, evaluations: int) -> None:
    """Drop torn lines and those of evaluations after the first `evaluations`, which are going to be repeated."""
    if not file.exists():
        return
    kept = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if row["evaluation"] <= evaluations:
            kept.append(line + "\n")
    temporary = file.with_name(f".{file.name}")
    temporary.write_text("".join(kept), encoding="utf-8")
    temporary.replace(file)


def _failure(folder: Path, error: Exception, evaluation: int, epoch: float) -> dict[str, Any]:
    """A report that ends the trial, with the traceback in the trial's folder.

    On a full disk, or where what all trials share is damaged, it ends the whole sweep.

    Args:
        evaluation: The one that there will not be.
        epoch: How far the trial had come at the one before.
    """
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return {
            "evaluation": evaluation,
            "epoch": epoch,
            "value": WORST,
            "halt": f"{folder} cannot be written ({error.strerror})",
        }
    if isinstance(error, StorageFailure):
        return {"evaluation": evaluation, "epoch": epoch, "value": WORST, "halt": str(error)}
    if isinstance(error, DamagedOutputs):
        return {"evaluation": evaluation, "epoch": epoch, "value": WORST, "halt": str(error)}
    (folder / "failure.txt").write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    kind = DIVERGED if isinstance(error, Diverged) else type(error).__name__
    if memory.exhausted(error):
        kind = OUT_OF_MEMORY
    text = " ".join(str(error).split())[:300]
    return {
        "evaluation": evaluation,
        "epoch": epoch,
        "value": WORST,
        "failure": f"{kind}: {text}",
    }
