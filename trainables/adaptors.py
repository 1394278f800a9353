"""`--adaptors AttnMiniLM,ValMiniLM:2`: the weights of all adaptors at once. Imports without torch and Ray."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from distill import methods
from distill.errors import UserError
from distill.methods.adaptors import ADAPTORS
from distill.methods.base import nearest


def spread(text: str | None, method: str, settings: Mapping[str, Any], flag: str, beside: str) -> dict[str, Any]:
    """Settings with the weight of every adaptor, 0 for those that `text` does not name; as given where it is None.

    Args:
        text: Names with weights behind colons; without one it is 1.
        method: Of the sweep, or several with commas between them.
        settings: Name to values, from the same source as `text`.
        flag, beside: How a person gave `text` and `settings`.

    Raises:
        UserError: The method has no adaptors, a name is unknown, given twice or in `settings` too, or a weight is none.
    """
    if text is None:
        return dict(settings)
    having = [name for name in methods.names() if methods.get(name).hyperparameter(ADAPTORS[0])]
    if not set(having) & {name.strip() for name in method.split(",")}:
        raise UserError(
            f"{flag} {text}: --method {method} has no adaptors; choose {' or '.join(having)}, or leave it out."
        )
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, colon, weight = (word.strip() for word in part.partition(":"))
        if name not in ADAPTORS:
            raise UserError(f"{flag} {text}: {name or 'an empty name'} is no adaptor{nearest(name, ADAPTORS)}")
        if name in weights:
            raise UserError(f"{flag} {text} names {name} twice; name it once.")
        weights[name] = _weight(weight, f"{flag} {text}", name) if colon else 1.0
    if both := [name for name in ADAPTORS if name in settings]:
        raise UserError(
            f"{flag} {text} sets the weight of every adaptor, 0 of those it does not name, and {beside} {both[0]} sets "
            "one of them again; leave one out."
        )
    return {**settings, **{name: [weights.get(name, 0.0)] for name in ADAPTORS}}


def _weight(text: str, where: str, name: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not 0 <= weight < math.inf:
        raise UserError(
            f"{where}: {text or 'nothing'} is no weight of {name}; write a number from 0 on, as in {name}:2."
        )
    return weight
