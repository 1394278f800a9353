"""Making the stages that several points need, before the first trial: Ray tasks with a trial's resources each."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill import methods
from distill.artifacts import Store, key_of
from distill.tasks.own import PLANNED
from distill.training import stages as artifacts
from trainables import beside, stages
from trainables.building import Job, build_what_can_be, room_for
from trainables.progress import plural
from trainables.record import FINISHED, Record, Trial
from trainables.steps import stages_of
from trainables.teacher_work import Computed, Order, Say, Telling

if TYPE_CHECKING:
    from trainables.recorder import Recorder

# What of a plan a worker needs to train a point, as far as it is there.
_PLAN = ("task", PLANNED, "metric", "recipe", "training", "numerics", "teacher_source", "student", "teacher")


@dataclass(frozen=True)
class StageOrder(Computed):
    """Everything a worker needs to train a stage as the trials of some points would.

    Attributes:
        inputs: What determines the stage.
        plan, prepared: What is needed of them to train a point.
        point: One of those that need it.
        number: Of the stage, from 0.
        before: Artifact of the stage before it; None where there is none.
        gpus: Share of a GPU that a trial has.
    """

    store: str
    inputs: dict[str, Any]
    plan: dict[str, Any]
    prepared: dict[str, Any]
    point: dict[str, Any]
    number: int
    before: str | None
    gpus: float
    label: str
    numerics: dict[str, Any]

    def names(self) -> list[tuple[str, str]]:
        """Kind and key of the artifact in the store."""
        return [(artifacts.KIND, key_of(self.inputs))]

    def carry_out(self, say: Say) -> Path:
        """Train it in this process, one line per evaluation and one a minute while there is none."""
        from trainables import memory
        from trainables.node_store import localised
        from trainables.trial import run_of

        memory.fence(self.gpus)
        # Stages before the one that reports ask nothing of the teacher's side.
        run = run_of(self.plan, localised(self.prepared), self.point, carried={})
        if self.before is not None:
            artifacts.begin_behind(run, self.number - 1, Path(self.before))
        epochs = stages_of(self.plan, self.point)[self.number].training.epochs
        telling = Telling(say, epochs, "loss {:.3g}".format)
        run.stepped = telling.stepped
        return artifacts.make(Store(self.store), self.inputs, run, self.number, telling.evaluated)

    def too_large(self, what: str) -> str:
        """What to do where memory did not suffice."""
        return f"{what}; a smaller batch_size takes less."


def known(record: Record) -> dict[str, Any]:
    """The parts "stages" and "beside" of `prepared.json` that are there: what earlier sessions made.

    Its time counts wherever its weights are now, and where these are is looked up anew.
    """
    made = {name: found for name in ("stages", "beside") if (found := (record.prepared or {}).get(name))}
    return {name: {key: {**one, "path": None} for key, one in found.items()} for name, found in made.items()}


def share(recorders: Sequence[Recorder], say: Say, stopped: Callable[[], bool] | None = None) -> None:
    """Find or make what unfinished points of one or several sweeps need of early stages, and write it down for them.

    Made is what two points or more of a sweep need. What one alone needs is taken where the store has it; else its
    trial trains it. Where device-seconds are limited, points that may never be run count only beside one that is run in
    any case. A stage that cannot be made, as for want of memory, is left to the trials, which know how to go on
    with less.

    Args:
        recorders: Of sweeps that are prepared.
        say: Takes one line of progress.
        stopped: As in `trainables.building.build`.

    Raises:
        UserError: The store has no room for them, or is full.
        Interrupted: `stopped` said so.
    """
    beside.share(recorders, say, stopped)
    sharing = [_Sharing(recorder, len(recorders) > 1) for recorder in recorders]
    for number in itertools.count():
        if not any(one.reaches(number) for one in sharing):
            break
        wanted: dict[str, tuple[Job, _Sharing]] = {}
        for one in sharing:
            for key, job in one.missing(number).items():
                wanted.setdefault(key, (job, one))
        jobs = [job for job, _ in wanted.values()]
        if jobs:
            _make_room([(job.order, owner.bytes) for job, owner in wanted.values()], sharing[0].recorder.record, say)
            at_once = max(int(one.recorder.record.resources["max_concurrent"]) for one in sharing)
            build_what_can_be(jobs, at_once, say, stopped)
        for one in sharing:
            one.take(number, say)
    for one in sharing:
        one.write()


def _make_room(orders: Sequence[tuple[Order, int]], record: Record, say: Say) -> None:
    """As `room_for`, of what is to be made for all sweeps together, each with its bytes; they have one store."""
    room_for(orders, 0, Path(record.plan["artifacts"]), record.header["config"].get("artifacts_gb"), say)


class _Sharing:
    """One sweep's part: which keys its points need, and where these are."""

    def __init__(self, recorder: Recorder, several: bool) -> None:
        record = recorder.record
        assert record.prepared is not None
        self.recorder, self._several = recorder, several
        self._prepared: dict[str, Any] = record.prepared
        self._made: dict[str, Any] = known(record).get("stages", {})
        self._store = Store(record.plan["artifacts"])
        self._users: list[Counter[str]] = []
        self._first: dict[str, Trial] = {}
        self._certain: set[str] = set()
        self._wanted: set[str] = set()
        self._identities: dict[str, list[dict[str, Any]]] = {}
        names = {trial.point["method"] for trial in record.everything()}
        if any(artifacts.before_report(methods.get(name)) for name in names):
            self._look(record, stages.ground(record.header, self._prepared))

    def _look(self, record: Record, common: dict[str, Any]) -> None:
        """Count who needs what."""
        begins = stages.in_any_case(record)
        for trial in record.everything():
            self._identities[trial.id] = stages.identities(record.plan, trial.point, common)
            for number, inputs in enumerate(self._identities[trial.id]):
                key = key_of(inputs)
                if not stages.trains(inputs):
                    continue
                self._first.setdefault(key, trial)
                # Also of those that have ended: what was made for them serves the others on.
                if trial.id in begins:
                    self._certain.add(key)
                # One that has reported is behind its stages.
                if trial.state not in FINISHED and not trial.evaluations:
                    self._count(number, key, 1)
        for number, coming in enumerate(stages.to_come(record.plan, common)) if record.to_suggest else ():
            if coming is not None and coming in self._first:
                self._count(number, coming, record.to_suggest)
                self._certain.add(coming)

    def _count(self, number: int, key: str, points: int) -> None:
        while len(self._users) <= number:
            self._users.append(Counter())
        self._users[number][key] += points

    def reaches(self, number: int) -> bool:
        """Whether some point has so many stages before the one that reports."""
        return number < len(self._users)

    def missing(self, number: int) -> dict[str, Job]:
        """What has to be made of stage `number`, by key."""
        found = {}
        for key, points in self._users[number].items() if self.reaches(number) else ():
            trial = self._first[key]
            inputs = self._identities[trial.id]
            before = self._made.get(key_of(inputs[number - 1])) if number else None
            alone = not any(stages.trains(inputs[earlier]) for earlier in range(number))
            if number and not alone and (before is None or before["path"] is None or before["failure"]):
                continue
            if points > 1 and key in self._certain and self._store.get(artifacts.KIND, key) is None:
                self._wanted.add(key)
                found[key] = self._job(trial, number, before and before["path"])
        return found

    def _job(self, trial: Trial, number: int, before: str | None) -> Job:
        record = self.recorder.record
        plan, resources = record.plan, record.resources
        gpus = float(resources["gpus_per_trial"]) if plan["numerics"]["device"] == "cuda" else 0.0
        order = StageOrder(
            store=str(self._store.place),
            inputs=self._identities[trial.id][number],
            plan={name: plan[name] for name in _PLAN if name in plan},
            prepared={name: self._prepared[name] for name in ("teacher", "student", "data")},
            point=trial.point,
            number=number,
            before=before,
            gpus=gpus,
            label=self._label(key_of(self._identities[trial.id][number]), number),
            numerics=plan["numerics"],
        )
        return Job(order, float(resources["cpus_per_trial"]), gpus)

    def _label(self, key: str, number: int) -> str:
        """ "Stage intermediate (p00 and 5 more)"."""
        first, more = self._first[key], self._users[number][key] - 1
        name = self._identities[first.id][number]["stages"][number]["stage"]
        whose = f"{self.recorder.path.name}, {first.id}" if self._several else first.id
        return f"Stage {name} ({whose}{f' and {more} more' if more else ''})"

    def _trials(self, number: int, key: str) -> list[str]:
        """Ids of all that need a stage, those that have ended among them."""
        return [id for id, found in self._identities.items() if found[number:] and key_of(found[number]) == key]

    def _numbers(self, number: int, key: str) -> dict[str, Any]:
        """Epochs of a stage, and which weights it leaves."""
        stage = self._identities[self._first[key].id][number]["stages"][number]
        return {"epochs": stage["training"]["epochs"], "keep": stage["keep"]}

    @property
    def bytes(self) -> int:
        """Of what a stage leaves, in float32."""
        return 4 * int(self._prepared["student"]["parameters"])

    def take(self, number: int, say: Say) -> None:
        """Note what the store now has of stage `number`."""
        for key, points in self._users[number].items() if self.reaches(number) else ():
            # What this sweep does not need in any case is as if another had not made it: what it is charged must not
            # depend on what the store happens to have.
            folder = self._store.get(artifacts.KIND, key) if key in self._certain else None
            if folder is None:
                continue
            facts = self._store.facts(folder)
            told = {name: facts[name] for name in ("stage", "seed", "seconds", "failure", "terms")}
            curve = [{name: row[name] for name in ("epoch", "value")} for row in facts["curve"]]
            before = self._made.get(key, {})
            self._made[key] = {
                **{"path": str(folder), "points": points, "trials": self._trials(number, key), **told},
                **self._numbers(number, key),
                # What an earlier session made was made for this sweep too.
                "made": key in self._wanted or before.get("made", False),
                "curve": curve,
            }
            state = f"{facts['seconds']:.0f} s"
            if facts["failure"]:
                state = f"{facts['failure']}; {plural(points, 'point')} cannot be trained"
            told_of = folder.name if key in self._wanted else f"found in the store ({folder.name})"
            say(f"{self._label(key, number)}: {told_of}, {state}.")

    def write(self) -> None:
        """Let the trials know."""
        if self._made:
            self.recorder.prepared({**self._prepared, "stages": self._made})
