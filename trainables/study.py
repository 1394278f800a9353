"""The sweep as an Optuna study in an append-only journal, for Optuna's own tools. Written by the driver alone."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Any

from trainables.record import BY_HAND, COMPLETE, FAIL, FINISHED, JOURNAL, PRUNED, RUNNING, TRIALS, Record, Trial

SEARCH, CONFIRM = "search", "confirm"


class Study:
    """Mirror of the record's trials: one Optuna trial per point, in the order of the plan.

    The confirming runs are a second study of the same journal: they say nothing about where to search, and one study
    with both would show Optuna's tools a point many times.

    The rows are the authority. Opening a study brings it up to what the rows say, so a journal that lags behind
    after a kill catches up, and a torn last line or a lock left behind is removed first.
    """

    def __init__(self, record: Record, distributions: dict[str, dict[str, Any]]) -> None:
        """Open or create the study of `record`.

        Args:
            distributions: Per method and hyper-parameter, `{"type", "low", "high", "log", "choices"}`.
        """
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        logging.getLogger("optuna").setLevel(logging.WARNING)
        self._optuna = optuna
        self._record = record
        self._distributions = distributions
        file = record.path / JOURNAL
        _mend(file)
        self._storage = JournalStorage(JournalFileBackend(str(file)))
        self._studies: dict[str, optuna.Study] = {}
        self._ids: dict[str, int] = {}
        self.catch_up()

    def catch_up(self) -> None:
        """Bring the studies up to what the record says; that of the confirming runs is made when there are any."""
        self._mirror(SEARCH, self._record.trials)
        if self._record.confirming:
            self._mirror(CONFIRM, self._record.confirming)

    def _mirror(self, name: str, trials: dict[str, Trial]) -> None:
        if name not in self._studies:
            self._studies[name] = self._optuna.create_study(
                study_name=name, storage=self._storage, direction="maximize", load_if_exists=True
            )
        study = self._studies[name]
        if not study.get_trials(deepcopy=False):
            plan = self._record.plan
            for fact in ("method", "task", "task_title", "layers", "metric", "recipe", "seed"):
                study.set_user_attr(fact, plan[fact])
            study.set_user_attr("versions", self._record.header["versions"])
        states = self._optuna.trial.TrialState
        known = {frozen.user_attrs.get("id") for frozen in study.get_trials(deepcopy=False)}
        for trial in trials.values():
            if trial.id in known:
                continue
            template = self._optuna.trial.create_trial(
                state=states.WAITING,
                params=trial.params,
                distributions={name: self._distribution(trial, name) for name in trial.params},
                user_attrs={
                    fact: trial.point[fact]
                    for fact in ("id", "method", "origin", "seed", "label", "hash", "grades")
                    + (("of",) if trial.confirms else ())
                },
            )
            study.add_trial(template)
        for frozen in study.get_trials(deepcopy=False):
            # A person may have added a trial of their own.
            if "id" in frozen.user_attrs:
                self._ids[frozen.user_attrs["id"]] = frozen._trial_id
        for trial in trials.values():
            frozen = self._storage.get_trial(self._ids[trial.id])
            if frozen.state.is_finished():
                continue
            if trial.state in (RUNNING, *FINISHED):
                self.started(trial)
            for number, row in sorted(trial.evaluations.items()):
                if number not in frozen.intermediate_values:
                    self.evaluation(trial, row)
            if trial.state in FINISHED:
                self.finished(trial)

    def _distribution(self, trial: Trial, name: str) -> Any:
        distributions = self._optuna.distributions
        # Methods that only confirming runs use came into the record with them.
        known = {**confirming_distributions(self._record), **self._distributions}
        spec = known[trial.point["method"]][name]
        if spec["type"] == "float":
            return distributions.FloatDistribution(spec["low"], spec["high"], log=spec["log"])
        if spec["type"] == "int":
            return distributions.IntDistribution(int(spec["low"]), int(spec["high"]))
        choices = [False, True] if spec["type"] == "bool" else list(spec["choices"])
        if spec["type"] == "layers":
            # Layers that a person listed one by one are no declared choice.
            same = (one for one in self._record.everything() if one.point["method"] == trial.point["method"])
            choices += sorted({one.params[name] for one in same if name in one.params} - set(choices))
        return distributions.CategoricalDistribution(choices)

    def started(self, trial: Trial) -> None:
        """Let a trial that waits be one that runs."""
        number = self._ids[trial.id]
        if self._storage.get_trial(number).state == self._optuna.trial.TrialState.WAITING:
            self._storage.set_trial_state_values(number, self._optuna.trial.TrialState.RUNNING)

    def evaluation(self, trial: Trial, row: dict[str, Any]) -> None:
        value = float("nan") if row["value"] is None else float(row["value"])
        # Somebody may have closed the trial in a dashboard; the rows, not the study, say what happens to it.
        with contextlib.suppress(self._optuna.exceptions.UpdateFinishedTrialError):
            self._storage.set_trial_intermediate_value(self._ids[trial.id], int(row["evaluation"]), value)

    def finished(self, trial: Trial) -> None:
        """Close a trial with its best dev evaluation as value, whether complete or pruned."""
        number, states = self._ids[trial.id], self._optuna.trial.TrialState
        if self._storage.get_trial(number).state.is_finished():
            return
        last = trial.last
        attributes = {
            "best_evaluation": trial.best["evaluation"] if trial.best else None,
            "last_value": last["value"] if last else None,
            "device_seconds": trial.seconds,
            "attempts": trial.attempts,
            "failure": trial.cause if trial.state == FAIL else None,
            "stop": BY_HAND if trial.by_hand else trial.stop,
            "student": f"{TRIALS}/{trial.id}/student" if trial.best else None,
        }
        for name, value in attributes.items():
            if value is not None:
                self._storage.set_trial_user_attr(number, name, value)
        state = {COMPLETE: states.COMPLETE, PRUNED: states.PRUNED, FAIL: states.FAIL}[trial.state]
        values = None if trial.state == FAIL or trial.score is None else [trial.score]
        self._storage.set_trial_state_values(number, state, values)


def confirming_distributions(record: Record) -> dict[str, Any]:
    """As the plan's `distributions`, of methods that only confirming runs use."""
    rows = (row.get("distributions", {}) for row in record.rows if row["kind"] == "confirm")
    return {method: known for found in rows for method, known in found.items()}


def _mend(file: Path) -> None:
    """Cut a torn last line off the journal and remove the locks of a killed writer.

    Optuna reads a torn journal, but its next append would join the torn line and spoil it; its own lock file
    blocks for half a minute. The sweep's lock is held here, so no other writer can be alive.
    """
    for lock in file.parent.glob(f"{file.name}*.lock*"):
        lock.unlink(missing_ok=True)
    cut_torn_line(file)


def cut_torn_line(file: Path) -> None:
    """Drop whatever follows the last newline of an append-only file."""
    if not file.exists():
        return
    content = file.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        with file.open("r+b") as stream:
            stream.truncate(whole)
