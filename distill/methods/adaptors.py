"""The adaptors of Transformer Distiller and what its two methods share: values, layers, losses, what they reach.

Imports without torch; holds no method itself (see `mixstep` and `twostep`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from distill import layer_maps
from distill.errors import UserError
from distill.methods.base import Hyperparameter, Published, Shape

if TYPE_CHECKING:
    from distill.methods.objective import Objective, Setting

REFERENCE = "hnliu-git/kd-clf at 15f1724 (2022)"
# Compared inside the encoder, and at its end.
INTERMEDIATE = ("AttnMiniLM", "AttnTinyBERT", "ValMiniLM", "HidnTinyBERT", "EmbdTinyBERT", "HidnPKD")
LOGITS = ("LogitMSE", "LogitCE")
ADAPTORS = (*INTERMEDIATE, *LOGITS)
# Compared head by head, so both networks need as many.
_BY_HEAD = ("AttnMiniLM", "AttnTinyBERT", "ValMiniLM")
_PARTS = {
    "AttnMiniLM": "scores",
    "AttnTinyBERT": "scores",
    "ValMiniLM": "value",
    "HidnTinyBERT": "hidden",
    "EmbdTinyBERT": "hidden",
    "HidnPKD": "cls",
    **dict.fromkeys(LOGITS, "logits"),
}
# Those whose layers the map decides.
_MAPPED = tuple(name for name in INTERMEDIATE if name != "EmbdTinyBERT")
HARD = "hard"
PROJECTS = "each adaptor on hidden states that is on has a linear projection, dropped at the end"


def weights(params: dict[str, Any], names: Sequence[str] = ADAPTORS) -> dict[str, float]:
    """The adaptors among `names` that are on, with their weights."""
    return {name: params[name] for name in names if params.get(name, 0.0) > 0}


def needs(params: dict[str, Any], names: Sequence[str]) -> frozenset[str]:
    """What is taken of both networks where the adaptors among `names` are on."""
    return frozenset({"logits"} | {_PARTS[name] for name in weights(params, names)})


def compared(
    name: str, params: dict[str, Any], student: Shape, teacher: Shape
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Layers of the student, and for each the teacher's, that an intermediate adaptor lays onto each other.

    Layers count from 1, 0 is the embedding output.

    Raises:
        UserError: The map does not fit the two depths.
    """
    rule, ours, theirs = params.get("layers", "uniform"), student.layers, teacher.layers
    if name == "EmbdTinyBERT":
        return (0,), (0,)
    if name == "HidnTinyBERT" or (name == "HidnPKD" and params["pkd_layers"] == "all"):
        return tuple(range(ours + 1)), layer_maps.hidden(rule, ours, theirs)
    inner = layer_maps.layers(rule, ours, theirs)
    if name != "HidnPKD":
        return tuple(range(1, ours + 1)), inner
    if ours == 1:
        raise UserError(
            "HidnPKD compares the layers below the last, and a student of 1 has none: --set pkd_layers=all, or switch "
            "it off with --set HidnPKD=0."
        )
    return tuple(range(1, ours)), inner[:-1]


def teacher_layers(params: dict[str, Any], recipe: str, student: Shape, teacher: Shape) -> tuple[int, ...]:
    """The teacher's layers that come to the adaptors that are on; [CLS] vectors come of all layers anyway."""
    read = [name for name in weights(params, INTERMEDIATE) if name != "HidnPKD"]
    return tuple({layer for name in read for layer in compared(name, params, student, teacher)[1]})


def whole_layers(params: dict[str, Any], student: Shape) -> int:
    """How many of the student's layers, from below, have all their parameters reached by an intermediate adaptor."""
    on, layers = weights(params, INTERMEDIATE), student.physical
    if "HidnTinyBERT" in on or ("HidnPKD" in on and params["pkd_layers"] == "all"):
        return layers
    if student.repeated and set(on) - {"EmbdTinyBERT"}:
        # The last one ran before, as a layer below what is compared.
        return layers
    # Attention and values stand in the midst of a layer, and HidnPKD may leave out the last: of that no output is read.
    return layers - 1 if set(on) - {"EmbdTinyBERT"} else 0


def reached(params: dict[str, Any], student: Shape) -> tuple[str, ...]:
    """Beginnings of the names of the student's parameters that intermediate adaptors have gradients for."""
    on, layers = weights(params, INTERMEDIATE), student.physical
    whole = whole_layers(params, student)
    found = [f"encoder.layer.{number}." for number in range(whole)]
    if whole < layers:
        last = f"encoder.layer.{layers - 1}.attention.self."
        if {"AttnMiniLM", "AttnTinyBERT"} & set(on):
            found += [f"{last}query.", f"{last}key."]
        if "ValMiniLM" in on:
            found.append(f"{last}value.")
    return ("embeddings", *found) if on else ()


def misfit(params: dict[str, Any], student: Shape, teacher: Shape) -> str | None:
    """Why the intermediate adaptors that are on cannot compare two networks, as one sentence; else None."""
    on = weights(params, INTERMEDIATE)
    if (unequal := [name for name in on if name in _BY_HEAD]) and student.heads != teacher.heads:
        compare = "compares" if len(unequal) == 1 else "compare"
        off = " ".join(f"--set {name}=0" for name in unequal)
        return (
            f"The student has {student.heads} attention heads and the teacher {teacher.heads}, but "
            f"{' and '.join(unequal)} {compare} head by head: choose a --student with as many heads, or {off}."
        )
    try:
        for name in on:
            compared(name, params, student, teacher)
    except UserError as error:
        return str(error)
    return None


def objective(setting: Setting, names: Sequence[str], *, labels: bool) -> Objective:
    """Total: hard · cross-entropy + the sum of weight · adaptor, over those of `names` that are on.

    Each adaptor on hidden states has one linear projection without bias, shared by its layers, where the widths differ
    (in the published recipe always). In regression the cross-entropy with the labels is a mean squared error, and
    LogitCE, which has no classes there, plays no part.

    Args:
        names: Adaptors that act in the stage.
        labels: Whether the labels do.

    Raises:
        UserError: The networks cannot be compared as asked.
    """
    import torch
    from torch import Tensor, nn

    from distill.losses.adaptors import hidden_distance, logit_cross_entropy, logit_distance
    from distill.losses.attention import attention_distance, attention_divergence
    from distill.losses.distances import hidden_mean_square
    from distill.losses.logits import prediction_loss
    from distill.losses.patience import direction_distance
    from distill.losses.precision import at_least_float32
    from distill.losses.relations import value_divergence
    from distill.methods.objective import Objective, Outputs, Term

    params, form = setting.params, setting.recipe
    if setting.teacher is None:
        raise ValueError("adaptors compare a student with a teacher")
    ours, theirs = setting.student, setting.teacher
    on = weights(params, [name for name in names if name != "LogitCE" or not setting.regression])
    shown: dict[str, Any] = {name: params[name] for name in ("layers", "pkd_layers") if name in params}
    if problem := misfit({**shown, **dict.fromkeys(INTERMEDIATE, 0.0), **on}, ours, theirs):
        raise UserError(problem)
    pairs = {name: compared(name, params, ours, theirs) for name in on if name in INTERMEDIATE}
    projecting = form == "published" or ours.hidden_size != theirs.hidden_size
    # Step 1 of two has none of these, and must not depend on it.
    tau: float = params.get("tau", 1.0) if {"LogitMSE", "LogitCE"} & set(on) else 1.0

    class Adaptors(Objective):
        uses_teacher = bool(on)

        def __init__(self) -> None:
            super().__init__()
            self.needs = needs(params, names)
            self.projections = nn.ModuleDict(
                {
                    name: nn.Linear(ours.hidden_size, theirs.hidden_size, bias=False)
                    for name in on
                    if projecting and _PARTS[name] in ("hidden", "cls")
                }
            )

        def forward(self, student: Outputs, teacher: Outputs | None, batch: dict[str, Tensor]) -> dict[str, Term]:
            terms: dict[str, Term] = {}
            if labels:
                hard = prediction_loss(
                    student.logits,
                    None,
                    batch["labels"],
                    alpha=0.0,
                    temperature=1.0,
                    form="modern",
                    regression=setting.regression,
                )["hard"]
                terms[HARD] = Term(hard, params[HARD])
            for name, weight in on.items():
                assert teacher is not None
                with torch.autocast(student.logits.device.type, enabled=False):
                    terms[name] = Term(self._loss(name, student, teacher, batch), weight)
            return terms

        def _loss(self, name: str, student: Outputs, teacher: Outputs, batch: dict[str, Tensor]) -> Tensor:
            mask = batch["attention_mask"]
            if name == "LogitMSE":
                return logit_distance(student.logits, teacher.logits, tau, form, setting.places(batch))
            if name == "LogitCE":
                return logit_cross_entropy(student.logits, teacher.logits, tau, form)
            x, y = (net.at(_PARTS[name], layers) for net, layers in zip((student, teacher), pairs[name], strict=True))
            if name == "AttnMiniLM":
                return attention_divergence(x, y, mask, form)
            if name == "AttnTinyBERT":
                return attention_distance(x, y, mask)
            if name == "ValMiniLM":
                return value_divergence(x, y, mask, ours.heads, form)
            x, y = at_least_float32(x), at_least_float32(y)
            if name in self.projections:
                x = self.projections[name](x)
            if name == "HidnPKD":
                return direction_distance(x, y)
            if name == "EmbdTinyBERT":
                return hidden_mean_square(x[0], y[0], mask, "masked")
            return hidden_distance(x, y, mask, form, ours.hidden_size)

    return Adaptors()


def _weight(name: str, default: float, help: str, **rest: Any) -> Hyperparameter:
    return Hyperparameter(name, "float", default, f"weight of {help}, 0 for none", low=0.0, high=1e4, **rest)


def _any(*names: str) -> Callable[[dict[str, Any]], bool]:
    return lambda values: any(values[name] > 0 for name in names)


WEIGHTS = (
    _weight("AttnMiniLM", 1.0, "the divergence of attention probabilities"),
    _weight("AttnTinyBERT", 0.0, "the squared difference of attention probabilities"),
    _weight("ValMiniLM", 1.0, "the divergence of value relations"),
    _weight("HidnTinyBERT", 0.0, "the squared difference of hidden states, the embedding output among them"),
    _weight("EmbdTinyBERT", 0.0, "the squared difference of embedding outputs"),
    _weight("HidnPKD", 0.0, "the squared difference of [CLS] directions"),
    _weight("LogitMSE", 1.0, "the squared difference of logits"),
    _weight("LogitCE", 0.0, "the cross-entropy with the teacher's softened predictions", regression=False),
    _weight(HARD, 1.0, "the cross-entropy with the labels"),
)
# The factor tau² of the modern recipe cancels that of LogitMSE.
TAU = Hyperparameter(
    "tau",
    "float",
    4.0,
    "temperature of the logits",
    low=1e-3,
    high=1e3,
    active=lambda v: (v["LogitCE"] > 0 and not v["regression"]) or (v["LogitMSE"] > 0 and v["recipe"] == "published"),
)
LAYERS = Hyperparameter(
    "layers",
    "layers",
    "uniform",
    "the teacher's layers for the student's",
    choices=layer_maps.RULES,
    published="top",
    active=_any(*_MAPPED),
)
PKD_LAYERS = Hyperparameter(
    "pkd_layers",
    "choice",
    "below-last",
    "whether HidnPKD leaves out the embedding output and the last layer",
    choices=("below-last", "all"),
    published="all",
    active=_any("HidnPKD"),
)
# The reference's rows are padded to 128 tokens always, which changes none of its losses, so that is in no recipe here.
_OPTIMIZATION = {"epochs": 10, "max_length": 128, "weight_decay": 5e-5, "clip": 0.0}
PUBLISHED = Published(
    training=_OPTIMIZATION,
    teacher={**_OPTIMIZATION, "epochs": 20, "lr": 3e-5, "flooding": 0.1, "keep": "best"},
)
