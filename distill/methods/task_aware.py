"""What TED and LWD have in common: the distilling stage, the fine-tuning before it, and their hyper-parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from distill import layer_maps
from distill.errors import UserError
from distill.methods import ft
from distill.methods.base import Hyperparameter, Published, Shape, Stage

if TYPE_CHECKING:
    from torch import Tensor

    from distill.methods.objective import Objective, Outputs, Setting

REFERENCE = "Liang et al., Less is More: Task-aware Layer-wise Distillation for Language Model Compression, ICML 2023"
# Beginnings of the names under which filters are carried from one stage to the next, and from the teacher's side.
FILTERS, TEACHER = "filters.", "teacher."
# In place of a number of epochs: as many as the run has, or on the teacher its own training.
AS_THE_RUN = -1


def task_aware(setting: Setting, teacher_filters: bool) -> Objective:
    """`distill`; or without filters on the teacher, whose states are then taken as they are (LWD).

    Args:
        teacher_filters: Without, the student's filters are linear layers to the teacher's width, drawn anew.
    """
    import torch
    from torch.nn import functional

    from distill.losses.adaptors import hidden_distances
    from distill.losses.logits import distillation_kl, squared_error
    from distill.losses.precision import at_least_float32, no_autocast
    from distill.losses.task_aware import listwise_divergence, span_cross_entropy, span_divergence
    from distill.methods.objective import Objective, Term
    from distill.models.filters import Filters
    from distill.models.positions import halves

    params, published = setting.params, setting.recipe == "published"
    if setting.teacher is None:
        raise ValueError("TED needs a teacher")
    ours, theirs = setting.student, setting.teacher
    if problem := misfit(params, ours, theirs):
        raise UserError(problem)
    own, read = layers_met(params, ours, theirs)

    class TaskAware(Objective):
        distances: Tensor

        needs = needs(params, setting.recipe)
        uses_teacher = bool(needs)

        def __init__(self) -> None:
            super().__init__()
            self.filters: Filters | None = None
            self.teacher_filters: Filters | None = None
            if compares(params):
                size, nonlinear = width(params, theirs), params.get("filter_nonlinear", False)
                self.filters = Filters(len(own), ours.hidden_size, size, nonlinear)
                if teacher_filters:
                    load(self.filters, setting, FILTERS)
                    self.teacher_filters = Filters(len(read), theirs.hidden_size, size, nonlinear)
                    load(self.teacher_filters, setting, TEACHER + FILTERS)
                    self.teacher_filters.frozen()
            # Sum of each pair's distance over the steps since it was last looked at, and their number behind it.
            self.register_buffer("distances", torch.zeros(len(own) + 1))

        def forward(self, student: Outputs, teacher: Outputs | None, batch: dict[str, Tensor]) -> dict[str, Term]:
            terms: dict[str, Term] = {}
            with no_autocast(student.logits):
                # Of an answer's positions the published softmax runs over the padding too.
                logits = _read(student, setting.span and published)
                if params["hard"] > 0:
                    terms["hard"] = Term(self._hard(logits, batch), params["hard"])
                if params["kl_alpha"] > 0:
                    assert teacher is not None
                    theirs = _read(teacher, setting.span and published)
                    terms["soft"] = Term(self._soft(logits, theirs, batch), params["kl_alpha"])
                if self.filters is not None:
                    assert teacher is not None
                    states = self.filters(at_least_float32(student.at("hidden", own)))
                    wanted = at_least_float32(teacher.at("hidden", read))
                    if self.teacher_filters is not None:
                        wanted = self.teacher_filters(wanted)
                    mask, reduction = batch["attention_mask"], "padded" if published else "masked"
                    pairs = hidden_distances(states, wanted, mask, reduction)  # type: ignore[arg-type]
                    if self.training:
                        self.distances += functional.pad(pairs.detach(), (0, 1), value=1.0)
                    terms["layers"] = Term(pairs.mean(), params["mse_alpha"])
            return terms

        def _hard(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
            labels = batch["labels"]
            if setting.span:
                return span_cross_entropy(*halves(logits), *halves(labels), self._mask(batch))
            if setting.regression:
                return functional.mse_loss(logits.squeeze(-1), labels.to(logits.dtype))
            return functional.cross_entropy(logits, labels)

        def _mask(self, batch: dict[str, Tensor]) -> Tensor | None:
            return None if published else batch["attention_mask"]

        def _soft(self, logits: Tensor, teacher: Tensor, batch: dict[str, Tensor]) -> Tensor:
            if setting.span:
                return span_divergence(halves(logits), halves(teacher), params["T"], self._mask(batch))
            if not setting.regression:
                return distillation_kl(logits, teacher, params["T"])
            return listwise_divergence(logits, teacher, params["T"]) if published else squared_error(logits, teacher)

        def observation(self) -> dict[str, Any]:
            *sums, steps = self.distances.tolist()
            self.distances.zero_()
            if self.filters is None or not steps:
                return {}
            found = {"student": list(own), "teacher": list(read), "distance": [each / steps for each in sums]}
            return {"filter_distances": found}

    return TaskAware()


def _read(outputs: Outputs, padded: bool) -> Tensor:
    """Logits in float32 or better.

    Args:
        padded: Whether those of padded places are read as they come.

    Raises:
        ValueError: They are, and the outputs have none.
    """
    from distill.losses.precision import at_least_float32

    if not padded:
        return at_least_float32(outputs.logits)
    if outputs.unmasked is None:
        raise ValueError("the published losses read padded places, which outputs on disk do not have")
    return at_least_float32(outputs.unmasked)


def load(modules: Any, setting: Setting, prefix: str, required: bool = True) -> None:
    """Filters as they were carried here."""
    found = {name.removeprefix(prefix): x for name, x in setting.carried.items() if name.startswith(prefix)}
    if found:
        modules.load_state_dict(found)
    elif required:
        raise ValueError(f"nothing is carried under {prefix!r}, which stage distill begins with")


def layers_met(params: dict[str, Any], student: Shape, teacher: Shape) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Layers of the student, and those of the teacher that they meet.

    Raises:
        UserError: The intervals do not fit.
    """
    own, theirs = intervals(params, student, teacher)
    return layer_maps.every(student.layers, own), layer_maps.every(teacher.layers, theirs)


def intervals(params: dict[str, Any], student: Shape, teacher: Shape) -> tuple[int, int]:
    """Of student and teacher, each as given or as the other leaves it.

    Raises:
        UserError: They do not fit.
    """
    asked = (params.get(name, 0) for name in ("filter_interval", "teacher_interval"))
    return layer_maps.intervals(student.layers, teacher.layers, *asked)


def width(params: dict[str, Any], teacher: Shape) -> int:
    return int(params.get("filter_output_dim", 0) or teacher.hidden_size)


def needs(params: dict[str, Any], recipe: str) -> frozenset[str]:
    """What the distilling stage takes of both networks."""
    found = {part for part, weight in (("logits", "kl_alpha"), ("hidden", "mse_alpha")) if params[weight] > 0}
    return frozenset(found)


def teacher_layers(params: dict[str, Any], recipe: str, student: Shape, teacher: Shape) -> tuple[int, ...]:
    """Those behind which the teacher has a filter."""
    return layers_met(params, student, teacher)[1]


def misfit(params: dict[str, Any], student: Shape, teacher: Shape) -> str | None:
    """Why the two networks cannot meet, with the remedy."""
    if not params["hard"] and not needs(params, "modern"):
        return "The distilling stage minimises nothing: give hard, kl_alpha or mse_alpha a weight with --set."
    try:
        layers_met(params, student, teacher)
    except UserError as error:
        return str(error)
    return None


def meets(words: str) -> Callable[[dict[str, Any], Shape, Shape], str | None]:
    """What the plan says of the layers that meet.

    Args:
        words: With a place for the layers and one for the width.
    """

    def told(params: dict[str, Any], student: Shape, teacher: Shape) -> str | None:
        if not compares(params):
            return None
        own, theirs = (", ".join(map(str, layers)) for layers in layers_met(params, student, teacher))
        return words.format(f"student {own} ↔ teacher {theirs}", width(params, teacher))

    return told


def nothing(params: dict[str, Any], recipe: str) -> frozenset[str]:
    return frozenset()


def early_training(prefix: str) -> Callable[[dict[str, Any], str], dict[str, Any]]:
    """Training numbers of a stage of its own; what is automatic, or inert, is left to the run."""

    def training(params: dict[str, Any], recipe: str) -> dict[str, Any]:
        own: dict[str, Any] = {"evaluations_per_epoch": 1}
        # Inert where nothing comes of the stage.
        if (epochs := params.get(f"{prefix}_epochs", 0)) != AS_THE_RUN:
            own["epochs"] = epochs
        given = (("lr", f"{prefix}_lr"), ("batch_size", f"{prefix}_batch"))
        return own | {name: params[value] for name, value in given if params.get(value)}

    return training


def compares(values: dict[str, Any]) -> bool:
    """Whether layers are compared, without which filters are of no use."""
    return bool(values["mse_alpha"] > 0)


def early(
    prefix: str, what: str, usual: str, wanted: Callable[[dict[str, Any]], bool] = lambda values: True, **defaults: Any
) -> tuple[Hyperparameter, ...]:
    """Epochs, rate and batch of a stage before the distilling one.

    Args:
        what: Happens in it, for people.
        usual: Whose numbers it has where it has none of its own.
        wanted: Whether anything comes of it, given a point's values.
        defaults: Of `epochs`, `lr` and, for the published recipe, `published_epochs` and `published_lr`.
    """

    def active(values: dict[str, Any]) -> bool:
        return wanted(values) and bool(values[f"{prefix}_epochs"])

    return (
        Hyperparameter(
            f"{prefix}_epochs",
            "int",
            defaults.get("epochs", AS_THE_RUN),
            f"epochs in which {what}, 0 for none, -1 for as many as {usual}",
            low=-1,
            high=10_000,
            published=defaults.get("published_epochs"),
            active=wanted,
            unset=(AS_THE_RUN, f"as {usual}"),
        ),
        Hyperparameter(
            f"{prefix}_lr",
            "float",
            defaults.get("lr", 0.0),
            f"peak learning rate while {what}, 0 for that of {usual}",
            low=0.0,
            high=1.0,
            published=defaults.get("published_lr"),
            active=active,
            unset=(0.0, f"as {usual}"),
        ),
        Hyperparameter(
            f"{prefix}_batch",
            "int",
            0,
            f"rows per step while {what}, 0 for those of {usual}",
            low=0,
            high=65_536,
            active=active,
            unset=(0, f"as {usual}"),
        ),
    )


def finetuning(**defaults: Any) -> tuple[Hyperparameter, ...]:
    """Numbers of the student's own fine-tuning, which comes first."""
    what = "the student is fine-tuned alone"
    return early("finetune", what, "the distilling stage", lr=5e-5, published_lr=0.0, **defaults)


DISTILLING = (
    Hyperparameter("hard", "float", 1.0, "weight of the labels", low=0.0, high=1e6),
    Hyperparameter("kl_alpha", "float", 20.0, "weight of the teacher's predictions", low=0.0, high=1e6),
    Hyperparameter("mse_alpha", "float", 100.0, "weight of the distances between layers", low=0.0, high=1e6),
    Hyperparameter(
        "T",
        "float",
        2.0,
        "temperature of the teacher's predictions",
        low=1e-3,
        high=1e3,
        active=lambda v: v["kl_alpha"] > 0 and (not v["regression"] or v["recipe"] == "published"),
    ),
    Hyperparameter("lr", "float", 5e-5, "peak learning rate of the distilling stage", low=1e-8, high=1.0),
)
INTERVALS = (
    Hyperparameter(
        "filter_interval",
        "int",
        0,
        "a filter at every so many layers of the student, 0 to find it",
        low=0,
        high=1_000,
        active=compares,
        unset=(0, "found from the layers"),
    ),
    Hyperparameter(
        "teacher_interval",
        "int",
        0,
        "a filter at every so many layers of the teacher, 0 to find it",
        low=0,
        high=1_000,
        active=compares,
        unset=(0, "found from the layers"),
    ),
)


def finetune(setting: Setting) -> Objective:
    """As fine-tuning without a teacher, of which nothing is taken here either."""
    objective = ft.objective(setting)
    objective.needs = frozenset()
    return objective


def finetune_stage(hyperparameters: tuple[Hyperparameter, ...]) -> Stage:
    """The student alone on the labels, from which the distilling stage begins; one artifact for TED and LWD.

    Whoever the teacher is: none of its numbers is anything but a training number.
    """
    return Stage(
        "finetune",
        finetune,
        depends_on=tuple(h.name for h in hyperparameters),
        reporting=False,
        needs=nothing,
        training=early_training("finetune"),
        keep=lambda recipe: "best-metric",
        additive=True,
        origin="ted",
        settle=lambda params, student, teacher: {},
    )


# The reference program's own choices; what differs from task to task stands in the rows of the search spaces. What it
# does by accident (a step after the very first batch, a best epoch that must beat 0) is not here.
_TRAINING = {"warmup": 0.0, "weight_decay": 0.0, "clip": 0.0, "max_length": 256}
PUBLISHED = Published(
    training={**_TRAINING, "epochs": 6},
    # Its teachers are DeBERTa-v3-base, and its students DeBERTa-v3-xsmall, which a person names; others take the same.
    teacher={**_TRAINING, "lr": 2e-5, "epochs": 6, "keep": "best"},
)
