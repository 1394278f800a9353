"""Numbers of a training run that are not the method's. Imports without torch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from distill.errors import UserError

if TYPE_CHECKING:
    from distill.methods.base import Stage
    from distill.tasks.base import Task

OPTIMIZERS = ("adamw", "bertadam")
SCHEDULES = ("linear", "cosine", "constant")
PADDINGS = ("longest", "max_length")


def _setting(default: Any, help: str, **bounds: Any) -> Any:
    """A field with what a person's value is checked against.

    Args:
        low, high: Inclusive bounds of numbers.
        choices: Legal words.
        swept: Whether points of one sweep may differ in it; those that decide what all trials share may not.
    """
    return field(default=default, metadata={"help": help, "swept": True, **bounds})


class Dropouts(TypedDict):
    """Probabilities of dropout by the name of `load_classifier`'s argument; None is the model's own."""

    dropout: float | None
    classifier_dropout: float | None


@dataclass(frozen=True)
class Training:
    """How a run is trained, whatever it minimises.

    Attributes:
        epochs: Passes over the training rows.
        batch_size: Rows per forward pass.
        accumulation: Forward passes whose gradients are averaged into one optimizer step.
        optimizer: "adamw", or "bertadam": Adam without bias correction, clipped tensor by tensor.
        schedule: How the learning rate goes on after the warm-up: linear or cosine decay to 0, or constant.
        schedule_epochs: Epochs that warm-up and schedule are computed for, of which a run has the first; 0 for its own.
        warmup: Share of all steps in which the learning rate rises linearly from 0.
        warmup_steps: Optimizer steps in which it does so instead; 0 leaves it to the share.
        weight_decay: Decoupled decay of weight matrices.
        clip: Largest gradient norm, global with AdamW and per tensor with BertAdam; 0 switches clipping off.
        flooding: Level below which the loss of a batch is driven up again; 0 switches flooding off.
        dropout: Of the student, everywhere; None keeps what its configuration says.
        classifier_dropout: Before its classifier, where its head has one; None is as everywhere.
        max_length: Tokens per row, longer ones are truncated.
        padding: Up to the longest row of a batch, or always to `max_length`.
        drop_last: Whether an incomplete last batch of an epoch is skipped.
        evaluations_per_epoch: Looks at the dev rows per epoch, evenly spaced.
        evaluation_steps: Looks every so many optimizer steps instead, and at the end; 0 leaves it to the epochs.
        evaluation_batch: Rows per forward pass in evaluation.
    """

    epochs: int = _setting(10, "epochs", low=1, high=10_000, swept=False)
    batch_size: int = _setting(32, "rows per forward pass", low=1, high=65_536)
    accumulation: int = _setting(1, "forward passes per optimizer step", low=1, high=65_536)
    optimizer: str = _setting("adamw", "optimizer", choices=OPTIMIZERS)
    schedule: str = _setting("linear", "learning-rate schedule after the warm-up", choices=SCHEDULES)
    schedule_epochs: int = _setting(
        0, "epochs that the schedule is computed for, 0 for those trained", low=0, high=10_000, swept=False
    )
    warmup: float = _setting(0.1, "share of the steps in which the rate rises", low=0.0, high=1.0)
    warmup_steps: int = _setting(0, "steps in which the rate rises, 0 for that share of them", low=0, high=10**9)
    weight_decay: float = _setting(0.01, "decoupled decay of weight matrices", low=0.0, high=10.0)
    clip: float = _setting(1.0, "largest gradient norm, 0 for none", low=0.0, high=1e6)
    flooding: float = _setting(0.0, "level below which the loss is driven up again, 0 for none", low=0.0, high=1e6)
    dropout: float | None = _setting(None, "dropout of the student", low=0.0, high=0.99)
    classifier_dropout: float | None = _setting(None, "dropout before the classifier", low=0.0, high=0.99)
    max_length: int = _setting(128, "tokens per row", low=3, high=100_000, swept=False)
    padding: str = _setting("longest", "what rows are padded to", choices=PADDINGS, swept=False)
    drop_last: bool = _setting(False, "skip an incomplete last batch", swept=False)
    evaluations_per_epoch: int = _setting(1, "dev evaluations per epoch", low=1, high=10_000, swept=False)
    evaluation_steps: int = _setting(
        0, "optimizer steps between dev evaluations, 0 to count by epochs", low=0, high=10**9, swept=False
    )
    evaluation_batch: int = _setting(64, "rows per forward pass in evaluation", low=1, high=65_536, swept=False)

    def __post_init__(self) -> None:
        if 0 < self.schedule_epochs < self.epochs:
            raise UserError(
                f"schedule_epochs={self.schedule_epochs} (a published recipe may have one) ends the schedule before "
                f"epochs={self.epochs} do; schedule_epochs=0 makes it as long as they are."
            )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def dropouts(self) -> Dropouts:
        """What `load_classifier` takes of a student's dropout."""
        return {"dropout": self.dropout, "classifier_dropout": self.classifier_dropout}

    @property
    def length(self) -> int | None:
        """What every row is padded to, in tokens; None where a batch goes up to its longest."""
        return self.max_length if self.padding == "max_length" else None

    def scheduled_steps(self, rows: int) -> int:
        """Optimizer steps that warm-up and schedule are computed for.

        Raises:
            UserError: As `steps_per_epoch`.
        """
        return self.steps_per_epoch(rows) * (self.schedule_epochs or self.epochs)

    def steps_per_epoch(self, rows: int) -> int:
        """Optimizer steps of one pass over `rows` training rows (windows, of spans); the last may hold fewer batches.

        Raises:
            UserError: There is none, because the only batch is incomplete and skipped.
        """
        batches = rows // self.batch_size if self.drop_last else math.ceil(rows / self.batch_size)
        if batches == 0:
            raise UserError(
                f"batch_size={self.batch_size} exceeds the {rows} training rows and drop_last skips incomplete "
                "batches, so nothing would be trained: --set drop_last=false, or a smaller batch_size."
            )
        return math.ceil(batches / self.accumulation)

    def evaluations(self, rows: int) -> tuple[int, ...]:
        """Optimizer steps, counted from 1 over all epochs, after which the dev rows are looked at; ends with the last.

        More evaluations per epoch than steps become one after each step.
        """
        steps = self.steps_per_epoch(rows)
        total = steps * self.epochs
        if self.evaluation_steps:
            found = [*range(self.evaluation_steps, total, self.evaluation_steps), total]
        else:
            per = self.evaluations_per_epoch
            found = [e * steps + max(1, round(i * steps / per)) for e in range(self.epochs) for i in range(1, per + 1)]
        return tuple(sorted(set(found)))


@dataclass(frozen=True)
class Numerics:
    """What decides the last bits of every value: device, threads and the type of matrix products.

    Attributes:
        device: "cpu" or "cuda".
        autocast: "bfloat16" or None. Training only; evaluation runs in float32, so that a saved student gives
            the recorded score wherever it is loaded.
        threads: Threads of one trial on a CPU.
    """

    device: str = "cpu"
    autocast: str | None = None
    threads: int = 1

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


# AVX-512 and AMX of x86 (the kernel's "flags"), Neon and SVE of Arm (its "Features").
_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16", "svebf16"})


def multiplies_in_bfloat16(info: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether all of this machine's processors do, so that autocast is worth while on it.

    Args:
        info: What the kernel says of each.
    """
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.exists() else []
    fields = [line.partition(":") for line in lines]
    found = [set(words.split()) for name, _, words in fields if name.strip() in ("flags", "Features")]
    return bool(found) and all(flags & _BFLOAT16 for flags in found)


def usual(task: Task | None) -> dict[str, Any]:
    """Numbers that a task has in place of `Training`'s own where nothing else is said; an unknown one has none."""
    # As BERT's program for SQuAD: an answer may stand anywhere in a long text.
    return {"max_length": 384} if task is not None and task.kind == "span" else {}


_FIELDS = {entry.name: entry for entry in fields(Training)}
TRAINING_FIELDS = tuple(_FIELDS)
# Those that all stages of a run share: rows are tokenised and the student is built once.
_WHOLE = ("max_length", "dropout", "classifier_dropout")
# Those in which the points of one sweep may differ.
SWEPT_FIELDS = tuple(name for name, entry in _FIELDS.items() if entry.metadata["swept"])


def help_of(name: str) -> str:
    """One phrase on a training number, for people."""
    return str(_FIELDS[name].metadata["help"])


def distribution_of(name: str) -> dict[str, Any]:
    """Type, bounds and words of a training number, in the form the study's distributions are made from."""
    entry = _FIELDS[name]
    bounds = entry.metadata
    kind = "choice" if "choices" in bounds else "int" if isinstance(entry.default, int) else "float"
    return {
        "type": kind,
        "low": bounds.get("low"),
        "high": bounds.get("high"),
        "log": False,
        "choices": list(bounds.get("choices", ())),
    }


def parse(name: str, value: Any) -> Any:
    """Bring a training value (a number or word, or text from the command line) to its type.

    Raises:
        UserError: It has another type or lies outside the bounds.
    """
    entry = _FIELDS[name]
    bounds = entry.metadata
    if "choices" in bounds:
        if str(value) not in bounds["choices"]:
            raise UserError(f"{name}={value} is unknown; choose one of {', '.join(bounds['choices'])}.")
        return str(value)
    if isinstance(entry.default, bool):
        known = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
        if str(value).lower() not in known:
            raise UserError(f"{name}={value} is neither true nor false.")
        return known[str(value).lower()]
    if entry.default is None and str(value).lower() in ("none", "own"):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise UserError(f"{name}={value} is not a number.") from None
    low, high, whole = bounds["low"], bounds["high"], isinstance(entry.default, int)
    if isinstance(value, bool) or not low <= number <= high or (whole and number != int(number)):
        raise UserError(f"{name}={value} must be {'a whole number' if whole else 'a number'} from {low:g} to {high:g}.")
    return int(number) if whole else number


def split(params: dict[str, Any], training: Training) -> tuple[dict[str, Any], Training]:
    """Part a point's flat hyper-parameters into the method's own and `training` with the point's numbers laid over.

    Raises:
        UserError: As `evaluated`.
    """
    own = {name: value for name, value in params.items() if name not in _FIELDS}
    numbers = {name: value for name, value in params.items() if name in _FIELDS}
    changed = {name: value for name, value in numbers.items() if value != getattr(training, name)}
    return own, replace(training, **{**numbers, **evaluated(changed)})


def evaluated(given: dict[str, Any]) -> dict[str, Any]:
    """Numbers that a person gave, with what they mean for when dev is looked at.

    A number of evaluations per epoch takes the place of steps between them, whoever set these.

    Raises:
        UserError: Both are given.
    """
    if "evaluations_per_epoch" not in given:
        return given
    if given.get("evaluation_steps"):
        raise UserError(
            f"evaluations_per_epoch={given['evaluations_per_epoch']} and evaluation_steps={given['evaluation_steps']} "
            "both say when dev is looked at; give one of them."
        )
    return {**given, "evaluation_steps": 0}


def of_stage(stage: Stage, params: dict[str, Any], recipe: str, training: Training) -> tuple[Training, float]:
    """Training numbers and peak learning rate of one stage of a method.

    Args:
        params: The method's resolved hyper-parameters, with `lr`.
        training: The run's.

    Raises:
        UserError: As `evaluated`, or the stage needs rows of one length and does not get them.
        ValueError: The stage sets a number that is not its own to set.
    """
    if stage.one_length(recipe) and training.length is None:
        raise UserError(
            f"padding={training.padding} does not fit the {recipe} recipe of this method, which normalises whole rows "
            "of one length: leave padding at max_length."
        )
    own = dict(stage.training(params, recipe))
    if "epochs" in own:
        # What the run's schedule is computed for says nothing of another number of epochs.
        own = {"schedule_epochs": 0, **own}
    lr = float(own.pop("lr", params["lr"]))
    if wrong := [name for name in own if name not in _FIELDS or name in _WHOLE]:
        raise ValueError(f"stage {stage.name} cannot have {', '.join(wrong)} of its own")
    if stage.reporting and stage.training(params, recipe):
        raise ValueError(f"stage {stage.name} reports, so its training numbers are the run's")
    return replace(training, **evaluated(own)), lr
