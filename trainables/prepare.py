"""What the trials share: built once, before the first of them, by tasks that only the driver starts."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.artifacts import Store
from distill.errors import UserError
from distill.tasks import glue, registry, tokens
from distill.tasks.base import Task, TaskData
from distill.training.settings import Numerics, Training

Say = Callable[[str], None]


class Interrupted(Exception):
    """A person stopped the sweep while its teacher was being made."""


@dataclass(frozen=True)
class TeacherOrder:
    """Everything a worker needs to make the teacher."""

    store: str
    encoder: str
    tokens: str
    task: str
    training: dict[str, Any]
    lr: float
    seed: int
    numerics: dict[str, Any]
    progress: str


def load_data(config: dict[str, Any], plan: dict[str, Any]) -> TaskData:
    """The rows that the plan was made for, read or generated again.

    Raises:
        UserError: They cannot be read.
    """
    task = registry.get(plan["task"])
    data = glue.load_made_up(task, seed=0) if task.made_up else glue.load(task, config["data_dir"])
    if config["max_train_rows"] and config["max_train_rows"] < len(data.train):
        data = data.limit_train(config["max_train_rows"], config["seed"])
    return data


def prepare(
    header: dict[str, Any], data: TaskData, say: Say, stopped: Callable[[], bool] = lambda: False
) -> dict[str, Any]:
    """Build or find the tokenised data and the teacher, and check the teacher.

    Args:
        say: Takes one line of progress.
        stopped: Whether the person wants to stop; asked now and then.

    Returns:
        The content of `prepared.json`.

    Raises:
        UserError: The teacher is no better than chance and was not allowed to be.
        Interrupted: `stopped` said so.
    """
    plan = header["plan"]
    task = registry.get(plan["task"])
    student = plan["student"]
    if student["init"] == "folder" and not tokens.same_vocabulary(Path(plan["teacher"]["path"]), Path(student["path"])):
        raise UserError(
            f"--student {student['path']} and the teacher split text into different tokens: "
            "both must share one vocabulary."
        )
    rows, folder = share(plan, data, say, stopped)
    store = Store(plan["artifacts"])
    facts = store.facts(folder)
    verdict = check_teacher(plan, facts, len(data.dev), say)
    return {
        "teacher": {
            "path": str(folder / "model"),
            "key": folder.name,
            "weak": not verdict["ok"],
            "weak_reason": verdict["reason"],
            "predictions": str(folder / "predictions.npz"),
            "interval": verdict["interval"],
            "chance": verdict["chance"],
            **{k: facts[k] for k in ("content", "score", "parameters", "layers", "hidden_size", "curve", "seconds")},
        },
        "student": _student(plan, folder, task),
        "data": {
            "path": str(rows),
            "key": rows.name,
            "train_rows": len(data.train),
            "dev_rows": len(data.dev),
            "fingerprint": header["fingerprint"]["data"],
            "majority": _majority(task, data),
            "mean_tokens": store.facts(rows)["train"]["mean_tokens"],
        },
    }


def share(
    plan: dict[str, Any], data: TaskData, say: Say, stopped: Callable[[], bool] | None = None
) -> tuple[Path, Path]:
    """Folders of the tokenised data and of the teacher, built where the store has none.

    Args:
        plan: A plan, or the part of it that `trainables.models.shared_part` makes.
        data: The rows.
        say: Takes one line of progress.
        stopped: Given, the teacher is made in a Ray task with all cores, and stopped when this says so; else it is
            made in this process.
    """
    store, teacher = Store(plan["artifacts"]), plan["teacher"]
    encoder = Path(teacher["path"])
    rows = tokens.prepare(store, data, encoder, plan["training"]["max_length"])
    order = TeacherOrder(
        store=str(store.place),
        encoder=str(encoder),
        tokens=str(rows),
        task=plan["task"],
        training=teacher["training"],
        lr=teacher["lr"],
        seed=teacher["seed"],
        numerics={**plan["numerics"], "threads": int(plan["cpus"])},
        progress=str(store.place / f".progress-{os.getpid()}-{time.time_ns()}.jsonl"),
    )
    return rows, _teacher(order, say, stopped)


def check_teacher(plan: dict[str, Any], facts: dict[str, Any], dev_rows: int, say: Say) -> dict[str, Any]:
    """Tell the teacher's dev score and refuse one that cannot teach; its verdict.

    Raises:
        UserError: It is no better than chance, or its labels are in another order, and that was not allowed.
    """
    verdict: dict[str, Any] = facts["verdict"]
    low, high = verdict["interval"]
    say(
        f"Teacher: {plan['teacher']['name']}, {plan['metric']} {facts['score']:.3f} (95 % interval {low:.3f} to "
        f"{high:.3f}) on {dev_rows} dev rows, {facts['parameters'] / 1e6:.1f} M parameters."
    )
    if not verdict["ok"]:
        if not plan["teacher"]["allow_weak"]:
            raise UserError(
                f"The teacher cannot teach: {verdict['reason']}; train it longer or otherwise (--teacher-epochs, "
                "--teacher-lr), name another --teacher, or go on with --allow-weak-teacher."
            )
        say(f"Warning: {verdict['reason']}. Going on, as --allow-weak-teacher asks; the report says so.")
    return verdict


def _teacher(order: TeacherOrder, say: Say, stopped: Callable[[], bool] | None) -> Path:
    """Find the teacher in the store, or have it made while its progress is told."""
    from distill.artifacts import key_of
    from distill.teacher import finetune

    recipe = finetune.TeacherRecipe(Training(**order.training), order.lr, order.seed)
    identity = finetune.identity(
        Path(order.encoder), Path(order.tokens), registry.get(order.task), recipe, Numerics(**order.numerics)
    )
    store = Store(order.store)
    if found := store.get(finetune.KIND, key_of(identity)):
        say(f"Teacher: found in the store ({found.name}).")
        return found
    say(f"Teacher: fine-tuning for {order.training['epochs']} epochs at learning rate {order.lr:g}.")
    if stopped is None:
        return make_teacher(order, lambda line: say(line))
    import ray

    task = ray.remote(
        num_cpus=order.numerics["threads"], num_gpus=int(order.numerics["device"] == "cuda"), max_retries=2
    )(_remote_teacher)
    pending = task.remote(order)
    progress, told = Path(order.progress), 0
    try:
        while True:
            ready, _ = ray.wait([pending], timeout=0.5)
            lines = progress.read_text().splitlines() if progress.exists() else []
            for line in lines[told:]:
                say(json.loads(line))
            told = len(lines)
            if stopped():
                ray.cancel(pending, force=True)
                raise Interrupted
            if ready:
                return Path(ray.get(pending))
    except ray.exceptions.RayTaskError as error:
        # Ray's text is the worker's traceback; what a person can mend is one sentence.
        if isinstance(error.cause, UserError):
            raise UserError(str(error.cause)) from None
        raise
    finally:
        progress.unlink(missing_ok=True)


def _remote_teacher(order: TeacherOrder) -> str:
    progress = Path(order.progress)
    progress.parent.mkdir(parents=True, exist_ok=True)

    def tell(line: str) -> None:
        with progress.open("a") as stream:
            stream.write(json.dumps(line) + "\n")

    return str(make_teacher(order, tell))


def make_teacher(order: TeacherOrder, say: Say) -> Path:
    """Fine-tune the teacher in this process."""
    from distill.teacher import finetune
    from distill.training.loop import Diverged, Evaluation

    task = registry.get(order.task)

    def tell(evaluation: Evaluation) -> None:
        say(
            f"Teacher: epoch {evaluation.epoch:g} of {order.training['epochs']}, {task.metric} {evaluation.value:.3f}, "
            f"{evaluation.seconds:.0f} s."
        )

    try:
        return finetune.finetune(
            Store(order.store),
            Path(order.encoder),
            Path(order.tokens),
            task,
            finetune.TeacherRecipe(Training(**order.training), order.lr, order.seed),
            Numerics(**order.numerics),
            tell,
        )
    except Diverged as error:
        raise UserError(f"The teacher's training diverged at --teacher-lr {order.lr:g}: {error}; lower it.") from error


def _student(plan: dict[str, Any], teacher: Path, task: Task) -> dict[str, Any]:
    """Where every trial takes its first weights from, and what they amount to."""
    from distill.models.capture import shape_of
    from distill.models.student import load_classifier, parameter_count

    spec = plan["student"]
    path = str(teacher / "model") if spec["init"] == "teacher" else spec["path"]
    model = load_classifier(path, task, tuple(spec["kept"]) if spec["kept"] else None)
    shape = shape_of(model)
    return {
        "path": path,
        "kept": spec["kept"],
        "init": spec["init"],
        "parameters": parameter_count(model),
        "layers": shape.layers,
        "hidden_size": shape.hidden_size,
    }


def _majority(task: Task, data: TaskData) -> float | None:
    """Share of the most frequent class among the dev rows."""
    if task.kind == "regression":
        return None
    import numpy as np

    return float(np.bincount(data.dev.labels).max() / len(data.dev))
