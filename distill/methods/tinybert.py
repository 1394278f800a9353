"""TinyBERT: attention scores, hidden states and embeddings of paired layers first, then the predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from distill import layer_maps
from distill.errors import UserError
from distill.methods.base import Hyperparameter, Method, Published, Shape, Stage

if TYPE_CHECKING:
    from distill.methods.objective import Objective, Setting


def intermediate(setting: Setting) -> Objective:
    """Total: attention · scores + hidden · states + embedding · embedding outputs (Jiao et al., 2020, eq. 7 to 9).

    Scores (before the softmax) and states are mean squared differences of each of the student's layers and the
    teacher's layer that `layers` gives it, added up over the layers. Student states pass one shared linear projection
    where the widths differ; in the published recipe always, with a bias.

    Modern means run over real tokens and real pairs of them. The published ones run over everything, padding included,
    with scores at or below -100 counted as 0.

    Raises:
        UserError: The layers do not fit, the heads differ while scores are compared, or nothing is compared.
    """
    import torch
    from torch import Tensor, nn

    from distill.losses.adaptors import hidden_distances
    from distill.losses.attention import score_distances
    from distill.losses.precision import at_least_float32
    from distill.methods.objective import Objective, Outputs, Term

    params = setting.params
    published = setting.recipe == "published"
    if setting.teacher is None:
        raise ValueError("TinyBERT needs a teacher")
    ours, theirs = setting.student, setting.teacher
    if problem := _misfit(params, ours, theirs):
        raise UserError(problem)
    # The teacher's entries: for scores those of layers 1 … M, for states those of 0 … M.
    entries = _entries(params, setting.recipe, ours, theirs)
    own = tuple(range(1, ours.layers + 1))
    reduction: Literal["masked", "padded"] = "padded" if published else "masked"

    class Intermediate(Objective):
        def __init__(self) -> None:
            super().__init__()
            self.needs = _needs(params, setting.recipe)
            self.projection: nn.Linear | None = None
            if "hidden" in self.needs and (published or ours.hidden_size != theirs.hidden_size):
                self.projection = nn.Linear(ours.hidden_size, theirs.hidden_size, bias=published)
                if published:
                    # As every linear layer of the reference's student begins.
                    nn.init.normal_(self.projection.weight, std=0.02)
                    nn.init.zeros_(self.projection.bias)

        def forward(self, student: Outputs, teacher: Outputs | None, batch: dict[str, Tensor]) -> dict[str, Term]:
            assert teacher is not None
            mask = batch["attention_mask"]
            terms: dict[str, Term] = {}
            with torch.autocast(mask.device.type, enabled=False):
                if params["attention"] > 0:
                    scores = student.at("scores", own), teacher.at("scores", entries[1:])
                    terms["attention"] = Term(score_distances(*scores, mask, reduction).sum(), params["attention"])
                for name, mine, wanted in (("hidden", own, entries[1:]), ("embedding", (0,), entries[:1])):
                    if params[name] > 0:
                        states = at_least_float32(student.at("hidden", mine))
                        states = self.projection(states) if self.projection is not None else states
                        loss = hidden_distances(states, teacher.at("hidden", wanted), mask, reduction).sum()
                        terms[name] = Term(loss, params[name])
            return terms

    return Intermediate()


def prediction(setting: Setting) -> Objective:
    """`soft`, the teacher's predictions alone (Jiao et al., 2020, eq. 10); in regression `hard`, the labels alone.

    `soft` is T² · KL, batch mean; in the published recipe the soft cross-entropy, mean over batch and classes, without
    T². In regression it is the squared error of the student's output, as in the reference program.
    """
    from torch import Tensor

    from distill.losses.logits import tinybert_prediction
    from distill.methods.objective import Objective, Outputs, Term

    class Prediction(Objective):
        uses_teacher = not setting.regression

        def forward(self, student: Outputs, teacher: Outputs | None, batch: dict[str, Tensor]) -> dict[str, Term]:
            loss = tinybert_prediction(
                student.logits,
                None if teacher is None else teacher.logits,
                batch["labels"],
                temperature=setting.params.get("T", 1.0),
                form=setting.recipe,
                regression=setting.regression,
            )
            return {"hard" if setting.regression else "soft": Term(loss, 1.0)}

    return Prediction()


def _entries(params: dict[str, Any], recipe: str, student: Shape, teacher: Shape) -> tuple[int, ...]:
    """The teacher's layer for each of the student's 0 … M; 0 is the embedding output.

    Raises:
        UserError: The counts do not fit; in the published recipe N must be a multiple of M.
    """
    return layer_maps.hidden(params["layers"], student.layers, teacher.layers, whole=recipe == "published")


def _teacher_layers(params: dict[str, Any], recipe: str, student: Shape, teacher: Shape) -> tuple[int, ...]:
    entries = _entries(params, recipe, student, teacher)
    above = params["attention"] > 0 or params["hidden"] > 0
    return (*(entries[:1] if params["embedding"] > 0 else ()), *(entries[1:] if above else ()))


def _needs(params: dict[str, Any], recipe: str) -> frozenset[str]:
    """What the first stage takes of both networks."""
    states = params["hidden"] > 0 or params["embedding"] > 0
    return frozenset(({"hidden"} if states else set()) | ({"scores"} if params["attention"] > 0 else set()))


def _trainable(params: dict[str, Any], recipe: str, student: Shape) -> tuple[str, ...]:
    """What the first stage reaches: of the last layer queries and keys alone, if only scores are compared."""
    if not (params["hidden"] > 0 or params["attention"] > 0):
        return ("embeddings",)
    if params["hidden"] > 0 or student.repeated:
        # A last layer that runs twice stands below its own second pass.
        return ("embeddings", "encoder.")
    last = student.layers - 1
    below = (f"encoder.layer.{layer}." for layer in range(last))
    return ("embeddings", *below, *(f"encoder.layer.{last}.attention.self.{part}." for part in ("query", "key")))


def _training(params: dict[str, Any], recipe: str) -> dict[str, Any]:
    """Numbers of the first stage."""
    own = {name: params[f"intermediate_{name}"] for name in ("epochs", "lr")}
    own["batch_size"] = params["intermediate_batch"]
    # The reference changes nothing of the rate here; nor is there a reason to look at dev in the midst of an epoch.
    constant = {"schedule": "constant", "warmup": 0.0} if recipe == "published" else {}
    return {**own, "evaluations_per_epoch": 1, **constant}


def _misfit(params: dict[str, Any], student: Shape, teacher: Shape) -> str | None:
    if not _needs(params, "modern"):
        return "The first stage of TinyBERT compares nothing: give attention, hidden or embedding a weight with --set."
    if params["attention"] > 0 and student.heads != teacher.heads:
        return (
            f"The student has {student.heads} attention heads and the teacher {teacher.heads}, but TinyBERT compares "
            "scores head by head: choose a --student with as many heads, or --set attention=0."
        )
    try:
        _entries(params, "modern", student, teacher)
    except UserError as error:
        return str(error)
    return None


def _weight(name: str, help: str) -> Hyperparameter:
    return Hyperparameter(name, "float", 1.0, f"weight of the {help}, 0 for none", low=0.0, high=1e6)


_INTERMEDIATE = (
    _weight("attention", "attention scores"),
    _weight("hidden", "hidden states"),
    _weight("embedding", "embedding outputs"),
    Hyperparameter(
        "layers",
        "layers",
        "uniform",
        "the teacher's layers for the student's: uniform, top, bottom, or one by one",
        choices=layer_maps.RULES,
    ),
    Hyperparameter("intermediate_epochs", "int", 20, "epochs of the first stage", low=1, high=10_000),
    Hyperparameter("intermediate_lr", "float", 5e-5, "peak learning rate of the first stage", low=1e-8, high=1.0),
    Hyperparameter("intermediate_batch", "int", 32, "rows per forward pass in the first stage", low=1, high=65_536),
)
_PREDICTION = (
    Hyperparameter("T", "float", 1.0, "temperature of the soft labels", low=1e-3, high=1e3, regression=False),
    Hyperparameter("lr", "float", 3e-5, "peak learning rate of the second stage", low=1e-8, high=1.0),
)

# The reference program's own choices, with the numbers of its README's commands; what it does by accident (a teacher
# with dropout, the choice by another dev set) is not here.
_PUBLISHED = Published(
    training={
        "epochs": 3,
        "optimizer": "bertadam",
        "max_length": 128,
        "padding": "max_length",
        "drop_last": True,
        "evaluation_steps": 100,
    },
    # None was published: that of BERT-EMD, whose program is made from this one.
    teacher={
        "lr": 2e-5,
        "epochs": 4,
        "max_length": 128,
        "warmup": 0.0,
        "weight_decay": 0.0,
        "keep": "last",
    },
    head="relu",
    students={4: "huawei-noah/TinyBERT_General_4L_312D", 6: "huawei-noah/TinyBERT_General_6L_768D"},
)

METHOD = Method(
    name="tinybert",
    title="TinyBERT",
    reference="Jiao et al., TinyBERT: Distilling BERT for Natural Language Understanding, Findings of EMNLP 2020",
    hyperparameters=(*_INTERMEDIATE, *_PREDICTION),
    stages=(
        Stage(
            "intermediate",
            intermediate,
            depends_on=tuple(h.name for h in _INTERMEDIATE),
            trainable=_trainable,
            reporting=False,
            needs=_needs,
            teacher_layers=_teacher_layers,
            training=_training,
            keep=lambda recipe: "last" if recipe == "published" else "best",
            # The reference's means run over the padding. So they are no means over rows, as the masked ones are none.
            reads_padding=lambda recipe: recipe == "published",
        ),
        Stage("prediction", prediction, depends_on=tuple(h.name for h in _PREDICTION), additive=True),
    ),
    misfit=_misfit,
    projects="a linear projection is trained beside it and dropped at the end",
    published=_PUBLISHED,
)
