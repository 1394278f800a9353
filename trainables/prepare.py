"""What the trials share: built once, before the first of them, by tasks that only the driver starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.artifacts import Store, key_of
from distill.errors import UserError
from distill.models.folder import Head
from distill.tasks import registry, tokens
from distill.tasks import rows as origins
from distill.tasks.base import Task, TaskData
from trainables import select
from trainables.teacher_work import Order, ReadingOrder, Remote, Say, TeacherOrder, find, wait


class Interrupted(Exception):
    """A person stopped the sweep while its teacher was being made."""


def load_data(config: dict[str, Any], plan: dict[str, Any]) -> TaskData:
    """The rows that the plan was made for, read or generated again.

    Args:
        config: What was asked, as the record has it.

    Raises:
        UserError: They cannot be read.
    """
    hub = plan["data"].get("hub") or {}
    data = origins.read(registry.get(plan["task"]), plan["data"]["origin"], config["data_dir"], hub.get("revision"))
    if config["max_train_rows"] and config["max_train_rows"] < len(data.train):
        data = data.limit_train(config["max_train_rows"], config["seed"])
    return select.split(data, config.get("select_on", "dev"), config["seed"])


def prepare(
    header: dict[str, Any], data: TaskData, say: Say, stopped: Callable[[], bool] = lambda: False
) -> dict[str, Any]:
    """Build or find the tokenised data and the teacher, read it as the trials will, and check it.

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
    head = next(point["head"] for point in plan["points"] if point["origin"] != "baseline")
    made = make_teacher(plan, data, head, say, stopped)
    own, verdict = made.own, made.read["verdict"]
    return {
        "teacher": {
            "path": str(made.folder / "model"),
            "key": made.folder.name,
            "weak": not verdict["ok"],
            "weak_reason": verdict["reason"],
            "predictions": str(made.reading / "predictions.npz"),
            "interval": verdict["interval"],
            "chance": verdict["chance"],
            "score": made.read["score"],
            "own_score": own["score"],
            "report": select.teacher_on_dev(own, made.read, made.reading),
            **{name: own[name] for name in ("content", "parameters", "layers", "hidden_size", "curve", "seconds")},
        },
        "student": _student(plan, made.folder, task),
        "data": {
            "path": str(made.rows),
            "key": made.rows.name,
            "train_rows": len(data.train),
            "dev_rows": len(data.reported),
            "fingerprint": header["fingerprint"]["data"],
            "majority": _majority(task, data),
            "mean_tokens": Store(plan["artifacts"]).facts(made.rows)["train"]["mean_tokens"],
        },
    }


@dataclass(frozen=True)
class Made:
    """A teacher that may teach, with what the trials read.

    Attributes:
        rows: Artifact of the trials' tokenised data.
        folder: Artifact of the teacher.
        reading: Artifact with its dev predictions as the trials read it; `folder` where they read it as it was trained.
        own: Facts of the teacher.
        read: Facts of the reading.
    """

    rows: Path
    folder: Path
    reading: Path
    own: dict[str, Any]
    read: dict[str, Any]


def make_teacher(
    plan: dict[str, Any], data: TaskData, head: Head, say: Say, stopped: Callable[[], bool] | None = None
) -> Made:
    """Find or make the teacher, read it as the trials will, and check it.

    Args:
        plan: A plan, or the part of it that `trainables.models.shared_part` makes.
        head: Through which the trials read it.
        say, stopped: As in `share`.

    Raises:
        UserError: It cannot teach and was not allowed to all the same.
    """
    rows, folder = share(plan, data, say, stopped)
    reading = read_teacher(plan, rows, folder, head, say, stopped)
    store = Store(plan["artifacts"])
    own, read = store.facts(folder), store.facts(reading)
    check_teacher(plan, own, read, head, len(data.dev), say)
    return Made(rows, folder, reading, own, read)


def teacher_order(plan: dict[str, Any], data: TaskData) -> TeacherOrder:
    """How the plan's teacher is made; its key in the store depends on nothing else.

    Args:
        plan: A plan, or the part of it that `trainables.models.shared_part` makes.
    """
    store, teacher = Store(plan["artifacts"]), plan["teacher"]
    encoder, length = Path(teacher["path"]), teacher["training"]["max_length"]
    return TeacherOrder(
        store=str(store.place),
        encoder=str(encoder),
        name=teacher["name"],
        tokens=str(store.path(tokens.KIND, key_of(tokens.identity(data, encoder, length)))),
        task=plan["task"],
        mode=teacher["mode"],
        training=teacher["training"],
        lr=teacher["lr"],
        seed=teacher["seed"],
        keep=teacher["keep"],
        numerics={**plan["numerics"], "threads": int(plan["cpus"])},
    )


def share(
    plan: dict[str, Any], data: TaskData, say: Say, stopped: Callable[[], bool] | None = None
) -> tuple[Path, Path]:
    """Folders of the trials' tokenised data and of the teacher, built where the store has none.

    The teacher reads rows of its own where its length is not that of the trials.

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
    tokens.prepare(store, data, encoder, teacher["training"]["max_length"])
    order = teacher_order(plan, data)
    if found := find(order):
        say(f"Teacher: found in the store ({found.name}).")
        return rows, found
    say(f"Teacher: {order.words()}.")
    return rows, _carry_out(order, lambda line: say(f"Teacher: {line}"), stopped)


def read_teacher(
    plan: dict[str, Any], rows: Path, teacher: Path, head: Head, say: Say, stopped: Callable[[], bool] | None = None
) -> Path:
    """The artifact with the teacher's dev predictions as the trials read it: its own where that is as it was trained.

    Args:
        rows: Artifact of the trials' tokenised data.
        teacher: Artifact of the teacher.
        head: Through which the trials read it.
        say, stopped: As in `share`.
    """
    training = plan["training"]
    if head == "own" and training["max_length"] == plan["teacher"]["training"]["max_length"]:
        return teacher
    order = ReadingOrder(
        store=plan["artifacts"],
        teacher=str(teacher),
        tokens=str(rows),
        task=plan["task"],
        head=head,
        batch=training["evaluation_batch"],
        numerics={**plan["numerics"], "threads": int(plan["cpus"])},
    )
    return find(order) or _carry_out(order, say, stopped)


def _carry_out(order: Order, say: Say, stopped: Callable[[], bool] | None) -> Path:
    """Do the work here, or have it done by a Ray task with all cores while its progress is told."""
    if stopped is None:
        return order.carry_out(say)
    work = Remote(order, order.numerics["threads"], int(order.numerics["device"] == "cuda"))
    try:
        while True:
            finished = wait([work], 0.5)
            for line in work.lines():
                say(line)
            if stopped():
                work.cancel()
                raise Interrupted
            if finished:
                return work.result()
    finally:
        work.close()


def check_teacher(
    plan: dict[str, Any], own: dict[str, Any], read: dict[str, Any], head: Head, dev_rows: int, say: Say
) -> None:
    """Tell the teacher's score as the trials read it, on the rows that choose, and refuse one that cannot teach.

    Args:
        own: Facts of the teacher.
        read: Facts of its reading; the same where the trials read it as it was trained.
        head: Through which they read it.

    Raises:
        UserError: It is no better than chance, or its labels are in another order, and that was not allowed.
    """
    teacher, verdict = plan["teacher"], read["verdict"]
    low, high = verdict["interval"]
    how = _otherwise(plan, head)
    before = f"{own['score']:.3f} as it was fine-tuned and, read as the trials do ({how}), " if how else ""
    say(
        f"Teacher: {teacher['name']}, {plan['metric']} {before}{read['score']:.3f} (95 % interval {low:.3f} to "
        f"{high:.3f}){select.where(plan) or f' on {dev_rows} dev rows'}, {own['parameters'] / 1e6:.1f} M parameters."
    )
    if not verdict["ok"]:
        reason = f"{verdict['reason']}, read as the trials do ({how})" if how else verdict["reason"]
        if not teacher["allow_weak"]:
            remedy = "train it longer or otherwise (--teacher-epochs, --teacher-lr)"
            if teacher["mode"] == "ready":
                remedy = "fine-tune it here (--finetune-teacher always, with --teacher-epochs and --teacher-lr)"
            raise UserError(
                f"The teacher cannot teach: {reason}; {remedy}, name another --teacher, or go on with "
                "--allow-weak-teacher."
            )
        say(f"Warning: {reason}. Going on, as --allow-weak-teacher asks; the report says so.")


def _otherwise(plan: dict[str, Any], head: Head) -> str:
    """How the trials read the teacher otherwise than it was trained, in words; empty where they do not."""
    differences = []
    if head == "relu":
        differences.append("through a ReLU before the classifier")
    if (length := plan["training"]["max_length"]) != plan["teacher"]["training"]["max_length"]:
        differences.append(f"at most {length} tokens a row")
    return ", ".join(differences)


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
    """Share of the most frequent class among the task's dev rows."""
    if task.kind == "regression":
        return None
    import numpy as np

    return float(np.bincount(data.reported.labels).max() / len(data.reported))
