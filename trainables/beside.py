"""What trials share of a stage that is trained on the teacher itself, such as TED's filters: made before the first one.

An artifact of the teacher's side is the same for all seeds, sizes and sweeps that settle it alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill import methods
from distill.artifacts import Store, key_of
from distill.methods.base import Method, Shape
from distill.tasks.own import PLANNED
from distill.teacher import beside
from distill.teacher.beside import Side
from distill.training.settings import Training, of_stage, split
from trainables import stages
from trainables.building import Job, build_what_can_be, room_for
from trainables.record import FINISHED, Record
from trainables.teacher_source import shape_of
from trainables.teacher_work import Computed, Say, Telling

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.recorder import Recorder


def side(plan: dict[str, Any], prepared: dict[str, Any]) -> Side:
    """The plan's teacher, where `prepared` has it."""
    teacher, made = plan["teacher"], prepared["teacher"]
    return Side(
        model=made["path"],
        content=made["content"],
        rows=made["rows"],
        task=plan["task"],
        training=teacher["training"],
        lr=teacher["lr"],
        seed=teacher["seed"],
        numerics=plan["numerics"],
        own_task=plan.get(PLANNED),
    )


def identity(plan: dict[str, Any], prepared: dict[str, Any], point: dict[str, Any]) -> dict[str, Any] | None:
    """What determines what a point takes of the teacher's side; None where it takes nothing, or what a person gave."""
    method = methods.get(point["method"])
    params, _ = split(point["params"], Training(**plan["training"]))
    if method.taken_of_teacher(params) is None or (plan.get("given") or {}).get("teacher_filters"):
        return None
    shapes = shape_of(plan["student"]), shape_of(plan["teacher"])
    recipe = point.get("recipe", plan["recipe"])
    return beside.identity(method, params, recipe, *shapes, side(plan, prepared))


def epochs_before(plan: dict[str, Any]) -> int:
    """Epochs over the teacher's rows in which what a plan's points need of its side is trained, each once."""
    found: dict[str, int] = {}
    teacher = plan["teacher"]
    for point in plan["points"]:
        params, _ = split(point["params"], Training(**plan["training"]))
        on_teacher = methods.get(point["method"]).taken_of_teacher(params)
        if on_teacher is None or (plan.get("given") or {}).get("teacher_filters"):
            continue
        values = on_teacher.settle(params, shape_of(plan["student"]), shape_of(teacher))
        run = {**params, "lr": teacher["lr"]}
        own, lr = of_stage(on_teacher.stage, run, point["recipe"], Training(**teacher["training"]))
        named = {name: point[name] for name in ("method", "recipe")}
        found[key_of({**named, "values": values, "training": own.as_dict(), "lr": lr})] = own.epochs
    return sum(found.values())


def of_point(plan: dict[str, Any], prepared: dict[str, Any], point: dict[str, Any]) -> dict[str, Any]:
    """`prepared.json` without what of the teacher's side a point does not need, so that no node copies that."""
    if not (made := prepared.get("beside")):
        return prepared
    inputs = identity(plan, prepared, point)
    mine = None if inputs is None else key_of(inputs)
    return {**prepared, "beside": {key: found for key, found in made.items() if key == mine}}


def carried(plan: dict[str, Any], prepared: dict[str, Any], point: dict[str, Any]) -> dict[str, Tensor]:
    """What the stages of a point find of the teacher's side; trained here where nobody made it before.

    That is so for points that were suggested later, with values of these filters that no other point has.

    Raises:
        Diverged: The loss of its stage was not finite.
    """
    from distill import given

    method = methods.get(point["method"])
    found = given.carried(given.taken(method, point["params"], prepared.get("given") or {}))
    if (inputs := identity(plan, prepared, point)) is None:
        return found
    made = (prepared.get("beside") or {}).get(key_of(inputs), {}).get("path")
    if made is None:
        made = beside.make(Store(plan["artifacts"]), inputs, method, side(plan, prepared))
    return {**found, **beside.carried(Path(made))}


def seconds_alone(plan: dict[str, Any], prepared: dict[str, Any], point: dict[str, Any]) -> float:
    """Time of what a point's own trial had made of the teacher's side, because the sweep did not; 0 where it did.

    The same wherever the store had it from, as is all that a sweep is charged.
    """
    if (inputs := identity(plan, prepared, point)) is None or key_of(inputs) in (prepared.get("beside") or {}):
        return 0.0
    store = Store(plan["artifacts"])
    return float(store.facts(store.path(beside.KIND, key_of(inputs)))["seconds"])


def blank(plan: dict[str, Any], prepared: dict[str, Any], point: dict[str, Any]) -> dict[str, Tensor]:
    """As many tensors as `carried` would give, as large, for which nothing is trained: what is not given is 0."""
    import torch

    from distill import given

    method = methods.get(point["method"])
    found = given.carried(given.taken(method, point["params"], prepared.get("given") or {}))
    if method.on_teacher is None or identity(plan, prepared, point) is None:
        return found
    params, _ = split(point["params"], Training(**plan["training"]))
    shapes = method.on_teacher.shapes(params, shape_of(plan["student"]), shape_of(plan["teacher"]))[given.TEACHER]
    return {**found, **{beside.PREFIX + name: torch.zeros(shape) for name, shape in shapes.items()}}


def for_trial(
    spec: dict[str, Any], method: Method, params: dict[str, Any], say: Say = lambda line: None
) -> dict[str, Tensor]:
    """What a trial of a person's own Tuner finds of the teacher's side: given, in the store, or made there.

    Args:
        spec: What the trials share, with `side`, `given` and `artifacts` where the method has such a stage.
        params: The trial's resolved values.
        say: Takes one line of progress.

    Raises:
        Diverged: The loss of its stage was not finite.
    """
    from distill import given

    found = given.carried(spec.get("given") or {})
    if method.taken_of_teacher(params) is None or given.TEACHER in (spec.get("given") or {}):
        return found
    shapes, its = (Shape(*spec["student_shape"]), Shape(*spec["teacher_shape"])), Side(**spec["side"])
    inputs = beside.identity(method, params, spec["recipe"], *shapes, its)
    if Store(spec["artifacts"]).get(beside.KIND, key_of(inputs)) is None:
        say(f"{label(method)}: trained for {inputs['training']['epochs']} epochs.")
    return {**found, **beside.carried(beside.make(Store(spec["artifacts"]), inputs, method, its))}


@dataclass(frozen=True)
class BesideOrder(Computed):
    """Everything a worker needs to train a method's stage on the teacher.

    Attributes:
        gpus: Share of a GPU that a trial has.
    """

    store: str
    inputs: dict[str, Any]
    method: str
    side: Side
    gpus: float
    label: str
    numerics: dict[str, Any]

    def names(self) -> list[tuple[str, str]]:
        """Kind and key of the artifact in the store."""
        return [(beside.KIND, key_of(self.inputs))]

    def carry_out(self, say: Say) -> Path:
        """Train it in this process, one line per evaluation and one a minute while there is none."""
        from trainables import memory

        memory.fence(self.gpus)
        telling = Telling(say, self.inputs["training"]["epochs"], "loss {:.3g}".format)
        method = methods.get(self.method)
        return beside.make(Store(self.store), self.inputs, method, self.side, telling.evaluated, telling.stepped)

    def too_large(self, what: str) -> str:
        """What to do where memory did not suffice."""
        return f"{what}; lower --teacher-set batch_size."


def share(recorders: Sequence[Recorder], say: Say, stopped: Callable[[], bool] | None = None) -> None:
    """Find or make what unfinished points of some sweeps need of the teacher's side, and write it down for them.

    Args:
        recorders: Of sweeps that are prepared.
        say: Takes one line of progress.
        stopped: As in `trainables.building.build`.

    Raises:
        UserError: The store has no room for them, or is full.
        Interrupted: `stopped` said so.
    """
    wanted = {id(recorder): _wanted(recorder) for recorder in recorders}
    jobs: dict[str, tuple[Job, int]] = {}
    for recorder in recorders:
        for key, inputs in wanted[id(recorder)].items():
            if Store(recorder.record.plan["artifacts"]).get(beside.KIND, key) is None:
                jobs.setdefault(key, (_job(recorder, inputs), _bytes(recorder, inputs)))
    if jobs:
        record = recorders[0].record
        orders = [(job.order, size) for job, size in jobs.values()]
        room_for(orders, 0, Path(record.plan["artifacts"]), record.header["config"].get("artifacts_gb"), say)
        at_once = max(int(recorder.record.resources["max_concurrent"]) for recorder in recorders)
        build_what_can_be([job for job, _ in jobs.values()], at_once, say, stopped)
    for recorder in recorders:
        _take(recorder, wanted[id(recorder)], set(jobs), say)


def _wanted(recorder: Recorder) -> dict[str, dict[str, Any]]:
    """What the points of a sweep that are not finished, or are yet to be suggested, need, by key.

    Where device-seconds are limited, that is what some point needs which is run in any case: a sweep is charged for it.
    """
    record, needed, certain = recorder.record, {}, set()
    assert record.prepared is not None
    begins = stages.in_any_case(record)
    for trial in record.everything():
        if methods.get(trial.point["method"]).on_teacher is None:
            continue
        if (inputs := identity(record.plan, record.prepared, trial.point)) is None:
            continue
        # Also of those that have ended: what was made for them serves the others on.
        if trial.id in begins:
            certain.add(key_of(inputs))
        if trial.state not in FINISHED or record.to_suggest:
            needed[key_of(inputs)] = inputs
    return {key: inputs for key, inputs in needed.items() if key in certain}


def _job(recorder: Recorder, inputs: dict[str, Any]) -> Job:
    record = recorder.record
    plan, resources = record.plan, record.resources
    gpus = float(resources["gpus_per_trial"]) if plan["numerics"]["device"] == "cuda" else 0.0
    order = BesideOrder(
        store=str(plan["artifacts"]),
        inputs=inputs,
        method=inputs["method"],
        side=side(plan, dict(record.prepared or {})),
        gpus=gpus,
        label=label(methods.get(inputs["method"])),
        numerics=plan["numerics"],
    )
    return Job(order, float(resources["cpus_per_trial"]), gpus)


def label(method: Method) -> str:
    """ "Teacher's filters", for the stage "teacher-filters"."""
    assert method.on_teacher is not None
    return f"Teacher's {method.on_teacher.stage.name.removeprefix('teacher-')}"


def _bytes(recorder: Recorder, inputs: dict[str, Any]) -> int:
    """About as many as the squares of the teacher's width behind each of its layers, in float32."""
    teacher = shape_of(recorder.record.plan["teacher"])
    return 4 * teacher.layers * teacher.hidden_size**2


def _take(recorder: Recorder, wanted: dict[str, dict[str, Any]], made: set[str], say: Say) -> None:
    """Note what the store now has for a sweep."""
    record = recorder.record
    store, noted = Store(record.plan["artifacts"]), dict((record.prepared or {}).get("beside") or {})
    takers = _takers(record)
    for key, inputs in wanted.items():
        if (folder := store.get(beside.KIND, key)) is None:
            continue
        facts = store.facts(folder)
        told = {name: facts[name] for name in ("stage", "seconds", "failure")}
        curve = [{name: row[name] for name in ("epoch", "value")} for row in facts["curve"]]
        noted[key] = {
            **{"path": str(folder), "trials": takers[key], **told},
            **{"epochs": inputs["training"]["epochs"], "keep": _keep(inputs)},
            # What an earlier session made was made for this sweep too.
            "made": key in made or noted.get(key, {}).get("made", False),
            "curve": curve,
        }
        where = folder.name if key in made else f"found in the store ({folder.name})"
        state = facts["failure"] or f"{facts['seconds']:.0f} s"
        say(f"{label(methods.get(inputs['method']))}: {where}, {state}.")
    if noted and noted != (record.prepared or {}).get("beside"):
        recorder.prepared({**(record.prepared or {}), "beside": noted})


def _takers(record: Record) -> dict[str, list[str]]:
    """By the key of an artifact, ids of all trials that take it, those that have ended among them."""
    found: dict[str, list[str]] = {}
    for trial in record.everything():
        if (inputs := identity(record.plan, record.prepared or {}, trial.point)) is not None:
            found.setdefault(key_of(inputs), []).append(trial.id)
    return found


def _keep(inputs: dict[str, Any]) -> str:
    """Which weights the stage leaves."""
    on_teacher = methods.get(inputs["method"]).on_teacher
    assert on_teacher is not None
    return on_teacher.stage.keep(inputs["recipe"])
