"""Writing the record of a sweep: the driver's only way to disk. Imports neither Ray nor torch."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distill.errors import UserError
from trainables.lock import SweepLock
from trainables.record import (
    BY_HAND,
    COMPLETE,
    DIVERGED,
    FAIL,
    FINISHED,
    PREPARED,
    PRUNED,
    ROWS,
    RUNNING,
    SWEEP,
    TRIALS,
    Trial,
    read,
)
from trainables.rungs import rule_of
from trainables.study import Study, cut_torn_line

# What an evaluation's row takes over from the worker's report as it is.
_CARRIED = ("stage", "metrics", "reported", "terms", "seconds", "stage_seconds", "steps", "lr")

Listener = Callable[[str, Trial, dict[str, Any]], None]


class Recorder:
    """Appends rows, applies the stopping rule, mirrors the study.

    Every row reaches the disk before anything acts on it, and the rule's decision stands in the row of the value
    it judged, so that after any kill the two are both there or both missing.

    Attributes:
        record: The fold of all rows so far.
        rule: The stopping rule, rebuilt from the record; None without early stopping.
        listeners: Called after each row as (kind, trial, row), for progress.
    """

    def __init__(self, path: Path) -> None:
        """Open an existing sweep for writing; takes its lock, mends torn files.

        Raises:
            UserError: The folder holds no sweep, or another process writes it.
        """
        self.path = Path(path).absolute()
        if not (self.path / SWEEP).exists():
            read(self.path)
        self._lock = SweepLock(self.path)
        self._lock.acquire()
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> None:
        cut_torn_line(self.path / ROWS)
        self.record = read(self.path)
        plan = self.record.plan
        self.rule = rule_of(plan["scheduler"])
        self.evaluations = int(plan["evaluations"])
        self.listeners: list[Listener] = []
        self._rows = (self.path / ROWS).open("ab", buffering=0)
        self._broken: OSError | None = None
        self._refill()
        self.study = Study(self.record, plan["distributions"])
        self._settle()
        self.tidy()

    @classmethod
    def create(cls, path: Path, header: dict[str, Any]) -> Recorder:
        """Start a sweep in a new or empty folder.

        Raises:
            UserError: The folder holds another sweep or other files.
        """
        path = Path(path).absolute()
        refuse_occupied(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            (path / TRIALS).mkdir(exist_ok=True)
            write_json(path / SWEEP, header)
        except OSError as error:
            raise UserError(f"--out {path} cannot be written: {error.strerror}; name another folder.") from error
        return cls(path)

    def _refill(self) -> None:
        """Tell the stopping rule the recorded values in their order."""
        for row in self.record.rows:
            if row["kind"] == "evaluation" and not row.get("replay"):
                self._judge(self.record.trial(row["point"]), row)

    def _judge(self, trial: Trial, row: dict[str, Any]) -> dict[str, Any] | None:
        """What the stopping rule says of a new evaluation; the baseline and confirming runs stand outside it."""
        if self.rule is None or trial.is_baseline or trial.confirms or row["evaluation"] >= self.evaluations:
            return None
        decision = self.rule.judge(trial.id, row["epoch"], row["value"])
        return decision.as_dict() if decision else None

    def _settle(self) -> None:
        """Close trials whose last row ends them but whose closing row was lost to a kill."""
        for trial in self.record.everything():
            if trial.state == RUNNING:
                self._close_if_due(trial)

    # -- what happens in a sweep ------------------------------------------------------------------

    def session(self, arguments: list[str], limits: dict[str, Any] | None = None) -> None:
        """A driver started or came back.

        Args:
            limits: Of the session, as `trainables.budget.Limits.as_dict` gives them.
        """
        row = {"kind": "session", "number": self.record.sessions + 1, "argv": arguments, "limits": limits}
        self._append(row)

    def halted(self, reason: str, limit: str | None = None) -> None:
        """The session ends before its end.

        Args:
            limit: Name of the limit that ended it; None where something else did.
        """
        self._append({"kind": "halt", "reason": reason, "limit": limit})

    def spent(self, limit: float, used: float, not_run: list[str]) -> None:
        """The sweep has had its share of the devices; points that were not begun are taken out of the plan.

        Args:
            limit, used: Device-seconds that it might use, and that it did.
        """
        self._append({"kind": "spent", "limit": limit, "used": used, "not_run": not_run})

    def extend(self, points: list[dict[str, Any]], arguments: list[str], trials: int | None = None) -> None:
        """Add further points to the plan; `sweep.json` stays as it was written.

        Args:
            trials: How many distilled points there shall be in all, where a sampler suggests the others.

        Raises:
            UserError: The plan has one of them.
        """
        self._add("extend", points, argv=arguments, **({} if trials is None else {"trials": trials}))

    def suggested(self, points: list[dict[str, Any]], k: int) -> None:
        """Add what the sampler suggested, before it runs; nothing where it found nothing new and gives up.

        Args:
            k: Number of the suggestion, from 1; the next one's is larger.

        Raises:
            UserError: The sweep has one of them.
        """
        self._add("suggest", points, k=k)

    def confirm(self, points: list[dict[str, Any]], arguments: list[str], **facts: Any) -> None:
        """Add runs that try the best points again.

        Args:
            points: Of the phase "confirm".
            facts: What else the row says, such as the seeds.

        Raises:
            UserError: The sweep has one of them.
        """
        self._add("confirm", points, **facts, argv=arguments)

    def _add(self, kind: str, points: list[dict[str, Any]], **facts: Any) -> None:
        for point in points:
            if any(point["id"] == trial.id for trial in self.record.everything()):
                raise UserError(f"{self.path} has a point {point['id']} already.")
        self._append({"kind": kind, "points": points, **facts})
        self.study.catch_up()

    def prepared(self, facts: dict[str, Any]) -> None:
        """What the trials share is ready.

        Raises:
            UserError: It is not what the recorded evaluations were made with.
        """
        before = (self.record.prepared or {}).get("teacher", {}).get("content")
        content = facts["teacher"]["content"]
        if before not in (None, content) and any(trial.evaluations for trial in self.record.everything()):
            raise UserError(
                f"--resume: the teacher is no longer the one this sweep began with ({before[:12]}…, now "
                f"{content[:12]}…): its artifact was lost and made anew; start a new sweep."
            )
        write_json(self.path / PREPARED, facts)
        self.record.prepared = facts

    def started(self, point: str, attempt: int) -> None:
        trial = self.record.trial(point)
        if trial.state in FINISHED:
            return
        self._state(trial, RUNNING, attempt=attempt)
        self.study.started(trial)

    def evaluation(self, point: str, result: dict[str, Any]) -> bool:
        """Record one evaluation; True when the trial is to be stopped.

        A value that is already there (a retry replays what followed its checkpoint) is not judged again; where it
        differs from the recorded one, a determinism fault is recorded.
        """
        trial = self.record.trial(point)
        number = int(result["evaluation"])
        if trial.state in FINISHED:
            return True
        # A report without the metric is one whose value is not finite, instead of the end of the sweep.
        value = _plain(result.get("value"))
        row: dict[str, Any] = {
            "kind": "evaluation",
            "point": point,
            "evaluation": number,
            "epoch": float(result["epoch"]),
            "value": value,
            **{name: _plain(result.get(name)) for name in _CARRIED},
            **({"further": _plain(there)} if (there := result.get("further")) else {}),
            "decision": None,
            "attempt": trial.attempts,
        }
        if trial.retry is not None:
            row |= {name: trial.retry[name] for name in ("resources", "micro")}
        if number in trial.evaluations:
            if trial.evaluations[number]["value"] != value:
                self._append({**row, "replay": True}, trial)
            return self._close_if_due(trial)
        row["decision"] = self._judge(trial, row)
        self._append(row, trial)
        self.study.evaluation(trial, row)
        return self._close_if_due(trial)

    def failed(self, point: str, cause: str) -> None:
        trial = self.record.trial(point)
        if trial.state not in FINISHED:
            self._close(trial, FAIL, cause)

    def retry(self, point: str, reason: str, resources: dict[str, float], micro: int) -> None:
        """Let a trial that ran out of memory wait for another try from its checkpoint.

        Args:
            resources: "CPU" and "GPU" of the next try.
            micro: Parts into which it cuts each batch.
        """
        trial = self.record.trial(point)
        if trial.state not in FINISHED:
            row = {"kind": "retry", "point": point, "reason": reason, "resources": resources, "micro": micro}
            self._append({**row, "attempt": trial.attempts}, trial)

    def stopped(self, point: str) -> None:
        """A person stops a trial, whether it runs or waits; the student of its best evaluation stays eligible."""
        trial = self.record.trial(point)
        if trial.state not in FINISHED:
            self._close(trial, PRUNED, BY_HAND)

    def _close_if_due(self, trial: Trial) -> bool:
        if trial.last is not None and trial.last["value"] is None:
            self._close(trial, FAIL, f"{DIVERGED}: not finite at epoch {trial.last['epoch']:.4g}")
        elif trial.stop is not None:
            self._close(trial, PRUNED)
        elif len(trial.evaluations) >= self.evaluations:
            self._close(trial, COMPLETE)
        return trial.state in FINISHED

    def _close(self, trial: Trial, state: str, cause: str | None = None) -> None:
        self._state(trial, state, cause)
        self.study.started(trial)
        self.study.finished(trial)
        self.tidy()

    def _state(self, trial: Trial, state: str, cause: str | None = None, attempt: int | None = None) -> None:
        row = {
            "kind": "state",
            "point": trial.id,
            "state": state,
            "cause": cause,
            "attempt": trial.attempts if attempt is None else attempt,
        }
        self._append(row, trial)

    def _append(self, row: dict[str, Any], trial: Trial | None = None) -> None:
        row = {"seq": len(self.record.rows), "time": now(), **row}
        self._write((json.dumps(row, allow_nan=False) + "\n").encode())
        self.record.apply(row)
        for listener in self.listeners:
            if trial is not None:
                listener(row["kind"], trial, row)

    def _write(self, line: bytes) -> None:
        """Bring a line to disk, or leave the file as it was and take no other line.

        After a failure (a full disk) memory may be ahead of the file, so this process can't go on writing; a resumed
        one starts from the file.
        """
        if self._broken is not None:
            raise self._broken
        end = self._rows.seek(0, os.SEEK_END)
        try:
            if self._rows.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path / ROWS))
            os.fsync(self._rows.fileno())
        except OSError as error:
            self._broken = error
            self._rows.truncate(end)
            raise

    # -- disk -------------------------------------------------------------------------------------

    def losers(self) -> set[str]:
        """Finished trials whose students are not kept.

        Of the search, the baseline's student and the `keep_students` best stay; of the confirming runs, that of the
        best run of each searched point, because a confirmation that goes on may yet change which point is best.
        """
        kept = int(self.record.plan["keep_students"])
        finished = [t for t in self.record.everything() if t.state in FINISHED]
        ranked = sorted(
            (t for t in finished if not (t.is_baseline or t.confirms) and t.score is not None),
            key=lambda t: -(t.score or 0.0),
        )
        losers = {t.id for t in ranked[kept:]} | {t.id for t in finished if t.score is None}
        return losers | {t.id for t in finished if t.confirms} - {t.id for t in self.record.best_runs().values()}

    def tidy(self) -> None:
        """Free what finished trials no longer need: training states, and the students of `losers`."""
        losers = self.losers()
        for trial in (t for t in self.record.everything() if t.state in FINISHED):
            for state in trial.folder.glob("state-*"):
                state.unlink(missing_ok=True)
            # Of a worker that was ended while it wrote.
            shutil.rmtree(trial.folder / ".student", ignore_errors=True)
            if trial.id in losers:
                shutil.rmtree(trial.folder / "student", ignore_errors=True)

    def close(self) -> None:
        """Release the folder."""
        self._rows.close()
        self._lock.release()

    # Ray copies schedulers and callbacks around; all copies must speak to the one open recorder.
    def __copy__(self) -> Recorder:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Recorder:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (read, (str(self.path),))


def refuse_occupied(path: Path) -> None:
    """Raise UserError when a sweep cannot start in `path` without touching what is there."""
    if (path / SWEEP).exists():
        raise UserError(f"{path} holds another sweep; continue it with --resume {path}, or name another --out.")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"--out {path} is not an empty folder; name another one.")


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Write atomically: a reader sees the old file or the new one, never a part."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, file)


def now() -> str:
    """UTC time in ISO form."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _plain(value: Any) -> Any:
    """`value` as JSON has it: numbers of arrays become plain ones, what is not finite becomes null."""
    if isinstance(value, dict):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if value is None or isinstance(value, (str, bool, int)):
        return value
    number = float(value)
    return number if math.isfinite(number) else None
