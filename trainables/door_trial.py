"""One trial of a person's own Tuner, in a worker process. Knows its spec and its config, nothing of other trials."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from distill import given, methods
from distill.arguments import whole_number
from distill.errors import UserError
from distill.methods.base import Method, Shape, nearest
from distill.models.folder import check_embeddings
from distill.models.outputs import save_classifier
from distill.tasks.planned import task_of
from distill.tasks.tokens import load_tokenizer
from distill.training import checkpoint
from distill.training.assemble import assemble
from distill.training.loop import Diverged, Evaluation, Run
from distill.training.settings import TRAINING_FIELDS, Numerics, Training, parse, split
from trainables import beside, last_look
from trainables.door import STUDENT
from trainables.trial import teacher, tokens


@dataclass(frozen=True)
class Point:
    """A trial's config, checked: hyper-parameters, training numbers and seed, every default resolved."""

    method: Method
    params: dict[str, Any]
    training: Training
    seed: int

    def as_dict(self) -> dict[str, Any]:
        """Plain data, to be compared with that of a checkpoint."""
        return {**self.training.as_dict(), **self.params, "seed": self.seed}


def settle(spec: dict[str, Any], config: dict[str, Any]) -> Point:
    """Check a trial's config against the spec.

    Args:
        spec: As `plan_trials` made it.
        config: Hyper-parameters, training numbers and `seed`, flat.

    Raises:
        UserError: A name is unknown (the nearest known one is named), a value illegal, the row length another than that
            of the shared tokens, or the method cannot run on these networks.
    """
    method, task = methods.get(spec["method"]), task_of(spec)
    own = [hyper.name for hyper in method.hyperparameters]
    known = [*own, *TRAINING_FIELDS, "seed"]
    for name in config:
        if name not in known:
            raise UserError(f"{method.name} has no hyper-parameter {name}{nearest(name, known)}")
    brought = spec.get("given") or {}
    given.refuse_idle(method, brought, config, "")
    asked = {**spec["params"], **{name: value for name, value in config.items() if name != "seed"}}
    numbers = {name: parse(name, value) for name, value in asked.items() if name in TRAINING_FIELDS}
    values, training = split({**asked, **numbers}, Training(**spec["training"]))
    if training.max_length != spec["training"]["max_length"]:
        raise UserError(
            f"max_length={training.max_length} is not that of the tokens, {spec['training']['max_length']}: all trials "
            "share them, so pass it to trainable."
        )
    seed = whole_number("seed", config.get("seed", spec["seed"]), 0)
    own_shape = Shape(*spec["student_shape"])
    params = method.resolve(values, spec["recipe"], regression=task.kind == "regression", layers=own_shape.physical)
    student = own_shape.shared(method.sharing(params))
    teacher_shape = Shape(*spec["teacher_shape"])
    if problem := method.misfit(params, student, teacher_shape):
        raise UserError(problem)
    if method.embeddings(params) == "teacher" and spec["kept"] is None:
        check_embeddings(Path(spec["student"]), Path(spec["teacher"]), spec["student"], "")
    for what, folder in brought.items():
        given.check_sizes(what, folder, method, params, student, teacher_shape)
    return Point(method, params, training, seed)


def train(spec: dict[str, Any], config: dict[str, Any]) -> None:
    """What Ray Tune runs: train the point from its checkpoint, if Tune has one, and report once per evaluation.

    Args:
        spec: As `plan_trials` made it.
        config: The trial's config.

    Raises:
        UserError: The config is faulty, or the checkpoint is another trial's.
        Diverged: A loss is no longer finite.
    """
    from ray import tune

    point = settle(spec, config)
    try:
        _train(spec, point, tune)
    finally:
        # The run is gone; let its memory go before the process takes another trial.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _train(spec: dict[str, Any], point: Point, tune: Any) -> None:
    run = _fresh(spec, point)
    with TemporaryDirectory(prefix="distill-") as place:
        folder = Path(place)
        best, dev = _resume(run, spec, point, folder, tune.get_checkpoint())
        batch, device = run.training.evaluation_batch, run.numerics.device
        on_dev = last_look.of(spec, spec["data"], run.task, batch, device)
        evaluations = iter(run)
        while (evaluation := _next(evaluations, point, spec)) is not None:
            if not evaluation.reporting:
                continue
            if best is None or evaluation.value > best:
                best = evaluation.value
                shutil.rmtree(folder / STUDENT, ignore_errors=True)
                save_classifier(run.student, run.task, folder / STUDENT)
                load_tokenizer(Path(spec["teacher"])).save_pretrained(folder / STUDENT)
                dev = {} if on_dev is None else on_dev.look(run.student)[0]
            _save(run, spec, point, (best, dev), evaluation, folder)
            row = _row(evaluation, run.task.metric, best, dev)
            tune.report(row, checkpoint=tune.Checkpoint.from_directory(place))


def _next(evaluations: Iterator[Evaluation], point: Point, spec: dict[str, Any]) -> Evaluation | None:
    """Train to the next evaluation; None at the end. Only the training is guarded: Ray ends trials inside `report`."""
    try:
        return next(evaluations, None)
    except Diverged as error:
        raise Diverged(
            f"{spec['method']} on {spec['task']} diverged ({error}); lower lr={point.params['lr']:g}. Earlier "
            "evaluations and their checkpoints stand."
        ) from error


def _fresh(spec: dict[str, Any], point: Point) -> Run:
    """The point's run before its first step."""
    task, numerics = task_of(spec), Numerics(**spec["numerics"])
    run = assemble(
        point.method,
        task,
        spec["student"],
        tuple(spec["kept"]) if spec["kept"] else None,
        tokens(spec["data"]),
        params=point.params,
        training=point.training,
        numerics=numerics,
        recipe=spec["recipe"],
        head=spec["head"],
        seed=point.seed,
        source=teacher(spec["teacher"], task, numerics, spec["head"]),
        teacher=spec["teacher"],
        carried=beside.for_trial(spec, point.method, point.params),
    )
    given.begin(run, spec.get("given") or {})
    return run


def _save(
    run: Run,
    spec: dict[str, Any],
    point: Point,
    best: tuple[float, dict[str, float]],
    evaluation: Evaluation,
    folder: Path,
) -> None:
    """The state of the run beside its best student; the state before it has gone to Tune already."""
    for old in folder.glob("state-*.pt"):
        old.unlink()
    state = {"run": run.state(), "best": best[0], "spec": spec["identity"], "point": json.dumps(point.as_dict())}
    checkpoint.save(folder, evaluation.number, {**state, "dev": best[1]})


def _resume(
    run: Run, spec: dict[str, Any], point: Point, folder: Path, found: Any
) -> tuple[float | None, dict[str, float]]:
    """Let `run` go on from Tune's checkpoint; the best value so far, None for a fresh start, and its metrics on dev.

    Raises:
        UserError: The checkpoint belongs to another teacher, data or config: going on would mix two trials.
        RuntimeError: It cannot be read.
    """
    if found is None:
        return None, {}
    with found.as_directory() as source:
        state = checkpoint.load(Path(source))
        if state is None:
            raise RuntimeError(f"the checkpoint {found.path} cannot be read")
        if state["spec"] != spec["identity"]:
            raise UserError(
                f"The checkpoint {found.path} was made with another teacher, student, data or device; restore with the "
                "options that trainable was called with."
            )
        mine, theirs = point.as_dict(), json.loads(state["point"])
        if changed := [name for name in {**theirs, **mine} if mine.get(name) != theirs.get(name)]:
            raise UserError(
                f"The checkpoint {found.path} has another {', '.join(changed)}: a trial goes on with its own config, "
                "so schedulers that exchange configs between trials (PBT) do not work here."
            )
        shutil.copytree(Path(source) / STUDENT, folder / STUDENT)
    run.load_state(state["run"])
    return float(state["best"]), dict(state["dev"])


def _row(evaluation: Evaluation, metric: str, best: float, dev: dict[str, float]) -> dict[str, Any]:
    """A flat report."""
    return {
        **evaluation.metrics,
        metric: evaluation.value,
        "value": evaluation.value,
        "best": best,
        "epoch": float(evaluation.epoch),
        "evaluation": evaluation.number,
        "seconds": evaluation.seconds,
        "lr": evaluation.lr,
        **{f"terms/{name}": value for name, value in evaluation.terms.items()},
        **{f"dev/{name}": value for name, value in dev.items()},
    }
