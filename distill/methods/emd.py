"""BERT-EMD: many-to-many layer matching by the earth mover's distance (Li et al., EMNLP 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from distill.methods.base import Hyperparameter, Method, Published, Shape, Stage

if TYPE_CHECKING:
    from distill.methods.objective import Objective, Setting


def objective(setting: Setting) -> Objective:
    """Total: beta · (theta · (hidden + attention) + embedding) + alpha · soft + (1 - alpha) · hard.

    `hidden` and `attention` are transport costs between all layers of student and teacher, `embedding` the mean
    squared difference of the embedding outputs, `soft` and `hard` the prediction losses. Student states pass one
    shared linear projection where the widths differ (in the published recipe always).

    Raises:
        UserError: Teacher and student differ in heads while attention scores are compared head by head.
    """
    import torch
    from torch import Tensor, nn

    from distill.errors import UserError
    from distill.losses.distances import hidden_mean_square
    from distill.losses.layer_transport import LayerTransport
    from distill.losses.logits import prediction_loss
    from distill.losses.precision import at_least_float32
    from distill.methods.objective import Objective, Outputs, Term

    params = setting.params
    published = setting.recipe == "published"
    if setting.teacher is None:
        raise ValueError("BERT-EMD needs a teacher")
    ours: Shape = setting.student
    theirs: Shape = setting.teacher
    # Inert values are absent from a resolved point, so each has a neutral stand-in here.
    beta, theta, alpha = (params.get(name, 0.0) for name in ("beta", "theta", "alpha"))
    active, embedding = _compared(params)
    if problem := _misfit(params, ours, theirs):
        raise UserError(problem)
    reduction: Literal["masked", "padded"] = "padded" if published else "masked"

    class EarthMover(Objective):
        def __init__(self) -> None:
            super().__init__()
            self.needs = _needs(params, setting.recipe)
            self.projection = (
                nn.Linear(ours.hidden_size, theirs.hidden_size)
                if published or ours.hidden_size != theirs.hidden_size
                else None
            )
            self.transport = (
                LayerTransport(
                    ours.layers,
                    theirs.layers,
                    terms=active,
                    update=params.get("update", "frozen"),
                    joint=params.get("joint", False),
                    temperature=params.get("T_emd", 1.0),
                    second_softmax=params.get("second_softmax", True),
                    reduction=reduction,
                )
                if active
                else None
            )

        def forward(self, student: Outputs, teacher: Outputs | None, batch: dict[str, Tensor]) -> dict[str, Term]:
            assert teacher is not None
            mask = batch["attention_mask"]
            terms: dict[str, Term] = {}
            if params["prediction"]:
                losses = prediction_loss(
                    student.logits,
                    teacher.logits,
                    batch["labels"],
                    alpha=alpha,
                    temperature=params.get("T", 1.0),
                    form=setting.recipe,
                    regression=setting.regression,
                )
                terms["soft"] = Term(losses["soft"], alpha)
                terms["hard"] = Term(losses["hard"], 1.0 - alpha)
            with torch.autocast(mask.device.type, enabled=False):
                if embedding or "hidden" in active:
                    assert student.hidden is not None
                    assert teacher.hidden is not None
                    own = at_least_float32(student.hidden)
                    own = self.projection(own) if self.projection is not None else own
                    hidden = (own[1:], teacher.hidden[1:]) if "hidden" in active else None
                    if embedding:
                        loss = hidden_mean_square(own[0], teacher.hidden[0], mask, reduction)
                        terms["embedding"] = Term(loss, beta)
                else:
                    hidden = None
                if self.transport is not None:
                    scores = None
                    if "attention" in active:
                        assert student.scores is not None
                        assert teacher.scores is not None
                        scores = (student.scores, teacher.scores)
                    costs = self.transport(hidden=hidden, attention=scores, mask=mask)
                    terms.update({name: Term(cost, beta * theta) for name, cost in costs.items()})
            return terms

        def flush(self) -> None:
            if self.transport is not None:
                self.transport.flush()

        def get_extra_state(self) -> Any:
            return self.transport.state_dict() if self.transport is not None else {}

        def set_extra_state(self, state: Any) -> None:
            if self.transport is not None:
                self.transport.load_state_dict(state)

        def observation(self) -> dict[str, Any]:
            seen = self.transport.observation() if self.transport is not None else {}
            return {
                "layer_weights": {
                    term: {"student": facts["student"], "teacher": facts["teacher"]} for term, facts in seen.items()
                },
                "flow": {term: facts["flow"] for term, facts in seen.items()},
            }

    return EarthMover()


def _compared(params: dict[str, Any]) -> tuple[tuple[str, ...], bool]:
    """Which terms are transported, and whether embeddings are compared, given a point's resolved values."""
    beta, theta = (params.get(name, 0.0) for name in ("beta", "theta"))
    active = tuple(name for name in ("attention", "hidden") if params.get(name, False) and beta * theta > 0)
    return active, bool(params.get("embedding", False) and beta > 0)


def _needs(params: dict[str, Any], recipe: str) -> frozenset[str]:
    """What is taken of both networks."""
    active, embedding = _compared(params)
    hidden = {"hidden"} if "hidden" in active or embedding else set()
    return frozenset({"logits"} | hidden | ({"scores"} if "attention" in active else set()))


def _misfit(params: dict[str, Any], student: Shape, teacher: Shape) -> str | None:
    active, embedding = _compared(params)
    if not (params["prediction"] or active or embedding):
        return "Every loss of BERT-EMD is switched off: --set prediction=true, or give beta and a term a weight."
    if "attention" in active and student.heads != teacher.heads:
        return (
            f"The student has {student.heads} attention heads and the teacher {teacher.heads}, but BERT-EMD compares "
            "scores head by head: choose a --student with as many heads, or --set attention=false."
        )
    return None


def _number(name: str, default: float, high: float, help: str, **rest: Any) -> Hyperparameter:
    return Hyperparameter(name, "float", default, help, high=high, **rest)


def _switch(name: str, help: str, **rest: Any) -> Hyperparameter:
    return Hyperparameter(name, "bool", True, help, **rest)


def _crosses(values: dict[str, Any]) -> bool:
    return bool(values["beta"] > 0 and (values["hidden"] or values["attention"]))


def _transports(values: dict[str, Any]) -> bool:
    return bool(values["theta"] > 0 and _crosses(values))


def _transfers(values: dict[str, Any]) -> bool:
    return bool(values["embedding"] or (values["theta"] > 0 and (values["hidden"] or values["attention"])))


def _softens(values: dict[str, Any]) -> bool:
    return bool(values["update"] == "v2020" and _transports(values))


_HYPERPARAMETERS = (
    _number("alpha", 1.0, 1.0, "share of the teacher's soft labels", low=0.0, active=lambda v: v["prediction"]),
    _number("beta", 0.01, 1e6, "weight of the transfer terms", low=0.0, active=_transfers),
    _number("theta", 1.0, 1e6, "weight of hidden and attention in them", low=0.0, active=_crosses),
    _number(
        "T",
        1.0,
        1e3,
        "temperature of the soft labels",
        low=1e-3,
        active=lambda v: v["prediction"] and v["alpha"] > 0,
        regression=False,
    ),
    _number("T_emd", 1.0, 1e3, "temperature of the layer-weight softmax", low=1e-3, active=_softens),
    _number("lr", 3e-5, 1.0, "peak learning rate", low=1e-8),
    Hyperparameter(
        "update",
        "choice",
        "current",
        "how layer weights follow the costs",
        choices=("current", "v2020", "frozen"),
        published="v2020",
        active=_transports,
    ),
    _switch(
        "joint",
        "average attention and hidden layer weights",
        active=lambda v: _transports(v) and v["hidden"] and v["attention"] and v["update"] != "frozen",
    ),
    _switch("second_softmax", "flatten v2020 weights once more", active=_softens),
    _switch("hidden", "compare hidden states", active=lambda v: v["beta"] > 0 and v["theta"] > 0),
    _switch("attention", "compare attention scores", active=lambda v: v["beta"] > 0 and v["theta"] > 0),
    _switch("embedding", "compare embedding outputs", active=lambda v: v["beta"] > 0),
    _switch("prediction", "compare predictions"),
)

# The reference program's own choices; what it does by accident (a teacher with dropout, a random seed) is not here.
_PUBLISHED = Published(
    training={
        "optimizer": "bertadam",
        "schedule": "constant",
        "warmup": 0.0,
        "max_length": 64,
        "padding": "max_length",
        "drop_last": True,
        "evaluation_steps": 50,
    },
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
    name="emd",
    title="BERT-EMD",
    reference="Li et al., BERT-EMD: Many-to-Many Layer Mapping for BERT Compression, EMNLP 2020",
    hyperparameters=_HYPERPARAMETERS,
    # Not additive: the flow is solved for the mean costs of a whole batch, and each call moves the layer weights.
    stages=(
        Stage(
            "distill",
            objective,
            depends_on=tuple(h.name for h in _HYPERPARAMETERS),
            needs=_needs,
            # The reference's means run over the padding.
            reads_padding=lambda recipe: recipe == "published",
        ),
    ),
    misfit=_misfit,
    projects="a linear projection is trained beside it and dropped at the end",
    published=_PUBLISHED,
)
