"""TED: filters that learn the task first, then distances between what the filters of both networks let through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distill import layer_maps
from distill.methods import task_aware as shared
from distill.methods.base import Hyperparameter, Method, OnTeacher, Settle, Shape, Stage

if TYPE_CHECKING:
    from distill.methods.objective import Objective, Setting


def filters(setting: Setting) -> Objective:
    """Total: the mean over the filters of each one's own task loss on the labels (Liang et al., 2023, stage I).

    A filter's logits come from its output at the first token (the mean over the real tokens where the network's own
    classifier reads that), through a pooler and a classifier of its own; in a span task from its output at every token,
    through a linear layer. The network that carries the filters learns nothing. On
    the teacher itself the same objective runs with the teacher as student.

    Raises:
        UserError: The intervals do not fit.
    """
    from torch import Tensor, nn

    from distill.losses.precision import at_least_float32, no_autocast
    from distill.losses.task_aware import filtered_task_loss, span_cross_entropy
    from distill.methods.objective import Objective, Outputs, Term
    from distill.models.filters import FilterHeads, Filters, SpanHeads, pooled
    from distill.models.positions import halves

    params, own = setting.params, setting.student
    part = "hidden" if setting.span or setting.pools else "cls"
    layers, width = _own_layers(params, own, setting.teacher), shared.width(params, setting.teacher or own)

    class TaskFilters(Objective):
        needs = frozenset()
        own_needs = frozenset({part})
        uses_teacher = False

        def __init__(self) -> None:
            super().__init__()
            self.filters = Filters(len(layers), own.hidden_size, width, params.get("filter_nonlinear", False))
            shared.load(self.filters, setting, shared.FILTERS, required=False)
            self.heads: nn.Module = (
                SpanHeads(len(layers), width)
                if setting.span
                else FilterHeads(len(layers), width, setting.num_labels, setting.kind, setting.dropout)
            )

        def forward(self, student: Outputs, teacher: Outputs | None, batch: dict[str, Tensor]) -> dict[str, Term]:
            with no_autocast(student.logits):
                labels = batch["labels"]
                read = self.filters(at_least_float32(student.at(part, layers)))
                if setting.span:
                    mask = None if setting.recipe == "published" else batch["attention_mask"]
                    start, end = self.heads(read)
                    loss = span_cross_entropy(start, end, *halves(labels), mask)
                else:
                    read = pooled(read, batch["attention_mask"]) if setting.pools else read
                    loss = filtered_task_loss(self.heads(read), labels, regression=setting.regression)
            return {"filtered": Term(loss, 1.0)}

        def leaves(self) -> dict[str, Tensor]:
            kept: nn.Module = self.filters
            return {shared.FILTERS + name: value for name, value in kept.state_dict().items()}

    return TaskFilters()


def distill(setting: Setting) -> Objective:
    """Total: hard · task loss + kl_alpha · soft + mse_alpha · layers (Liang et al., 2023, stage II).

    `soft` is T² · KL to the teacher's distribution, batch mean; in regression the squared error of the scores, or in
    the published recipe the divergence of their softmax over the batch. `layers` is the mean over the filters of the
    mean squared difference between both networks' filtered states: over real tokens, or in the published recipe over
    everything, padding included.

    Raises:
        UserError: The intervals do not fit, or nothing is compared.
        ValueError: No filters came from the stages before or from the teacher's side.
    """
    return shared.task_aware(setting, teacher_filters=True)


def _own_layers(params: dict[str, Any], own: Shape, teacher: Shape | None) -> tuple[int, ...]:
    """Of a student; or, without a teacher beside it, of the teacher itself, whose interval is settled."""
    if teacher is None:
        return layer_maps.every(own.layers, params["filter_interval"])
    return shared.layers_met(params, own, teacher)[0]


def _settled(params: dict[str, Any], student: Shape, teacher: Shape) -> dict[str, Any]:
    """What the teacher's filters depend on, in the words in which stage I names a network's own."""
    return _form(params, shared.intervals(params, student, teacher)[1], teacher)


def _students(params: dict[str, Any], student: Shape, teacher: Shape) -> dict[str, Any]:
    """The same of the student's filters."""
    return _form(params, shared.intervals(params, student, teacher)[0], teacher)


def _form(params: dict[str, Any], interval: int, teacher: Shape) -> dict[str, Any]:
    return {
        "filter_interval": interval,
        "filter_output_dim": shared.width(params, teacher),
        "filter_nonlinear": params.get("filter_nonlinear", False),
    }


def _shapes(params: dict[str, Any], student: Shape, teacher: Shape) -> dict[str, dict[str, tuple[int, ...]]]:
    """Of the filters of both networks, as `distill.models.filters.Filters` names them."""
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    sides = (("student_filters", student), ("teacher_filters", teacher))
    for (side, network), layers in zip(sides, shared.layers_met(params, student, teacher), strict=True):
        inner, outer = network.hidden_size, shared.width(params, teacher)
        sizes = {0: (inner, inner), 2: (outer, inner)} if params.get("filter_nonlinear", False) else {0: (outer, inner)}
        found[side] = {
            f"{shared.FILTERS}filters.{place}.{part}.{name}": shape if name == "weight" else shape[:1]
            for place in range(len(layers))
            for part, shape in sizes.items()
            for name in ("weight", "bias")
        }
    return found


def _filters_stage(name: str, prefix: str, depends_on: tuple[str, ...], settle: Settle | None = None) -> Stage:
    return Stage(
        name,
        filters,
        depends_on=depends_on,
        trainable=(),
        reporting=False,
        needs=shared.nothing,
        training=shared.early_training(prefix),
        # In the reference nothing but the flags of its parameters tells a frozen network from another.
        dropout=lambda recipe: recipe == "published",
        additive=True,
        settle=settle,
    )


_FORM = (
    Hyperparameter(
        "filter_output_dim",
        "int",
        0,
        "width behind a filter, 0 for the teacher's",
        low=0,
        high=65_536,
        active=shared.compares,
        unset=(0, "the teacher's"),
    ),
    Hyperparameter(
        "filter_nonlinear",
        "bool",
        False,
        "two layers with a GELU between them in place of one",
        active=shared.compares,
    ),
)
_STUDENT = shared.early(
    "filter",
    "the student's filters learn the task",
    "the distilling stage",
    wanted=shared.compares,
    lr=5e-5,
    published_lr=0.0,
)
_TEACHER = shared.early(
    "teacher_filter", "the teacher's filters learn the task", "the teacher's own training", wanted=shared.compares
)
_FINETUNE = shared.finetuning()
_OWN_FILTERS = (*shared.INTERVALS, *_FORM, *_STUDENT)

METHOD = Method(
    name="ted",
    title="TED",
    reference=shared.REFERENCE,
    hyperparameters=(*_FINETUNE, *_OWN_FILTERS, *_TEACHER, *shared.DISTILLING),
    stages=(
        shared.finetune_stage(_FINETUNE),
        _filters_stage("student-filters", "filter", tuple(h.name for h in _OWN_FILTERS), _students),
        # Not additive: the distances are means over the tokens of a batch.
        Stage(
            "distill",
            distill,
            depends_on=tuple(h.name for h in (*shared.INTERVALS, *_FORM, *_TEACHER, *shared.DISTILLING)),
            needs=shared.needs,
            teacher_layers=shared.teacher_layers,
            # The reference's mean runs over the padding.
            reads_padding=lambda recipe: recipe == "published",
        ),
    ),
    misfit=shared.misfit,
    meets=shared.meets("Filters: {}, width {}"),
    projects="its filters lead both networks to one width where their layers are compared",
    published=shared.PUBLISHED,
    on_teacher=OnTeacher(
        _filters_stage("teacher-filters", "teacher_filter", ()),
        _settled,
        _shapes,
        idle={"teacher_filters": ("teacher_filter_epochs",), "student_filters": ("finetune_epochs", "filter_epochs")},
        used=shared.compares,
    ),
)
