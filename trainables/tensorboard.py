"""The curves of a sweep as TensorBoard's event files, through Ray's TBX logger.

One folder a trial, one curve in it whatever was retried or resumed: a session writes the recorded evaluations of a
trial that it goes on with anew, and each further one as it is recorded. Nothing reads the files back, and no failure to
write them stops a trial.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.tune.logger.tensorboardx import TBXLoggerCallback
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto import api_pb2, plugin_hparams_pb2
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata

from distill.output import say
from trainables.record import FAIL, FINISHED, TENSORBOARD, Record, Trial
from trainables.recorder import Recorder

PREFIX = "_hparams_"


class Curve:
    """The event file of one trial.

    Written in the calling thread: tensorboardX's own writer hands events to a thread that dies on a full disk, and
    then waits for it for ever.
    """

    def __init__(self, record: Record, trial: Trial) -> None:
        """Write what is recorded of the trial anew."""
        folder = record.path / TENSORBOARD / trial.id
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("events.*"):
            old.unlink(missing_ok=True)
        self._record, self._trial, self._told = record, trial, 0
        self._best = -math.inf
        self._writer = EventsWriter(str(folder / "events"))
        # A TensorBoard that watches forgets the steps of the file before.
        self._event(None, session_log=SessionLog(status=SessionLog.START))
        self._hparams("experiment", experiment=experiment(record))
        start = plugin_hparams_pb2.SessionStartInfo(group_name=trial.id)
        for name, value in hparams(trial).items():
            setattr(start.hparams[name], _KINDS[type(value)], value)
        self._hparams("session_start_info", session_start_info=start)
        self.go_on()

    def go_on(self) -> None:
        """Write the evaluations that were recorded since."""
        for number, row in sorted(self._trial.evaluations.items()):
            if number > self._told:
                values = scalars(row)
                self._best = max(self._best, values.get("value", -math.inf))
                if math.isfinite(self._best):
                    values["best"] = self._best
                summary = Summary(value=[Summary.Value(tag=tag, simple_value=v) for tag, v in values.items()])
                self._event(row, summary=summary)
                self._told = number
        self._writer.flush()

    def end(self) -> None:
        """Say how a finished trial ended, and close the file; the curve of another one may go on later."""
        try:
            self.go_on()
            if self._trial.state in FINISHED:
                word = "FAILURE" if self._trial.state == FAIL else "SUCCESS"
                info = plugin_hparams_pb2.SessionEndInfo(status=api_pb2.Status.Value(f"STATUS_{word}"))
                self._hparams("session_end_info", session_end_info=info)
        finally:
            self._writer.close()

    def _event(self, row: dict[str, Any] | None, **content: Any) -> None:
        at = (row or self._record.rows[-1])["time"]
        # Python 3.10 does not read the Z.
        when = dt.datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp()
        self._writer.write_event(Event(wall_time=when, step=row["evaluation"] if row else 0, **content))

    def _hparams(self, tag: str, **content: Any) -> None:
        data = plugin_hparams_pb2.HParamsPluginData(version=0, **content).SerializeToString()
        metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="hparams", content=data))
        self._event(None, summary=Summary(value=[Summary.Value(tag=f"{PREFIX}/{tag}", metadata=metadata)]))


_KINDS = {bool: "bool_value", float: "number_value", str: "string_value"}


def scalars(row: dict[str, Any]) -> dict[str, float]:
    """Tag to value of one evaluation; what is not finite has no place in a curve."""
    found = {name: row.get(name) for name in ("value", "epoch", "lr", "seconds")}
    for group in ("metrics", "terms"):
        found |= {f"{group}/{name}": value for name, value in (row.get(group) or {}).items()}
    return {tag: float(value) for tag, value in found.items() if value is not None and math.isfinite(value)}


def hparams(trial: Trial) -> dict[str, bool | float | str]:
    """What distinguishes the trial, in the three types that TensorBoard has; None is a word, a list its text."""
    named = {"method": trial.point["method"], "seed": trial.point["seed"], **trial.params}
    return {name: _plain(value) for name, value in named.items()}


def _plain(value: Any) -> bool | float | str:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return float(value)
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def experiment(record: Record) -> api_pb2.Experiment:
    """The columns of the HParams tab.

    TensorBoard takes them from any one trial, so each has those of all: the baseline's own would hide the others'.
    """
    columns: dict[str, list[bool | float | str]] = {}
    for trial in record.everything():
        for name, value in hparams(trial).items():
            columns.setdefault(name, []).append(value)
    found = api_pb2.Experiment(name=f"{record.plan['method_title']} on {record.plan['task']}")
    for name, values in columns.items():
        info = found.hparam_infos.add(name=name)
        kinds = {type(value) for value in values}
        if kinds == {float}:
            info.type = api_pb2.DATA_TYPE_FLOAT64
        else:
            info.type = api_pb2.DATA_TYPE_BOOL if kinds == {bool} else api_pb2.DATA_TYPE_STRING
            info.domain_discrete.extend(sorted(set(values)) if len(kinds) == 1 else sorted({str(v) for v in values}))
    metric = record.plan["metric"]
    for tag, title in (("best", f"best {metric}"), ("value", f"last {metric}"), ("epoch", "epochs")):
        found.metric_infos.add(name=api_pb2.MetricName(tag=tag), display_name=title)
    return found


class CurveCallback(TBXLoggerCallback):
    """Ray's TBX logger, keyed by point and fed from the record instead of from Ray's results.

    Ray's own keeps a folder for every session of a trial, doubles the steps of a retry, and shows hyper-parameters of
    trials that reached their end only.
    """

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder
        self._broken = False

    def setup(self, *arguments: Any, **info: Any) -> None:
        """Finished trials whose files are missing or behind the record get them anew."""
        super().setup(*arguments, **info)
        self._try(self._complete)

    def log_trial_start(self, trial: Any) -> None:
        self._try(lambda: self._start(trial))

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        if trial in self._trial_writer:
            self._try(self._trial_writer[trial].go_on)

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        if trial in self._trial_writer:
            self._try(self._trial_writer.pop(trial).end)

    def _complete(self) -> None:
        record = self._recorder.record
        # Deleted files, a trial that was closed without Ray, and columns that an extension brought.
        marks = (experiment(record).SerializeToString(), b"session_end_info")
        for trial in record.everything():
            files = (record.path / TENSORBOARD / trial.id).glob("events.*")
            if trial.state in FINISHED and not any(_has(file, marks) for file in files):
                Curve(record, trial).end()

    def _start(self, trial: Any) -> None:
        # A retry goes on with the curve that is open; several sweeps may run at once.
        if trial.config["sweep"] == str(self._recorder.path) and trial not in self._trial_writer:
            record = self._recorder.record
            self._trial_writer[trial] = Curve(record, record.trial(trial.config["point"]))

    def _try(self, action: Callable[[], None]) -> None:
        """After a first failure nothing is written any more in this session; the record has all of it."""
        if self._broken:
            return
        try:
            action()
        except OSError as error:
            self._broken = True
            say(
                f"Note: {self._recorder.path / TENSORBOARD} cannot be written ({error.strerror}); the sweep goes on "
                "without it, and its next session writes the curves anew."
            )


def _has(file: Path, marks: tuple[bytes, ...]) -> bool:
    content = file.read_bytes()
    return all(mark in content for mark in marks)
