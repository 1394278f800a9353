"""What the trials share: built once, before the first of them, by tasks that only the driver starts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.artifacts import Store, hash_file
from distill.errors import UserError
from distill.tasks import glue, registry, tokens
from distill.tasks.base import Task, TaskData
from distill.training.settings import Numerics, Training

Say = Callable[[str], None]


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


def prepare(header: dict[str, Any], data: TaskData, say: Say, remote: bool) -> dict[str, Any]:
    """Build or find the tokenised data and the teacher, and check the teacher.

    Args:
        say: Takes one line of progress.
        remote: Make the teacher in a Ray task with all cores; else in this process.

    Returns:
        The content of `prepared.json`.

    Raises:
        UserError: The teacher is no better than chance and was not allowed to be.
    """
    plan = header["plan"]
    store = Store(plan["artifacts"])
    task = registry.get(plan["task"])
    teacher = plan["teacher"]
    encoder = Path(teacher["path"])
    if plan["student"]["init"] == "folder" and not tokens.same_vocabulary(encoder, Path(plan["student"]["path"])):
        raise UserError(
            f"--student {plan['student']['path']} and the teacher split text into different tokens: "
            "both must share one vocabulary."
        )
    rows = tokens.prepare(store, data, encoder, plan["training"]["max_length"])
    threads = int(plan["resources"]["cpus"])
    order = TeacherOrder(
        store=str(store.place),
        encoder=str(encoder),
        tokens=str(rows),
        task=task.name,
        training=teacher["training"],
        lr=teacher["lr"],
        seed=teacher["seed"],
        numerics={**plan["numerics"], "threads": threads},
        progress=str(store.place / f".progress-{hash(str(rows)) & 0xFFFFFF:06x}-{int(time.time())}.jsonl"),
    )
    folder = _teacher(order, say, remote, threads, plan["numerics"]["device"])
    facts = store.facts(folder)
    verdict = facts["verdict"]
    low, high = verdict["interval"]
    say(
        f"Teacher: {teacher['name']}, {task.metric} {facts['score']:.3f} (95 % interval {low:.3f} to {high:.3f}) on "
        f"{len(data.dev)} dev rows, {facts['parameters'] / 1e6:.1f} M parameters."
    )
    if not verdict["ok"]:
        if not teacher["allow_weak"]:
            raise UserError(
                f"The teacher cannot teach: {verdict['reason']}; train it longer or otherwise (--teacher-epochs, "
                "--teacher-lr), name another --teacher, or go on with --allow-weak-teacher."
            )
        say(f"Warning: {verdict['reason']}. Going on, as --allow-weak-teacher asks; the report says so.")
    student = _student(plan, folder, task)
    majority = _majority(task, data)
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
        "student": student,
        "data": {
            "path": str(rows),
            "key": rows.name,
            "train_rows": len(data.train),
            "dev_rows": len(data.dev),
            "fingerprint": header["fingerprint"]["data"],
            "majority": majority,
            "mean_tokens": store.facts(rows)["train"]["mean_tokens"],
        },
    }


def _teacher(order: TeacherOrder, say: Say, remote: bool, threads: int, device: str) -> Path:
    """Find the teacher in the store, or have it made while its progress is told."""
    from distill.teacher import finetune

    recipe = finetune.TeacherRecipe(Training(**order.training), order.lr, order.seed)
    identity = finetune.identity(
        Path(order.encoder), Path(order.tokens), registry.get(order.task), recipe, Numerics(**order.numerics)
    )
    store = Store(order.store)
    from distill.artifacts import key_of

    if found := store.get(finetune.KIND, key_of(identity)):
        say(f"Teacher: found in the store ({found.name}).")
        return found
    say(f"Teacher: fine-tuning for {order.training['epochs']} epochs at learning rate {order.lr:g}.")
    if not remote:
        return make_teacher(order, lambda line: say(line))
    import ray

    task = ray.remote(num_cpus=threads, num_gpus=1 if device == "cuda" else 0, max_retries=2)(_remote_teacher)
    pending = task.remote(order)
    progress, told = Path(order.progress), 0
    try:
        while True:
            ready, _ = ray.wait([pending], timeout=0.5)
            lines = progress.read_text().splitlines() if progress.exists() else []
            for line in lines[told:]:
                say(json.loads(line))
            told = len(lines)
            if ready:
                return Path(ray.get(pending))
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
    from distill.training.loop import Evaluation

    task = registry.get(order.task)

    def tell(evaluation: Evaluation) -> None:
        say(
            f"Teacher: epoch {evaluation.epoch:g} of {order.training['epochs']}, {task.metric} {evaluation.value:.3f}, "
            f"{evaluation.seconds:.0f} s."
        )

    return finetune.finetune(
        Store(order.store),
        Path(order.encoder),
        Path(order.tokens),
        task,
        finetune.TeacherRecipe(Training(**order.training), order.lr, order.seed),
        Numerics(**order.numerics),
        tell,
    )


def _student(plan: dict[str, Any], teacher: Path, task: Task) -> dict[str, Any]:
    """Where every trial takes its first weights from, and what they amount to."""
    from distill.models.capture import shape_of
    from distill.models.student import load_classifier, parameter_count

    spec = plan["student"]
    path = str(teacher / "model") if spec["init"] == "teacher" else spec["path"]
    model = load_classifier(path, task, tuple(spec["layers"]) if spec["layers"] else None)
    shape = shape_of(model)
    return {
        "path": path,
        "kept": spec["layers"],
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


def check_unchanged(prepared: dict[str, Any]) -> None:
    """Raise UserError when a shared artifact is gone or was altered since the sweep began."""
    for part in ("teacher", "data"):
        folder = Path(prepared[part]["path"])
        if not folder.exists():
            raise UserError(f"{folder} is gone from the store; restore it, or start a new sweep.")
    weights = next(Path(prepared["teacher"]["path"]).glob("*.safetensors"), None)
    if weights is None or not hash_file(weights):
        raise UserError(f"{prepared['teacher']['path']} has no weights; start a new sweep.")
