"""Parameters of a classifier by the beginnings of their names."""

from __future__ import annotations

from typing import Any

ALL = ("all",)


def named(model: Any, prefixes: tuple[str, ...]) -> frozenset[str]:
    """Names of the parameters that begin with one of some prefixes.

    Args:
        model: A sequence classifier on a BERT-like encoder.
        prefixes: Of names inside the encoder, which are the same whatever its kind ("encoder.layer.3.", "pooler.",
            "embeddings."), or of names in the whole model ("classifier."); `ALL` is every parameter.

    Raises:
        ValueError: No parameter begins with one of them.
    """
    names = [name for name, _ in model.named_parameters()]
    if prefixes == ALL:
        return frozenset(names)
    encoder = f"{model.base_model_prefix}."
    found: set[str] = set()
    for prefix in prefixes:
        some = {name for name in names if name.startswith(prefix) or name.startswith(encoder + prefix)}
        if not some:
            raise ValueError(f"no parameter of the student begins with {prefix!r}")
        found |= some
    return frozenset(found)
