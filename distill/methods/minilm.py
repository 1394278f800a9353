"""MiniLM: the self-attention relations of one teacher layer for the student's last, then the task itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from distill.errors import UserError
from distill.methods.base import Hyperparameter, Method, Published, Shape, Stage
from distill.methods.ft import objective as finetune
from distill.models.architectures import architecture

if TYPE_CHECKING:
    from distill.methods.objective import Objective, Setting

# Which projections make a relation, and which relations each version has.
_PARTS = {"qq": ("query", "query"), "kk": ("key", "key"), "vv": ("value", "value"), "qk": ("query", "key")}
_VERSIONS = {"v1": ("qk", "vv"), "v2": ("qq", "kk", "vv"), "all": ("qq", "kk", "vv", "qk")}
# Width of a relation head where nobody says how many there are: 48 of them for 768, 64 for 1024.
_WIDTH = 16


def relations(setting: Setting) -> Objective:
    """Total: the sum over the relations of weight · KL(teacher ‖ student), mean over the tokens of each sentence.

    A relation is the softmax of the scaled products of two projections, head by head. The second version (Wang et al.,
    2021) takes query and query, key and key, value and value, each split anew into `relation_heads`; the first (Wang et
    al., 2020) query and key (the attention itself) and value and value, in the networks' own heads. "all" is the second
    with query and key beside its three.

    Raises:
        UserError: Heads, widths or layers do not fit, or every relation has weight 0.
    """
    from torch import Tensor

    from distill.losses.relations import relation_divergence
    from distill.methods.objective import Objective, Outputs, Term

    params = setting.params
    if setting.teacher is None:
        raise ValueError("MiniLM needs a teacher")
    ours, theirs = setting.student, setting.teacher
    if problem := _misfit(params, ours, theirs):
        raise UserError(problem)
    heads = ours.heads if params["version"] == "v1" else _relation_heads(params, ours, theirs)
    last, read = (ours.layers,), _teacher_layers(params, setting.recipe, ours, theirs)
    pairs = _weights(params)

    class Relations(Objective):
        needs = _needs(params, setting.recipe)

        def forward(self, student: Outputs, teacher: Outputs | None, batch: dict[str, Tensor]) -> dict[str, Term]:
            assert teacher is not None
            found = {part: (student.at(part, last)[0], teacher.at(part, read)[0]) for part in sorted(self.needs)}
            terms = {}
            for pair, weight in pairs.items():
                (x, their_x), (y, their_y) = (found[part] for part in _PARTS[pair])
                loss = relation_divergence((x, y), (their_x, their_y), batch["attention_mask"], heads)
                terms[pair] = Term(loss, weight)
            return terms

    return Relations()


def _weights(params: dict[str, Any]) -> dict[str, float]:
    """Relations of this version that have a weight."""
    return {pair: params[pair] for pair in _VERSIONS[params["version"]] if params[pair] > 0}


def _relation_heads(params: dict[str, Any], student: Shape, teacher: Shape) -> int:
    """As many as asked; or the most that divide both widths, each of at least 16 of the teacher's features.

    Where the teacher's own heads are narrower, there may be as many as these.
    """
    if params["relation_heads"]:
        return int(params["relation_heads"])
    common = math.gcd(student.hidden_size, teacher.hidden_size)
    most = max(teacher.hidden_size // _WIDTH, teacher.heads)
    return max(heads for heads in range(1, common + 1) if common % heads == 0 and heads <= most)


def _teacher_layers(params: dict[str, Any], recipe: str, student: Shape, teacher: Shape) -> tuple[int, ...]:
    return (params["teacher_layer"] or teacher.layers,)


def _needs(params: dict[str, Any], recipe: str) -> frozenset[str]:
    return frozenset(part for pair in _weights(params) for part in _PARTS[pair])


def _trainable(params: dict[str, Any], recipe: str, student: Shape) -> tuple[str, ...]:
    """Everything below the last layer, and the projections of it that are compared."""
    if student.repeated:
        # A last layer that runs twice stands below its own second pass.
        return ("embeddings", "encoder.")
    last = student.layers - 1
    below = (f"encoder.layer.{layer}." for layer in range(last))
    compared = sorted(_needs(params, recipe))
    return ("embeddings", *below, *(f"encoder.layer.{last}.attention.self.{part}." for part in compared))


def _training(params: dict[str, Any], recipe: str) -> dict[str, Any]:
    """Numbers of the first stage; the reference warms up over 4,000 of its 400,000 steps."""
    own = {"epochs": params["relation_epochs"], "lr": params["relation_lr"], "evaluations_per_epoch": 1}
    return {**own, "warmup": 0.01} if recipe == "published" else own


def _misfit(params: dict[str, Any], student: Shape, teacher: Shape) -> str | None:
    version = params["version"]
    if not _weights(params):
        known = ", ".join(_VERSIONS[version])
        return f"Every relation of MiniLM (version {version}) has weight 0: give one of {known} a weight with --set."
    if params["teacher_layer"] > teacher.layers:
        return (
            f"teacher_layer={params['teacher_layer']} is not there: the teacher has {teacher.layers} layers, and "
            "--set teacher_layer=0 takes the last."
        )
    for who, shape in (("student", student), ("teacher", teacher)):
        kind = architecture(shape.kind)
        if "qk" in _weights(params) and kind.scores == "disentangled":
            return (
                f"MiniLM's relation qk between queries and keys is the attention itself, and scores of the {who}, a "
                f"{kind.title} ({shape.kind}), have parts of the distance beside these products: --set qk=0, or --set "
                "version=v2, which has no such relation."
            )
    if version == "v1" and student.heads != teacher.heads:
        return (
            f"The student has {student.heads} attention heads and the teacher {teacher.heads}, but MiniLM v1 compares "
            "them head by head: choose a --student with as many heads, or --set version=v2."
        )
    if version != "v1":
        heads = _relation_heads(params, student, teacher)
        for who, width in (("student", student.hidden_size), ("teacher", teacher.hidden_size)):
            if width % heads:
                return (
                    f"relation_heads={heads} does not divide the {who}'s width {width}: choose a divisor of "
                    f"{math.gcd(student.hidden_size, teacher.hidden_size)}, or --set relation_heads=0."
                )
    return None


def _relation(pair: str) -> Hyperparameter:
    one, other = _PARTS[pair]
    return Hyperparameter(
        pair,
        "float",
        1.0,
        f"weight of the relations between {one} and {other}, 0 for none",
        low=0.0,
        high=1e6,
        active=lambda values: pair in _VERSIONS[values["version"]],
    )


_RELATIONS = (
    Hyperparameter(
        "version",
        "choice",
        "v2",
        "v1 compares attention and values head by head; v2 queries, keys and values in heads of their own; all is v2 "
        "with attention beside them",
        choices=tuple(_VERSIONS),
    ),
    *(_relation(pair) for pair in _PARTS),
    Hyperparameter(
        "relation_heads",
        "int",
        0,
        "heads that projections are split into; 0 for the most of at least 16 features that divide both widths",
        low=0,
        high=65_536,
        active=lambda values: values["version"] != "v1",
        unset=(0, "the most that fit"),
    ),
    Hyperparameter(
        "teacher_layer",
        "int",
        0,
        "the teacher's layer, from 1; 0 for the last",
        low=0,
        high=1_000,
        unset=(0, "the last"),
    ),
    Hyperparameter("relation_epochs", "int", 10, "epochs of the first stage", low=1, high=10_000),
    Hyperparameter(
        "relation_lr", "float", 1e-4, "peak learning rate of the first stage", low=1e-8, high=1.0, published=6e-4
    ),
)
_FINETUNING = (Hyperparameter("lr", "float", 3e-5, "peak learning rate of the fine-tuning", low=1e-8, high=1.0),)

# Of the fine-tuning, which the papers describe; their distillation is pre-training and has no teacher for a task.
_PUBLISHED = Published(
    training={"epochs": 5, "max_length": 128},
    # Fine-tuned as the students are, at a rate of their grid.
    teacher={"lr": 3e-5, "epochs": 4, "max_length": 128, "keep": "best"},
)

METHOD = Method(
    name="minilm",
    title="MiniLM",
    reference="Wang et al., MiniLM, NeurIPS 2020, and MiniLMv2, Findings of ACL 2021",
    hyperparameters=(*_RELATIONS, *_FINETUNING),
    stages=(
        Stage(
            "relations",
            relations,
            depends_on=tuple(h.name for h in _RELATIONS),
            trainable=_trainable,
            reporting=False,
            needs=_needs,
            teacher_layers=_teacher_layers,
            training=_training,
            keep=lambda recipe: "last" if recipe == "published" else "best",
            # A mean over sentences.
            additive=True,
        ),
        Stage("finetune", finetune, depends_on=("lr",), additive=True),
    ),
    misfit=_misfit,
    published=_PUBLISHED,
)
