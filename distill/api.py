"""`distill.run`: one student, trained by one method, in this process and without Ray."""

from __future__ import annotations

import copy
import inspect
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from distill import methods
from distill.arguments import folder_of, mapping, whole_number
from distill.artifacts import Store
from distill.asked import settle
from distill.errors import UserError
from distill.inputs import Encoder, Model, find_data, find_model, find_student
from distill.kinds import undefined
from distill.methods.base import Method, Shape
from distill.models.folder import check_embeddings, check_head, check_span_dropout
from distill.models.outputs import in_units
from distill.models.parameters import left_alone, told
from distill.models.repeats import check as check_sharing
from distill.models.student import parameter_count
from distill.published import judged, published_of, task_of
from distill.ready_made import ready_made
from distill.tasks import tokens, windows
from distill.tasks.base import Task, TaskData
from distill.tasks.tokens import load_tokenizer
from distill.teacher.choose import Chosen, TeacherWish, choose
from distill.training.assemble import assemble
from distill.training.batching import Tokens
from distill.training.dev_loss import LOSS
from distill.training.last_look import load, look
from distill.training.loop import Diverged, Evaluation, Run
from distill.training.machine import decide_numerics, unchanged_torch
from distill.training.settings import Training, of_stage

Recipe = Literal["modern", "published"]


@dataclass(frozen=True, eq=False, repr=False)
class Distilled:
    """What `run` gives back. Scores are those of the best evaluation, and so are the student's weights.

    Attributes:
        score: The task's metric on the rows that choose (dev, unless rows were held out), higher is better.
        metrics: The metric and those shown beside it, by name.
        terms: Mean of each named loss term, and of the total, over the steps before the best evaluation.
        evaluations: All looks at the rows that choose, in order; their `logits` are [n, C], scores in
            the units of the rows.
        best: The one that counts; of equal ones the first.
        student: A sequence classifier of the transformers library, or of a span task a model for question answering, on
            the CPU, in eval mode.
        tokenizer: What splits text into the student's token ids.
        path: Folder of the student in Hugging Face form, with its tokenizer; None without `out`.
        teacher_score: The teacher's score on the same rows, as the student saw it; None without a teacher.
        reported: Where held-out rows chose, the metrics on dev by name; else None.
        teacher_reported: The teacher's score on dev, where held-out rows chose and there is a teacher; else None.
        method, task, params, training, seed: What was run, every default resolved.
    """

    score: float
    metrics: dict[str, float]
    terms: dict[str, float]
    evaluations: tuple[Evaluation, ...]
    best: Evaluation
    student: Any
    tokenizer: Any
    path: Path | None
    teacher_score: float | None
    method: str
    task: Task
    params: dict[str, Any]
    training: Training
    seed: int
    reported: dict[str, float] | None = None
    teacher_reported: float | None = None

    def __repr__(self) -> str:
        teacher = "" if self.teacher_score is None else f", teacher {self.teacher_score:.3f}"
        dev = "" if self.reported is None else f", {self.reported[self.task.metric]:.3f} on dev"
        return (
            f"<{self.method} on {self.task.name}: {self.task.metric} {self.score:.3f} at epoch {self.best.epoch:g} of "
            f"{self.training.epochs}{dev}{teacher}; {parameter_count(self.student) / 1e6:.1f} M parameters>"
        )


def run(
    teacher: Model | None,
    student: int | Sequence[int] | Model,
    method: str,
    data: str | TaskData,
    *,
    params: Mapping[str, Any] | None = None,
    recipe: Recipe = "modern",
    training: Training | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    max_train_rows: int | None = None,
    augmented: str | os.PathLike[str] | None = None,
    select_on: str = "dev",
    metric: str | None = None,
    doc_stride: int | None = None,
    null_threshold: float | None = None,
    tokenizer: Any = None,
    finetune_teacher: Literal["auto", "always", "never"] = "auto",
    teacher_settings: Mapping[str, Any] | None = None,
    allow_weak_teacher: bool = False,
    seed: int = 0,
    device: Literal["cpu", "cuda"] | None = None,
    autocast: Literal["auto", "bfloat16"] | None = "auto",
    threads: int = 1,
    artifacts: str | os.PathLike[str] | None = None,
    teacher_filters: str | os.PathLike[str] | None = None,
    student_filters: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: Callable[[str], None] | None = None,
    **numbers: Any,
) -> Distilled:
    """Train one student and give back its best state.

    A teacher that is only an encoder is fine-tuned first; it is kept in the store, where later runs and sweeps find it.
    On a CPU the same arguments give the same values, bit for bit, and those of the same point of a sweep. Models that
    were handed over loaded are copied, and torch's generator and threads are put back at the end.

    Args:
        teacher: Folder, hub id (`ID` or `ID@REVISION`), or loaded sequence classifier. None for method "ft".
        student: How many layers of the teacher's encoder, or which (from 1); or a folder, hub id or loaded model.
        method: "emd", or "ft" for fine-tuning without a teacher (then a teacher only lends its layers).
        data: Rows, or the name of a task: generated ("cola-made-up" and the like), below `data_dir`, or from the hub.
        params: Hyper-parameters of the method; missing ones take what was published for the task whatever the size
            (thresholds of "ptp" and "pea", weights of "ted" and "lwd"), else its defaults. Training numbers may be
            among them.
        recipe: The method as one would train it today, or as it was published: with the values and numbers of the row
            for this task and number of layers, where nothing else is given.
        training: All training numbers at once, instead of the recipe's.
        data_dir: Folder in GLUE's layout.
        max_train_rows: Train on so many rows, drawn by `seed`; with `augmented` it is the teacher that does.
        augmented: File in the layout of the task's training rows, as `python -m distill.augment` writes it: the student
            trains on all of its rows, while a teacher is fine-tuned on the task's own.
        select_on: What chooses the epoch: "dev", or "train-holdout:SHARE" for rows held out of the training set by
            `seed`, also for the teacher; dev is then looked at once, at the end.
        metric: What chooses the epoch, also the teacher's, in the place of the task's own metric, which then stands
            beside it: one that judges such tasks, by name.
        doc_stride: Of a span task, tokens that two windows over one context share; None is 128, or a third of a shorter
            row.
        null_threshold: Of SQuAD 2.0, by how much "no answer" must be ahead of the best one; None is 0.
        tokenizer: Folder, hub id or tokenizer of loaded models that do not say where they came from.
        finetune_teacher: "auto" takes a teacher with a classifier of as many labels as it is, "always" trains it all
            the same, "never" refuses one without.
        teacher_settings: `lr`, `seed` and training numbers of the teacher's own training.
        allow_weak_teacher: Go on with a teacher that is no better than chance.
        seed: Of new weights, dropout and the order of rows.
        device: "cpu" or "cuda"; None takes a GPU where there is one.
        autocast: Type of matrix products in training: "auto" is bfloat16 where the device has it, None is float32.
        threads: Of the student's training on a CPU. With 1 the values are those of a sweep's trial of one core; more
            are faster and may differ in the last bits.
        artifacts: Folder of the store; None is the one that sweeps use.
        teacher_filters, student_filters: For "ted", folders such as the store's with the teacher's filters, and with
            the fine-tuned student and its filters, so that these are not trained here.
        out: New or empty folder for the student.
        progress: Takes one line per evaluation, for instance `print`.
        **numbers: Training numbers by name, such as `epochs=3` or `batch_size=16` (docs/settings.md lists them).

    Returns:
        Score, evaluations and the student of the best one.

    Raises:
        UserError: Anything that a person can mend, as one sentence: an unknown name (with the nearest known one), an
            illegal value, models or data that cannot be had or do not fit, a teacher that cannot teach, a loss that is
            no longer finite.

    Example:
        >>> import distill
        >>> from distill.models import embedded
        >>> result = distill.run(embedded.folder(), 3, "emd", "cola-made-up", epochs=4)  # doctest: +SKIP
        >>> result.score, result.teacher_score  # doctest: +SKIP
    """
    say = progress or (lambda line: None)
    known = methods.get(method) if isinstance(method, str) else _unnamed(method)
    arguments = [*inspect.signature(run).parameters]
    asked = settle(known, recipe, task_of(data), mapping("params", params), training, numbers, arguments)
    brought = ready_made(known, asked.values, teacher_filters, student_filters)
    wish = TeacherWish(mapping("teacher_settings", teacher_settings), finetune_teacher, allow_weak_teacher)
    whole_number("seed", seed, 0)
    target = _new_folder(out)
    numerics = decide_numerics(device, autocast, threads)
    with ExitStack() as stack:
        stack.enter_context(unchanged_torch())
        rows = find_data(data, data_dir, max_train_rows, seed, select_on, augmented)
        rows = judged(rows, known, recipe, metric)
        rows = windows.asked(rows, doc_stride, null_threshold, ("doc_stride", "null_threshold"))
        if problem := undefined(known, rows.task, recipe):
            raise UserError(f"{method} {problem}.")
        # Before models are looked for.
        known.resolve(asked.values, recipe, regression=rows.task.kind == "regression")
        if known.needs_teacher and teacher is None:
            raise UserError(f"{method} needs a teacher; name a folder, a hub id or a loaded classifier.")
        taught = None if teacher is None else find_model(teacher, "teacher", tokenizer, stack, say)
        origin, kept = find_student(student, taught, stack, say, tokenizer, known.student_layers, known.title)
        values, training = asked.with_row(recipe, rows.task, len(kept or range(origin.folder.layers)))
        head = known.head(recipe)
        _check_fit(known, values, training, recipe, origin, kept, taught)
        check_span_dropout(training.classifier_dropout, rows.task.kind == "span", origin.folder.model_type, "student")
        shape = _shape(origin, kept).shared(known.sharing(values))
        span = rows.task.kind == "span"
        if left := left_alone(known.stages, values, recipe, shape, origin.folder.model_type, span):
            say(told(left))
        own, taught_rows = rows.of_student(), rows.of_teacher()
        its = None if taught is None else (taught.folder, _shape(taught))
        brought.check(known, values, rows.task, (origin.folder, _shape(origin, kept)), its)
        if not span:
            _check_steps(known, values, training, recipe, len(own.train))
        store = Store(folder_of("artifacts", artifacts))
        folder = tokens.prepare(store, own, (taught or origin).path, training.max_length)
        for line in tokens.about_windows(store.facts(folder)):
            say(line)
        splits = Tokens.load(folder / "train.npz"), Tokens.load(folder / "dev.npz")
        # Rows of a span task are windows, which are counted only now.
        _check_steps(known, values, training, recipe, len(splits[0]))
        chosen: Chosen | None = None
        if known.needs_teacher and taught is not None:
            published = published_of(known, recipe, rows.task)
            read = folder if own is rows else tokens.prepare(store, taught_rows, taught.path, training.max_length)
            chosen = choose(
                store, taught.name, taught.folder, taught_rows, read, training, wish, published, head, numerics, say
            )
        elif wish != TeacherWish():
            raise UserError(f"{method} has no teacher; leave the arguments about its training out.")
        # Layers of a teacher that came fine-tuned are all there is of it.
        start = chosen.model if kept and chosen and not chosen.trained else origin.path
        made = assemble(
            known,
            rows.task,
            start,
            kept,
            splits,
            params=values,
            training=training,
            numerics=numerics,
            recipe=recipe,
            head=head,
            seed=seed,
            source=chosen.source(rows.task, head, numerics) if chosen else None,
            carried=brought.carried(
                store, known, values, recipe, _shape(origin, kept), chosen, numerics, rows.task, say
            ),
            teacher=chosen.model if chosen else None,
        )
        brought.begin(made)
        try:
            evaluations, best = _train(made, say)
        except Diverged as error:
            raise UserError(
                f"{method} on {rows.task.name} diverged: {error}; lower lr (it was {values['lr']:g})."
            ) from error
        reported = None if rows.report is None else _on_dev(made, folder)
        in_units(made.student, rows.task)
        for evaluation in evaluations:
            evaluation.logits = rows.task.units(evaluation.logits)
        words = load_tokenizer((taught or origin).path)
        if target is not None:
            _save(made.student, words, target)
    return Distilled(
        score=best.value,
        metrics=dict(best.metrics),
        terms=dict(best.terms),
        evaluations=tuple(evaluations),
        best=best,
        student=made.student,
        tokenizer=words,
        path=target,
        teacher_score=chosen.score if chosen else None,
        teacher_reported=chosen.reported if chosen else None,
        reported=reported,
        method=method,
        task=rows.task,
        params=values,
        training=training,
        seed=seed,
    )


def _unnamed(method: object) -> NoReturn:
    raise UserError(f"method is {method!r}; name one of {', '.join(methods.names())}.")


def _new_folder(out: str | os.PathLike[str] | None) -> Path | None:
    """The folder for the student, refused before anything is trained where it cannot become one."""
    named = folder_of("out", out)
    if named is None:
        return None
    folder = named.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"out {out} is there already and not an empty folder; name a new one.")
    return folder


def _check_fit(
    method: Method,
    values: dict[str, Any],
    training: Training,
    recipe: str,
    origin: Encoder,
    kept: tuple[int, ...] | None,
    teacher: Encoder | None,
) -> None:
    """Raise UserError where rows are too long for an encoder, or it cannot be read or share layers as asked, or the
    networks do not fit."""
    for whose, encoder in (("student", origin), ("teacher", teacher)):
        if encoder is not None and training.max_length > encoder.folder.positions:
            raise UserError(
                f"max_length={training.max_length} exceeds the {encoder.folder.positions} positions of the {whose}; "
                f"pass max_length={encoder.folder.positions}, or less."
            )
        if encoder is not None:
            check_head(method.head(recipe), encoder.folder.model_type, whose)
    sharing, own = method.sharing(values), origin.folder
    check_sharing(sharing, f"student {origin.name}", own.model_type, len(kept or range(own.layers)), own.sharing)
    if method.needs_teacher and teacher is not None:
        shapes = _shape(origin, kept).shared(sharing), _shape(teacher)
        if problem := method.misfit(values, *shapes):
            raise UserError(problem)
        if method.embeddings(values) == "teacher":
            check_embeddings(origin.path, teacher.path, origin.name, "")
        # A recipe may ask more of the layers than the method does.
        method.layers_read(values, recipe, *shapes)


def _check_steps(method: Method, values: dict[str, Any], training: Training, recipe: str, rows: int) -> None:
    """Raise UserError where a stage would have no step, before hours go into the teacher of such a student."""
    for stage in method.stages:
        of_stage(stage, values, recipe, training)[0].steps_per_epoch(rows)


def _shape(encoder: Encoder, kept: tuple[int, ...] | None = None) -> Shape:
    """Of an encoder of which some layers are kept; all when None."""
    found = encoder.folder
    layers = len(kept or range(found.layers)) + found.repeated
    return Shape(layers, found.hidden_size, found.heads, found.repeated, found.model_type)


def _train(made: Run, say: Callable[[str], None]) -> tuple[list[Evaluation], Evaluation]:
    """Train to the end; all reporting evaluations and the best, whose weights the student then holds, on the CPU."""
    evaluations: list[Evaluation] = []
    best: Evaluation | None = None
    weights: dict[str, Any] = {}
    for evaluation in made:
        where = "" if evaluation.reporting else f"stage {evaluation.stage}, "
        judged_by = made.task.metric if evaluation.reporting else LOSS
        say(
            f"Student: {where}epoch {evaluation.epoch:g} of {evaluation.epochs}, {judged_by} {evaluation.value:.3f}, "
            f"{evaluation.seconds:.0f} s."
        )
        if not evaluation.reporting:
            continue
        evaluations.append(evaluation)
        if best is None or evaluation.value > best.value:
            best = evaluation
            weights = {name: copy.deepcopy(value.detach()).cpu() for name, value in made.student.state_dict().items()}
    assert best is not None
    made.student.cpu().eval().load_state_dict(weights)
    made.student.requires_grad_(True)
    return evaluations, best


def _on_dev(made: Run, folder: Path) -> dict[str, float]:
    """Metrics of the finished student on the task's dev rows, which chose nothing."""
    device, batch = made.numerics.device, made.training.evaluation_batch
    metrics, _ = look(made.student.to(device), load(folder), made.task, batch, device)
    made.student.cpu()
    return metrics


def _save(student: Any, words: Any, target: Path) -> None:
    """Beside its place first: a kill leaves nothing, or the whole student."""
    staging = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(staging, ignore_errors=True)
    student.save_pretrained(staging)
    words.save_pretrained(staging)
    if target.exists():
        target.rmdir()
    staging.rename(target)
