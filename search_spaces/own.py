"""A person's own search space: a short file, completed from what ships with the method.

The shortest one names the method and the values to try; an axis that the file leaves out is not searched::

    method: emd
    axes:
      lr: [1e-5, 3e-5]
      beta: 0.02

Everything of the full format (`search_spaces.reading`) may be written as well, and what is left out is taken so:

* `schema`: the newest. `title`, `reference`, `epochs`: those that ship with the method. `rows`: none, so that no
  published setting comes first.
* An axis may be a value, a list of values, or a mapping as in the full format. Its `type`, `scale`, `bounds`, `recipes`
  and `help` are those that ship with the method. An axis that does not has the type of its values, no bounds, and acts
  in both recipes; so does one that is a setting where it is no axis.
* `default`: the one that ships, where the axis lists it, else the first value.
* A value needs no grade and no source. One that ships with the method keeps its own; any other is `given`. A value that
  calls itself `published` or `code default` does need its source, and so does a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from search_spaces.axes import GIVEN, NUMERIC, RECIPES, Axis
from search_spaces.reading import SCHEMA

if TYPE_CHECKING:
    from search_spaces.space import SearchSpace


def complete(data: Any, shipped: SearchSpace | None) -> Any:
    """The content of a short file in the full format; what cannot be completed stays, for the reader to refuse.

    Args:
        data: The content, as YAML or JSON gives it.
        shipped: The space that ships with the method, or None.
    """
    if not isinstance(data, Mapping):
        return data
    full: dict[Any, Any] = {"schema": SCHEMA, "title": str(data.get("method")), "rows": []}
    if not isinstance(data.get("method"), str):
        # That is fault enough; which epochs the method ships with cannot be known.
        full["epochs"] = _value(1, None)
    if shipped is not None:
        full |= {"title": shipped.title, "reference": dict(shipped.reference)}
        full["epochs"] = {"value": shipped.epochs.value, **_graded(shipped.epochs)}
    full |= {name: value for name, value in data.items() if value is not None}
    if data.get("epochs") is not None:
        full["epochs"] = _value(full["epochs"], None)
    if isinstance(data.get("axes"), Mapping):
        known = {axis.name: axis for axis in shipped.axes} if shipped else {}
        full["axes"] = {name: _axis(entry, known.get(str(name))) for name, entry in data["axes"].items()}
    return full


def _axis(data: Any, shipped: Axis | None) -> dict[Any, Any]:
    entry = dict(data) if isinstance(data, Mapping) else {"values": data}
    values = entry.get("values")
    if values is not None and not isinstance(values, (list, Mapping)):
        values = [values]
    bare = [v.get("value") if isinstance(v, Mapping) else v for v in values] if isinstance(values, list) else []
    kind = entry.get("type") or (shipped.type if shipped else _type(bare))
    # Who lists values of a mere setting wants them tried.
    acts_in = RECIPES if shipped is None or shipped.settable else shipped.recipes
    full: dict[Any, Any] = {"type": kind, "recipes": list(acts_in)}
    if kind in NUMERIC:
        full["scale"] = "linear"
    if shipped is not None:
        full["help"] = shipped.help
        if shipped.scale is not None and kind == shipped.type:
            full |= {"scale": shipped.scale, "bounds": [shipped.low, shipped.high]}
        if shipped.default in bare:
            full["default"] = shipped.default
    full |= {name: value for name, value in entry.items() if value is not None}
    if isinstance(values, list):
        full["values"] = [_value(value, shipped) for value in values]
    return full


def _value(data: Any, shipped: Axis | None) -> dict[Any, Any]:
    """A value with its grade: the one it ships with, else "given"."""
    entry = dict(data) if isinstance(data, Mapping) else {"value": data}
    if entry.get("grade") is None:
        entry["grade"] = GIVEN
        if shipped is not None and entry.get("source") is None:
            same = [value for value in shipped.values if value.value == entry.get("value")]
            entry |= _graded(same[0]) if same else {}
    return entry


def _graded(value: Any) -> dict[str, str]:
    return {"grade": value.grade, "source": value.source}


def _type(values: list[Any]) -> str:
    """The type of an axis by its values; among mixed ones the reader names the value that is not of it."""
    if values and all(isinstance(value, bool) for value in values):
        return "bool"
    if values and all(isinstance(value, str) for value in values):
        return "choice"
    return "int" if values and all(type(value) is int for value in values) else "float"
