"""What the trials share: built once, before the first of them, by tasks that only the driver starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.artifact_command import size_words
from distill.artifacts import SEAL, Store, key_of
from distill.errors import UserError
from distill.given import refuse_changed
from distill.models.folder import Head
from distill.tasks import tokens
from distill.tasks.base import Task, TaskData
from distill.tasks.planned import task_of
from distill.teacher.parts import Kept
from trainables import further, select
from trainables.building import Interrupted, build, room_for
from trainables.orders import OutputsOrder, TokensOrder
from trainables.outputs_cost import outputs_seconds
from trainables.rows import load_data
from trainables.teacher_source import kept_outputs, rows_bytes
from trainables.teacher_work import Order, ReadingOrder, Say, TeacherOrder, find


def prepare(
    header: dict[str, Any], data: TaskData, say: Say, stopped: Callable[[], bool] | None = lambda: False
) -> dict[str, Any]:
    """Build or find the tokenised data, the teacher and what the plan keeps of its outputs; check the teacher.

    Args:
        say: Takes one line of progress.
        stopped: Whether the person wants to stop; asked now and then. None makes all in this process, without Ray.

    Returns:
        The content of `prepared.json`.

    Raises:
        UserError: The teacher is no better than chance and was not allowed to be, the store is too small, or filters
            that a person gave have changed.
        Interrupted: `stopped` said so.
    """
    plan = header["plan"]
    refuse_changed(plan.get("given") or {})
    task = task_of(plan)
    student = plan["student"]
    if student["init"] == "folder" and not tokens.same_vocabulary(Path(plan["teacher"]["path"]), Path(student["path"])):
        raise UserError(
            f"--student {student['path']} and the teacher split text into different tokens: "
            "both must share one vocabulary."
        )
    head = _head(plan)
    make_room(plan, data, head, header["config"].get("artifacts_gb"), say)
    made = make_teacher(plan, data, head, say, stopped, kept_outputs(plan))
    own, verdict = made.own, made.read["verdict"]
    return {
        "teacher": {
            "path": str(made.folder / "model"),
            "key": made.folder.name,
            "rows": teacher_order(plan, data).tokens,
            "outputs": str(made.outputs) if made.outputs else None,
            "outputs_dev": str(made.outputs_dev) if made.outputs_dev else None,
            "outputs_seconds": outputs_seconds(plan, [made.outputs, made.outputs_dev], as_trained(plan, head)),
            "weak": not verdict["ok"],
            "weak_reason": verdict["reason"],
            "predictions": str(made.reading / "predictions.npz"),
            "interval": verdict["interval"],
            "chance": verdict["chance"],
            "score": made.read["score"],
            "metrics": made.read.get("metrics"),
            "own_score": own["score"],
            "report": select.teacher_on_dev(own, made.read, made.reading),
            **{name: own[name] for name in ("content", "parameters", "layers", "hidden_size", "curve", "seconds")},
        },
        **({"given": {what: found["path"] for what, found in given.items()}} if (given := plan.get("given")) else {}),
        "student": _student(plan, made.folder, task),
        **({"further": further.prepare(plan, data, made.folder, head, say, stopped)} if data.beside else {}),
        "data": {
            "path": str(made.rows),
            "key": made.rows.name,
            "train_rows": len(data.of_student().train),
            "dev_rows": len(data.reported),
            "fingerprint": header["fingerprint"]["data"],
            "majority": _majority(task, data),
            "mean_tokens": Store(plan["artifacts"]).facts(made.rows)["train"]["mean_tokens"],
        },
    }


def check_room(header: dict[str, Any], data: TaskData, say: Say) -> None:
    """`make_room` where the store has a limit, before anything takes time.

    Raises:
        UserError: What the sweep takes from the store does not fit into it.
    """
    if (limit := header["config"].get("artifacts_gb")) is not None:
        make_room(header["plan"], data, _head(header["plan"]), limit, say)


def _head(plan: dict[str, Any]) -> Head:
    """Through which the trials read the teacher."""
    head: Head = next(point["head"] for point in plan["points"] if point["origin"] != "baseline")
    return head


@dataclass(frozen=True)
class Made:
    """A teacher that may teach, with what the trials read.

    Attributes:
        rows: Artifact of the trials' tokenised data.
        folder: Artifact of the teacher.
        reading: Artifact with its dev predictions as the trials read it; `folder` where they read it as it was trained.
        own: Facts of the teacher.
        read: Facts of the reading.
        outputs, outputs_dev: Artifacts with its outputs on training and dev rows, where they are kept.
    """

    rows: Path
    folder: Path
    reading: Path
    own: dict[str, Any]
    read: dict[str, Any]
    outputs: Path | None = None
    outputs_dev: Path | None = None


def make_teacher(
    plan: dict[str, Any],
    data: TaskData,
    head: Head,
    say: Say,
    stopped: Callable[[], bool] | None = None,
    kept: Sequence[Kept] = (),
) -> Made:
    """Find or make the teacher, read it as the trials will, and check it.

    Args:
        plan: A plan, or the part of it that `trainables.models.shared_part` makes.
        head: Through which the trials read it.
        say, stopped: As in `share`.
        kept: What is to be kept of its outputs.

    Raises:
        UserError: It cannot teach and was not allowed to all the same.
    """
    rows, folder = share(plan, data, say, stopped)
    store = Store(plan["artifacts"])
    own = store.facts(folder)
    if as_trained(plan, head):
        # Before anything is read for a teacher that cannot teach.
        check_teacher(plan, own, own, head, len(data.dev), say)
    reading, outputs = read_teacher(plan, rows, folder, head, say, stopped, kept)
    read = store.facts(reading)
    if not as_trained(plan, head):
        check_teacher(plan, own, read, head, len(data.dev), say)
    return Made(rows, folder, reading, own, read, outputs.get("train"), outputs.get("dev"))


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
        tokens=str(store.path(tokens.KIND, key_of(tokens.identity(data.of_teacher(), encoder, length)))),
        task=task_of(plan),
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
        stopped: Given, each is made by a Ray task, the teacher with all cores, and stopped when this says so; else
            in this process.
    """
    rows = build(_tokens_orders(plan, data), plan, say, stopped)[0]
    for line in tokens.about_windows(Store(plan["artifacts"]).facts(rows)):
        say(f"Rows: {line}")
    order = teacher_order(plan, data)
    if found := find(order):
        say(f"Teacher: found in the store ({found.name}).")
        return rows, found
    say(f"Teacher: {order.words()}.")
    return rows, build([order], plan, say, stopped)[0]


def _tokens_orders(plan: dict[str, Any], data: TaskData) -> list[TokensOrder]:
    """Rows as the trials read them, and as the teacher's training does where those are others, or its length is."""
    place, lengths = (plan["artifacts"], plan["teacher"]["path"]), [plan["training"]["max_length"]]
    orders = [TokensOrder(*place, data.of_student(), lengths[0])]
    lengths.append(plan["teacher"]["training"]["max_length"])
    if data.augmented is not None or lengths[0] != lengths[1]:
        orders.append(TokensOrder(*place, data.of_teacher(), lengths[1]))
    return orders


def read_teacher(
    plan: dict[str, Any],
    rows: Path,
    teacher: Path,
    head: Head,
    say: Say,
    stopped: Callable[[], bool] | None = None,
    kept: Sequence[Kept] = (),
) -> tuple[Path, dict[str, Path]]:
    """The artifact with the teacher's dev predictions as the trials read it, and those with its outputs, by split.

    Its own predictions serve where the trials read it as it was trained. Where both have to be made, they are at once.

    Args:
        rows: Artifact of the trials' tokenised data.
        teacher: Artifact of the teacher.
        head: Through which the trials read it.
        say, stopped: As in `share`.
        kept: What is to be kept of its outputs.
    """
    orders = _reading_orders(plan, rows, teacher, head, kept)
    outputs = [order for order in orders if isinstance(order, OutputsOrder)]
    known = {order.kept.split: find(order) for order in outputs}
    for order in outputs:
        there = known[order.kept.split]
        told = f"found in the store ({there.name})" if there else f"one pass for {', '.join(order.words())}"
        say(f"{order.label}: {told}.")
    found = build(orders, plan, say, stopped)
    made: dict[str, Path] = {}
    for order, path in zip(outputs, found[len(found) - len(outputs) :], strict=True):
        made[order.kept.split] = path
        if not known[order.kept.split]:
            facts = Store(plan["artifacts"]).facts(path)
            say(f"{order.label}: {facts['rows']} rows, {size_words(facts['bytes'])}, {facts['seconds']:.0f} s.")
    return (teacher if as_trained(plan, head) else found[0]), made


def as_trained(plan: dict[str, Any], head: Head) -> bool:
    """Whether the trials read the teacher as its own training did."""
    return head == "own" and plan["training"]["max_length"] == plan["teacher"]["training"]["max_length"]


def _reading_orders(
    plan: dict[str, Any], rows: Path, teacher: Path, head: Head, kept: Sequence[Kept]
) -> list[ReadingOrder | OutputsOrder]:
    own, count = as_trained(plan, head), len(kept) + (not as_trained(plan, head))
    # One task alone has all cores; else each has what a trial has. The plan decides which, so that what is made again
    # is made with as many threads as before.
    numerics = {**plan["numerics"], "threads": int(plan["cpus"])} if count == 1 else plan["numerics"]
    common: dict[str, Any] = {"teacher": str(teacher), "tokens": str(rows), "task": task_of(plan)}
    common |= {"head": head, "numerics": numerics}
    orders: list[ReadingOrder | OutputsOrder] = []
    if not own:
        orders.append(ReadingOrder(plan["artifacts"], batch=plan["training"]["evaluation_batch"], **common))
    for one in kept:
        label = "Teacher's outputs" if one.split == "train" else "Teacher's outputs on dev"
        orders.append(OutputsOrder(plan["artifacts"], kept=one, label=label, **common))
    return orders


def make_room(plan: dict[str, Any], data: TaskData, head: Head, limit: float | None, say: Say) -> None:
    """Hold what the sweep has in the store, and make room for the rest where `--artifacts-gb` limits it.

    Args:
        limit: In 1e9 bytes; None is unlimited.

    Raises:
        UserError: It does not fit.
    """
    store, estimate = Store(plan["artifacts"]), plan["estimate"]
    length = plan["training"]["max_length"]
    own, rows_of = teacher_order(plan, data), (*_tokens_orders(plan, data), *further.orders(plan, data).values())
    wanted: list[tuple[Order, int]] = [(order, rows_bytes(order.data, length)) for order in rows_of]
    wanted.append((own, estimate["teacher_bytes"]))
    outputs = plan["teacher_source"]["disk"]
    sizes = {"dev": plan["teacher_source"].get("disk_on_dev", 0)}
    sizes["train"] = outputs - sizes["dev"]
    teacher, rows = store.path(*own.key()), store.path(*wanted[0][0].names()[0])
    if not (teacher / SEAL).is_file():
        # Nor are there stages that were made with it. Where it is there, what they take is asked before they are made.
        return room_for(wanted, outputs + estimate.get("stage_bytes", 0), store.place, limit, say)
    for order in _reading_orders(plan, rows, teacher, head, kept_outputs(plan)):
        wanted.append((order, sizes[order.kept.split] if isinstance(order, OutputsOrder) else 0))
    return room_for(wanted, 0, store.place, limit, say)


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
        "layers": shape.physical,
        "hidden_size": shape.hidden_size,
    }


def _majority(task: Task, data: TaskData) -> float | None:
    """Share of the most frequent class among the task's dev rows."""
    if task.kind != "classification":
        return None
    import numpy as np

    return float(np.bincount(data.reported.labels).max() / len(data.reported))


__all__ = ["Interrupted", "Made", "check_teacher", "load_data", "make_teacher", "prepare", "share", "teacher_order"]
