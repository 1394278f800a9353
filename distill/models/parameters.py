"""Parameters of a classifier by the beginnings of their names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from distill.models.architectures import architecture

if TYPE_CHECKING:
    from distill.methods.base import Shape, Stage

ALL = ("all",)
HEAD, OUTPUT, BODY = "head", "output", "body"
# What stands in the classifier's place where classes are positions.
SPANS = "qa_outputs"


def named(model: Any, prefixes: tuple[str, ...]) -> frozenset[str]:
    """Names of the parameters that begin with one of some prefixes.

    Args:
        model: A sequence classifier on a BERT-like encoder.
        prefixes: Of names inside the encoder, as a BERT has them ("encoder.layer.3.", "pooler.", "embeddings."); in
            encoders of another kind what is in their place is meant. Or of names in the whole model ("classifier.",
            which is also what points to tokens); `HEAD` among them is all that stands behind the layers: a pooler,
            where there is one, and the classifier; `OUTPUT` is the classifier's last linear layer, and `BODY` is
            everything but that. `ALL` is every parameter.

    Raises:
        ValueError: No parameter begins with one of them.
    """
    names = [name for name, _ in model.named_parameters()]
    if prefixes == ALL:
        return frozenset(names)
    encoder = f"{model.base_model_prefix}."
    found: set[str] = set()
    for prefix in prefixes:
        if prefix == HEAD:
            some = {name for name in names if not name.startswith(encoder) or name.startswith(f"{encoder}pooler.")}
        elif prefix in (OUTPUT, BODY):
            last = f"{output_layer(model)[0]}."
            some = {name for name in names if name.startswith(last) == (prefix == OUTPUT)}
        else:
            own = _own(model, prefix)
            some = {name for name in names if name.startswith(own) or name.removeprefix(encoder).startswith(own)}
            if not some and prefix == "classifier.":
                some = {name for name in names if name.startswith(f"{SPANS}.")}
        if not some:
            raise ValueError(f"no parameter of the student begins with {prefix!r}")
        found |= some
    return frozenset(found)


def _own(model: Any, prefix: str) -> tuple[str, ...]:
    """A beginning of names, as a BERT has them, in the model's own names."""
    known = architecture(model.config.model_type)
    if not (match := _NUMBERED.match(prefix)):
        return known.own_names(prefix)
    from distill.models.capture import encoder_layers, passes

    stack, order, number = encoder_layers(model), passes(model), int(match[1])
    if number >= len(order):
        return (prefix,)
    own = next(name for name, module in model.base_model.named_modules() if module is stack[order[number]])
    found = known.own_names(prefix[match.end() :], f"{own}.")
    # What acts on the output of a layer is the layer's.
    behind = {0: known.after_first, len(order) - 1: known.after_last}.get(number, "")
    return (*found, f"{behind}.") if behind and match.end() == len(prefix) else found


def output_layer(model: Any) -> tuple[str, Any]:
    """The last linear layer of a BERT-like classifier, with its name: what stands before it is its pooler.

    Raises:
        ValueError: There is none where BERT, RoBERTa and ELECTRA have it.
    """
    for name in ("classifier.out_proj", "classifier", SPANS):
        module: Any = model
        for part in name.split("."):
            module = getattr(module, part, None)
        if getattr(module, "out_features", None) is not None:
            return name, module
    raise ValueError(f"{type(model).__name__} has no classifier whose last linear layer is known")


def redraw(model: Any, prefixes: tuple[str, ...]) -> None:
    """Draw linear layers anew from torch's generator, as new ones begin: weights N(0, `initializer_range`), biases 0.

    Args:
        prefixes: As `named` takes them.
    """
    if not prefixes:
        return
    import torch

    with torch.no_grad():
        for name in sorted(named(model, prefixes)):
            parameter = model.get_parameter(name)
            if parameter.ndim > 1:
                # Drawn on the CPU, so that every device begins with the same numbers.
                drawn = torch.empty(parameter.shape).normal_(std=model.config.initializer_range)
                parameter.copy_(drawn)
            else:
                parameter.zero_()


def untrained(trained: Iterable[tuple[str, ...]], layers: int, pooler: bool, one_set: bool = False) -> tuple[str, ...]:
    """Parts of a classifier that no stage trains, as beginnings of parameters' names inside its encoder.

    Args:
        trained: What each stage trains, as `named` takes it.
        layers: Of the encoder, those with weights of their own.
        pooler: Whether there is one.
        one_set: Whether all layers have the same weights, so that what trains one trains all.
    """
    prefixes = {prefix for stage in trained for prefix in stage}
    if prefixes & set(ALL):
        return ()
    if one_set:
        prefixes, layers = {_NUMBERED.sub("encoder.layer.0.", prefix) for prefix in prefixes}, 1
    head = ("pooler.", "classifier.") if pooler else ("classifier.",)
    parts = ("embeddings.", *(f"encoder.layer.{n}.{part}" for n in range(layers) for part in _LAYER), *head)

    def is_trained(part: str) -> bool:
        is_output = part == "classifier."
        special = {HEAD: part in head, OUTPUT: is_output, BODY: not is_output}
        return part.startswith(tuple(prefixes)) or any(special[prefix] for prefix in prefixes & set(special))

    return tuple(part for part in parts if not is_trained(part))


def left_alone(
    stages: Iterable[Stage], params: dict[str, Any], recipe: str, student: Shape, kind: str, span: bool = False
) -> str:
    """The parameters of a student that none of some stages trains, in words; empty where there are none.

    Args:
        params: A point's resolved values.
        student: Its shape.
        kind: Its `model_type`.
        span: Whether it points to tokens, for which it needs no pooler; a ModernBERT keeps its head.
    """
    trained = [stage.trained(params, recipe, student) for stage in stages]
    one_set = bool(architecture(kind).groups)
    words = in_words(untrained(trained, student.physical, pooled(kind, span), one_set))
    return words.replace("layer 1", "all layers") if one_set else words


def pooled(kind: str, span: bool = False) -> bool:
    """Whether a classifier of this `model_type` has a pooler; the others' heads read the last layer themselves.

    Args:
        span: It is what points to tokens that is meant.
    """
    known = architecture(kind)
    return bool(known.head) and (not span or known.span_head)


def told(words: str, where: str = "") -> str:
    """One sentence on what no stage trains.

    Args:
        words: As `in_words` gives them.
        where: What goes behind "of the student", such as in how many points that is so.
    """
    return f"No step trains these parameters of the student{where}, which stay as they come: {words}."


def in_words(parts: Iterable[str]) -> str:
    """What `untrained` found, for people: whole layers by their numbers from 1, others with their parts."""
    found: list[str] = []
    inner: dict[int, list[str]] = {}
    for part in parts:
        if match := re.fullmatch(r"encoder\.layer\.(\d+)\.(.+)\.", part):
            if int(match[1]) not in inner:
                found.append(match[1])
            inner.setdefault(int(match[1]), []).append(match[2])
        else:
            found.append(part.rstrip("."))
    for place, word in enumerate(found):
        if word.isdigit():
            some = inner[int(word)]
            of = "" if len(some) == len(_LAYER) else f" ({', '.join(some)})"
            found[place] = f"layer {int(word) + 1}{of}"
    return ", ".join(found)


_NUMBERED = re.compile(r"encoder\.layer\.(\d+)\.")
_LAYER = (
    *(f"attention.self.{name}." for name in ("query", "key", "value")),
    *("attention.output.", "intermediate.", "output."),
)
