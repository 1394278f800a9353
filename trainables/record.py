"""The record of a sweep: schema and reader. Imports neither Ray nor torch.

A sweep's folder holds (see docs/record.md):

    sweep.json       what was asked and the whole plan, written once
    prepared.json    what many trials share: data, teacher, student shape
    rows.jsonl       one line per event, in order, append-only; the authority for resume and report
    study.journal    the same trials as an Optuna study, for Optuna's own tools
    tensorboard/     the same curves as TensorBoard's event files
    stop/            requests to stop a trial, until the driver has answered them
    trials/<point>/  dev predictions, what the method wants seen, checkpoints

`Record` is the fold of the rows over the plan. Reader and writer share `Record.apply`, so what a resumed sweep
knows is what any later reader sees.
"""

from __future__ import annotations

import difflib
import json
import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distill.errors import UserError

SCHEMA = 1
SWEEP, PREPARED, ROWS, JOURNAL, TRIALS, LOCK, TENSORBOARD, STOP = (
    "sweep.json",
    "prepared.json",
    "rows.jsonl",
    "study.journal",
    "trials",
    "lock",
    "tensorboard",
    "stop",
)
WAITING, RUNNING, COMPLETE, PRUNED, FAIL = "WAITING", "RUNNING", "COMPLETE", "PRUNED", "FAIL"
FINISHED = (COMPLETE, PRUNED, FAIL)
# The cause of a PRUNED trial that no rung stopped.
BY_HAND = "stopped by hand"
# How the cause of a FAIL begins where it is told apart from other causes.
DIVERGED, OUT_OF_MEMORY = "diverged", "out of memory"


@dataclass
class Trial:
    """One (point, seed) and everything recorded of it.

    Attributes:
        point: The planned point: id, number, method, params, origin, grades, seed.
        state: WAITING, RUNNING, COMPLETE, PRUNED or FAIL.
        evaluations: Rows of kind "evaluation" by their 1-based number, each the first recorded.
        cause: Why a FAIL failed; `BY_HAND` where a person stopped the trial; else None.
        faults: Replayed values that differed from the recorded ones.
        retry: The newest row of kind "retry": with what the trial goes on after it ran out of memory; else None.
        metric: Name of the task's metric.
    """

    point: dict[str, Any]
    folder: Path
    state: str = WAITING
    evaluations: dict[int, dict[str, Any]] = field(default_factory=dict)
    cause: str | None = None
    attempts: int = 0
    faults: list[dict[str, Any]] = field(default_factory=list)
    retry: dict[str, Any] | None = None
    metric: str = ""

    @property
    def id(self) -> str:
        return str(self.point["id"])

    @property
    def params(self) -> dict[str, Any]:
        return dict(self.point["params"])

    @property
    def is_baseline(self) -> bool:
        return self.point["origin"] == "baseline"

    @property
    def confirms(self) -> bool:
        """Whether it is one of the runs that try the winners again with fresh seeds."""
        return self.point.get("phase") == "confirm"

    @property
    def best(self) -> dict[str, Any] | None:
        """The best evaluation, the earliest among equals; None before the first finite one."""
        finite = [row for _, row in sorted(self.evaluations.items()) if row["value"] is not None]
        return max(finite, key=lambda row: row["value"]) if finite else None

    @property
    def last(self) -> dict[str, Any] | None:
        return self.evaluations[max(self.evaluations)] if self.evaluations else None

    @property
    def score(self) -> float | None:
        """Best evaluation on the rows that choose; the student of the trial is the checkpoint of that evaluation."""
        best = self.best
        return None if best is None else float(best["value"])

    @property
    def reported(self) -> float | None:
        """What that student scores on dev: the number for people, and no decision reads it.

        The score itself where dev is what chooses; None where there is none, or it is not finite.
        """
        best = self.best
        if best is None or best.get("reported") is None:
            return self.score
        value = best["reported"].get(self.metric)
        return None if value is None else float(value)

    @property
    def seconds(self) -> float:
        """Training and evaluation time of the recorded evaluations, stages before them included, in seconds."""
        rows = self.evaluations.values()
        return sum(float(row.get("seconds", 0.0)) + float(row.get("stage_seconds") or 0.0) for row in rows)

    @property
    def by_hand(self) -> bool:
        """Whether a person stopped the trial."""
        return self.state == PRUNED and self.cause == BY_HAND

    @property
    def stop(self) -> dict[str, Any] | None:
        """The decision that stopped the trial; None where it was stopped by hand, or failed."""
        if self.state == FAIL:
            return None
        for row in self.evaluations.values():
            if row.get("decision") and row["decision"]["stop"]:
                return dict(row["decision"])
        return None

    def predictions(self, which: str = "best") -> Path:
        """Path of predictions (`logits` [n, C], `labels` [n]) that the trial saved.

        Args:
            which: "best" or "last" evaluation, on the rows that choose; "report" is the best evaluation on dev, the
                same file as "best" where dev is what chooses.
        """
        if which == "report" and (self.best is None or self.best.get("reported") is None):
            which = "best"
        return self.folder / f"predictions-{which}.npz"


@dataclass
class Record:
    """A sweep as its folder tells it.

    Attributes:
        trials: Of the search, in the order of the plan.
        confirming: Those that try the winners again with fresh seeds; no ranking of the search counts them.
        left_out: Points of the plan that were not run because the sweep had had its device-seconds.
    """

    path: Path
    header: dict[str, Any]
    prepared: dict[str, Any] | None
    trials: dict[str, Trial]
    rows: list[dict[str, Any]] = field(default_factory=list)
    confirming: dict[str, Trial] = field(default_factory=dict)
    left_out: list[dict[str, Any]] = field(default_factory=list)

    @property
    def plan(self) -> dict[str, Any]:
        return dict(self.header["plan"])

    @property
    def held_out(self) -> int:
        """How many held-out training rows choose epoch and configuration; 0 where dev does."""
        return held_out(self.header["plan"])

    @property
    def resources(self) -> dict[str, Any]:
        """The plan's resources, with what was measured before the first trial laid over them."""
        return {**self.plan["resources"], **((self.prepared or {}).get("resources") or {})}

    @property
    def halt(self) -> dict[str, Any] | None:
        """The row that says why the newest session ended before its end; None where nothing but a person or a kill
        ended it, or it still runs."""
        newest = [row for row in self.rows if row["kind"] in ("session", "halt")][-1:]
        return newest[0] if newest and newest[0]["kind"] == "halt" else None

    @property
    def metric(self) -> str:
        """What the values of the rows are, for people: "mcc", or "held-out mcc" where held-out rows choose."""
        return f"held-out {self.header['plan']['metric']}" if self.held_out else str(self.header["plan"]["metric"])

    @property
    def sessions(self) -> int:
        return sum(row["kind"] == "session" for row in self.rows)

    def trial(self, id: str) -> Trial:
        """A trial of the search or of the confirming runs.

        Raises:
            KeyError: There is none.
        """
        return self.trials[id] if id in self.trials else self.confirming[id]

    def everything(self) -> list[Trial]:
        """Trials of the search, then the confirming ones."""
        return [*self.trials.values(), *self.confirming.values()]

    def unfinished(self) -> list[Trial]:
        """Trials still to run, in the order of the plan."""
        return [trial for trial in self.everything() if trial.state not in FINISHED]

    @property
    def left(self) -> int:
        """How many trials are still to run, those included whose points a sampler has yet to suggest."""
        return len(self.unfinished()) + self.to_suggest

    @property
    def to_suggest(self) -> int:
        """How many points a sampler has yet to suggest; 0 where all are planned, or where it found nothing new."""
        if not suggests(self):
            return 0
        wanted, given_up = int(self.header["plan"]["search"]["trials"]), False
        for row in self.rows:
            if row["kind"] == "extend" and row.get("trials"):
                wanted, given_up = int(row["trials"]), False
            elif row["kind"] == "spent" or (row["kind"] == "suggest" and not row["points"]):
                given_up = True
        own = [t for t in self.trials.values() if not t.is_baseline and t.point["seed"] == self.header["plan"]["seed"]]
        return 0 if given_up else max(0, wanted - len(own))

    def best_trial(self, baseline: bool = False) -> Trial | None:
        """Highest score among the distilled (or the baseline) trials, the earliest in the plan among equals."""
        scored = [t for t in self.trials.values() if t.score is not None and t.is_baseline == baseline]
        return max(scored, key=lambda trial: -math.inf if trial.score is None else trial.score, default=None)

    def confirmed(self) -> dict[str, list[Trial]]:
        """Confirming trials by what they try again: "ft", "kd", or the id of a searched point."""
        found: dict[str, list[Trial]] = {}
        for trial in self.confirming.values():
            found.setdefault(trial.point["of"], []).append(trial)
        return found

    def settled_seeds(self) -> list[int]:
        """Fresh seeds with which every confirmed point has ended, however it ended, in the order of the plan."""
        groups = self.confirmed().values()
        ended = [{trial.point["seed"] for trial in group if trial.state in FINISHED} for group in groups]
        seeds = dict.fromkeys(trial.point["seed"] for trial in self.confirming.values())
        return [seed for seed in seeds if all(seed in mine for mine in ended)]

    def confirmed_best(self) -> str | None:
        """The confirmed point with the highest mean score over the settled seeds, the first among equals.

        None before two seeds are settled: one run more says nothing about what seeds change. Runs that did not reach
        their end do not count, and a point needs two that did.
        """
        seeds, means = set(self.settled_seeds()), {}
        for id, group in self.confirmed().items():
            mine = [t for t in group if t.point["seed"] in seeds and t.state == COMPLETE]
            scores = [trial.score for trial in mine if trial.score is not None]
            if id in self.trials and not self.trials[id].is_baseline and len(scores) > 1:
                means[id] = statistics.fmean(scores)
        return max(means, key=lambda id: means[id], default=None)

    def student_trial(self) -> Trial | None:
        """The trial whose student stands for the sweep.

        Of the best confirmed point the best run, whichever seed that was; without a confirmation the best of the
        search.
        """
        id = self.confirmed_best()
        return self.best_trial() if id is None else self.best_runs()[id]

    def chosen_trial(self) -> Trial | None:
        """The trial of the search that the sweep came to: of the best confirmed point, or the best of the search."""
        id = self.confirmed_best()
        return self.best_trial() if id is None else self.trials[id]

    def best_runs(self) -> dict[str, Trial]:
        """Of every searched point that was confirmed, the run with the highest score among those that reached their
        end, the first among equals."""
        found = {}
        for id, group in self.confirmed().items():
            done = [trial for trial in group if trial.state == COMPLETE and trial.score is not None]
            if done and id in self.trials and not self.trials[id].is_baseline:
                found[id] = max(done, key=lambda trial: -math.inf if trial.score is None else trial.score)
        return found

    def like(self, id: str) -> str:
        """The id of a trial that resembles `id` most."""
        return difflib.get_close_matches(id, [*self.trials, *self.confirming], n=1, cutoff=0.0)[0]

    def add(self, points: list[dict[str, Any]]) -> None:
        """Let the plan in memory have further points, after its own.

        Raises:
            UserError: A point is there already.
        """
        for point in points:
            if point["id"] in self.trials or point["id"] in self.confirming:
                raise UserError(f"{self.path / ROWS} adds point {point['id']}, which is there already.")
            folder, metric = self.path / TRIALS / point["id"], str(self.header["plan"].get("metric", ""))
            trial = Trial(point=point, folder=folder, metric=metric)
            if trial.confirms:
                self.confirming[trial.id] = trial
            else:
                self.header["plan"]["points"].append(point)
                self.trials[trial.id] = trial

    def apply(self, row: dict[str, Any]) -> None:
        """Fold one row in.

        Raises:
            UserError: The row names a point that the plan does not have, or adds one that it has.
        """
        self.rows.append(row)
        if "points" in row:
            self.add(row["points"])
        for id in row["not_run"] if row["kind"] == "spent" else ():
            point = self.trials.pop(id).point
            self.header["plan"]["points"].remove(point)
            self.left_out.append(point)
        if "point" not in row:
            return
        trial = self.trials.get(row["point"]) or self.confirming.get(row["point"])
        if trial is None:
            raise UserError(f"{self.path / ROWS} names point {row['point']}, which {SWEEP} does not list.")
        if row["kind"] == "state":
            trial.state = row["state"]
            trial.cause = row.get("cause")
            trial.attempts = row.get("attempt", trial.attempts)
        elif row["kind"] == "retry":
            trial.state, trial.retry = WAITING, row
        elif row["kind"] == "evaluation":
            known = trial.evaluations.setdefault(row["evaluation"], row)
            if known is not row and known["value"] != row["value"]:
                trial.faults.append({"evaluation": row["evaluation"], "first": known["value"], "again": row["value"]})


def suggests(record: Record) -> bool:
    """Whether a sampler says, point by point, what a sweep runs."""
    return bool((record.header["plan"].get("search") or {}).get("name") == "tpe")


def held_out(plan: dict[str, Any]) -> int:
    """How many held-out training rows choose in a plan; 0 where dev does, as in every plan that does not say."""
    found = plan.get("select_on") or {}
    return int(found["rows"]) if found.get("kind") == "train-holdout" else 0


def read(path: Path | str) -> Record:
    """Read a sweep's folder, whether the sweep runs, was killed, is finished or was copied.

    Raises:
        UserError: The folder holds no sweep, a newer schema, or a damaged line before the last one.
    """
    path = Path(path)
    header = _json(path / SWEEP, f"{path} holds no sweep ({SWEEP} is missing); name the folder a sweep wrote.")
    if header.get("schema") != SCHEMA:
        raise UserError(
            f"{path / SWEEP} has schema {header.get('schema')}, this program reads {SCHEMA}; "
            "use the version of distill-tune that wrote it."
        )
    prepared = json.loads((path / PREPARED).read_text()) if (path / PREPARED).exists() else None
    record = Record(path=path, header=header, prepared=prepared, trials={})
    points, header["plan"]["points"] = header["plan"]["points"], []
    record.add(points)
    for row in rows(path):
        record.apply(row)
    return record


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of `rows.jsonl` in order; a torn last line (a kill while writing) is passed over."""
    file = path / ROWS
    if not file.exists():
        return
    lines = file.read_bytes().split(b"\n")
    # Every complete line ends with a newline, so what follows the last one was never finished.
    for number, line in enumerate(lines[:-1], 1):
        try:
            yield json.loads(line)
        except ValueError as error:
            raise UserError(f"{file} line {number} is damaged; restore the file from a copy.") from error


def _json(file: Path, missing: str) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text()))
    except FileNotFoundError as error:
        raise UserError(missing) from error
    except ValueError as error:
        raise UserError(f"{file} is not valid JSON; restore it from a copy.") from error
