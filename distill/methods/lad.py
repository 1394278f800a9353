"""LAD: the student's layers learn from aggregates of the teacher's, which gates make that learn with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from distill import layer_maps
from distill.errors import UserError
from distill.methods.base import Hyperparameter, Method, Published, Shape, Stage

if TYPE_CHECKING:
    from distill.methods.objective import Objective, Setting


def objective(setting: Setting) -> Objective:
    """Total: hidden · states + soft · teacher's predictions + hard · labels (Lin, Chen, Kao, 2023, as in its code).

    `hidden` is the mean over the student's layers of the mean squared difference between layer i and the aggregate of
    the teacher's layers up to ceil(iN/M) (from there up to the last, where the recursion runs downwards). Gates make
    the aggregates; they learn from this term alone, with an optimizer of their own. `soft` is T² · KL and `hard` the
    cross-entropy, both means over the batch; in regression both are mean squared errors.

    Modern means run over real tokens, and gates normalise each token. The published ones run over everything, padding
    included, and so do mean, variance and affine parameters of the published gates.

    Raises:
        UserError: The layers or widths do not fit, or every term is off.
    """
    import torch
    from torch import Tensor, nn

    from distill.losses.distances import learned_mean_square
    from distill.losses.logits import prediction_loss
    from distill.methods.objective import Objective, Outputs, Term
    from distill.models.gates import GatedAggregation

    params = setting.params
    published = setting.recipe == "published"
    if setting.teacher is None:
        raise ValueError("LAD needs a teacher")
    ours, theirs = setting.student, setting.teacher
    if problem := _misfit(params, ours, theirs):
        raise UserError(problem)
    if published and setting.length is None:
        raise ValueError("published gates normalise whole rows, so these must have one length")
    targets = _targets(setting.recipe, ours, theirs) if params["hidden"] > 0 else ()
    order = _order(params, setting.recipe, ours, theirs) if targets else ()
    soft, hard = params["soft"], params["hard"]
    reduction: Literal["masked", "padded"] = "padded" if published else "masked"

    class Gated(Objective):
        learned = frozenset({"hidden"})

        def __init__(self) -> None:
            super().__init__()
            self.needs = _needs(params, setting.recipe)
            self.uses_teacher = bool(targets) or soft > 0
            self.lr = params.get("gate_lr")
            self.weight_decay = params.get("gate_weight_decay")
            self.aggregation: GatedAggregation | None = None
            if targets:
                length = setting.length if published else None
                trained = params["gates"] == "trained"
                self.aggregation = GatedAggregation(order, theirs.hidden_size, length, trained=trained)

        def forward(self, student: Outputs, teacher: Outputs | None, batch: dict[str, Tensor]) -> dict[str, Term]:
            terms: dict[str, Term] = {}
            if self.aggregation is not None:
                assert student.hidden is not None
                assert teacher is not None
                mask = batch["attention_mask"]
                aggregates = self.aggregation(teacher.at("hidden", sorted(order)).unbind()[:: _step(order)], mask)
                pairs = zip(student.hidden[1:], targets, strict=True)
                layers = [learned_mean_square(own, aggregates[layer], mask, reduction) for own, layer in pairs]
                terms["hidden"] = Term(torch.stack(layers).mean(), params["hidden"])
            if soft + hard > 0:
                losses = prediction_loss(
                    student.logits,
                    None if teacher is None else teacher.logits,
                    batch["labels"],
                    alpha=soft / (soft + hard),
                    temperature=params.get("T", 1.0),
                    form="modern",
                    regression=setting.regression,
                )
                weights = {"soft": soft, "hard": hard}
                terms.update({name: Term(loss, weights[name]) for name, loss in losses.items()})
            return terms

        def clipped(self) -> list[list[nn.Parameter]]:
            return self.aggregation.parts(each=published) if self.aggregation is not None else []

        def observation(self) -> dict[str, Any]:
            return self.aggregation.observation(targets, theirs.layers) if self.aggregation is not None else {}

    return Gated()


def _targets(recipe: str, student: Shape, teacher: Shape) -> tuple[int, ...]:
    """For each of the student's layers the teacher's layer behind whose aggregate it learns.

    Raises:
        UserError: The counts do not fit; in the published recipe N must be a multiple of M.
    """
    return layer_maps.uniform(student.layers, teacher.layers, whole=recipe == "published")


def _order(params: dict[str, Any], recipe: str, student: Shape, teacher: Shape) -> tuple[int, ...]:
    """The teacher's layers as they are merged, as far as a target needs them.

    Raises:
        UserError: As `_targets`.
    """
    targets = _targets(recipe, student, teacher)
    if params["reverse"]:
        return tuple(range(teacher.layers, targets[0] - 1, -1))
    return tuple(range(1, targets[-1] + 1))


def _step(order: tuple[int, ...]) -> int:
    """Of ascending layers, how an order runs through them."""
    return 1 if order[0] <= order[-1] else -1


def _teacher_layers(params: dict[str, Any], recipe: str, student: Shape, teacher: Shape) -> tuple[int, ...] | None:
    return _order(params, recipe, student, teacher) if params["hidden"] > 0 else None


def _needs(params: dict[str, Any], recipe: str) -> frozenset[str]:
    """What is taken of both networks."""
    return frozenset({"logits", "hidden"} if params["hidden"] > 0 else {"logits"})


def _misfit(params: dict[str, Any], student: Shape, teacher: Shape) -> str | None:
    if not (params["hidden"] > 0 or params["soft"] > 0 or params["hard"] > 0):
        return "Every loss of LAD is switched off: give hidden, soft or hard a weight with --set."
    if student.hidden_size != teacher.hidden_size and (params["hidden"] > 0 or params["embeddings"] == "teacher"):
        return (
            f"The student is {student.hidden_size} wide and the teacher {teacher.hidden_size}, but LAD has no "
            "projection between them: choose a --student of the teacher's width, or leave --student out, so that it is "
            "cut from the teacher's encoder."
        )
    try:
        _targets("modern", student, teacher)
    except UserError as error:
        return str(error)
    return None


def _gated(values: dict[str, Any]) -> bool:
    return bool(values["hidden"] > 0)


def _learned(values: dict[str, Any]) -> bool:
    return _gated(values) and values["gates"] == "trained"


_HYPERPARAMETERS = (
    Hyperparameter("soft", "float", 0.5, "weight of the teacher's predictions, 0 for none", low=0.0, high=1e6),
    Hyperparameter("hard", "float", 0.5, "weight of the labels, 0 for none", low=0.0, high=1e6),
    Hyperparameter("hidden", "float", 1000.0, "weight of the hidden states, 0 for none", low=0.0, high=1e9),
    Hyperparameter(
        "T",
        "float",
        10.0,
        "temperature of the teacher's predictions",
        low=1e-3,
        high=1e3,
        active=lambda values: values["soft"] > 0,
        regression=False,
    ),
    Hyperparameter("lr", "float", 1e-4, "peak learning rate of the student", low=1e-8, high=1.0),
    Hyperparameter("gate_lr", "float", 1e-6, "peak learning rate of the gates", low=1e-10, high=1.0, active=_learned),
    Hyperparameter(
        "gate_weight_decay",
        "float",
        0.01,
        "decoupled decay of the gates' matrices",
        low=0.0,
        high=10.0,
        active=_learned,
    ),
    Hyperparameter(
        "gates",
        "choice",
        "trained",
        "whether the gates learn, or stay as they were drawn",
        choices=("trained", "frozen"),
        active=_gated,
    ),
    Hyperparameter("reverse", "bool", False, "merge the layers from the last one down", active=_gated),
    Hyperparameter(
        "embeddings",
        "choice",
        "pretrained",
        "the student's embeddings: new ones, those that come with its layers, or the fine-tuned teacher's",
        choices=("random", "pretrained", "teacher"),
        published="random",
    ),
)

# The reference program's own choices; what it does by accident (indices that are cut, a backward pass for each of the
# losses, a schedule that ends some batches before the last epoch does) is not here.
_PUBLISHED = Published(
    training={"max_length": 128, "padding": "max_length"},
    # Each task's row has what differs.
    teacher={"lr": 3e-5, "epochs": 3, "max_length": 128, "warmup": 0.3, "keep": "last"},
)

METHOD = Method(
    name="lad",
    title="LAD",
    reference="Lin, Chen, Kao, LAD: Layer-Wise Adaptive Distillation for BERT Model Compression, Sensors 23(3), 2023",
    hyperparameters=_HYPERPARAMETERS,
    stages=(
        Stage(
            "distill",
            objective,
            depends_on=tuple(h.name for h in _HYPERPARAMETERS),
            needs=_needs,
            teacher_layers=_teacher_layers,
            # The reference's means run over the padding, and its gates normalise whole rows.
            reads_padding=lambda recipe: recipe == "published",
            one_length=lambda recipe: recipe == "published",
        ),
    ),
    misfit=_misfit,
    embeddings=lambda values: values["embeddings"],
    published=_PUBLISHED,
)
