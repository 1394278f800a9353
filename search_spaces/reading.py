"""Reads a search space's file and checks all of it, so that one run shows every fault.

The format (`schema: 1`), by example::

    schema: 1
    method: kd                      # name of the method
    title: Knowledge distillation   # for headings
    reference: {paper: ..., repository: ..., revision: ...}   # any of these, texts
    epochs: {value: 10, grade: code default, source: flag default of the reference program}
    axes:
      T:
        help: temperature of the soft labels
        type: float                 # float, int, bool or choice
        scale: log                  # log or linear; numeric axes only
        bounds: [0.1, 100]          # numeric axes only
        range: [0.5, 20]            # what random and TPE draw between; numeric axes only, may be left out
        recipes: [modern, published]   # where the axis acts; elsewhere it is inert
        settable: true              # may be set elsewhere too, though no grid has it there; may be left out
        default: 1                  # one of the values
        every_size: true            # what a row says of it holds for its task with any layers; may be left out
        values:
          - {value: 1, grade: published, source: table 2 of the paper}
          - {value: 2, grade: ours, source: between these, grid: [modern]}   # in these grids; else in both
    rows:                           # published settings; may be an empty list; the first of a task and size leads
      - {task: cola, layers: 4, values: {T: 1}, source: "table 2 of the paper, CoLA"}

A row may also have `training` and `teacher`: numbers of the students' and of the teacher's training that the published
recipe takes for its task, such as `training: {batch_size: 64, epochs: 3}`, and `metric`, where its program chooses
epochs by another one than the task's own. A value with `grid: []` is not tried: a row
may have it, and the whole grid of that task and size has it then. `per_task: true` at the top says that each published
value is one for the tasks and sizes of its rows; for others it is graded as ours.

Every value has a grade (published, code default, ours) and a source. Numbers may be written 2e-5.
A person's own file may leave much of it out: see `search_spaces.own`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from search_spaces.axes import GIVEN, GRADES, NUMERIC, RECIPES, SCALES, TYPES, Axis, Row, Scalar, Value
from search_spaces.names import SpaceError, UnknownName, canonical, nearest_name

SCHEMA = 1
_KEYS = ("schema", "method", "title", "reference", "epochs", "per_task", "axes", "rows")
_AXIS_KEYS = ("help", "type", "scale", "bounds", "range", "recipes", "settable", "default", "every_size", "values")
_NUMERIC_KEYS = ("scale", "bounds", "range")
# What an axis of a person's own file may lack after `search_spaces.own` completed it.
_LEFT_OUT = ("help", "bounds", "default")


class _Loader(yaml.SafeLoader):
    """Safe YAML that reads 2e-5 as a number and refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                raise yaml.MarkedYAMLError(problem=f"key {name!r} twice", problem_mark=key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep=deep)


# YAML 1.1, which the parser follows, takes a number with an exponent but no point for a text.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        SpaceError: The file is missing, is not UTF-8 or is not YAML; the line is named.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_Loader)
    except OSError as error:
        raise SpaceError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise SpaceError(f"{path}: is not UTF-8 text (byte {error.start})") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        raise SpaceError(f"{path}: is not valid YAML{line} ({getattr(error, 'problem', None) or error})") from error


def parse(data: Any, where: str, own: bool = False) -> dict[str, Any]:
    """Checks the content of a search space's file and turns it into the fields of a `SearchSpace`.

    Args:
        data: The content, as YAML or JSON gives it.
        where: Name of the file, put before every sentence.
        own: It is a person's own file, completed by `search_spaces.own`: values may be "given", sources, helps and
            bounds may lack, and rows may have values that their axes do not list.

    Raises:
        SpaceError: One sentence for each fault.
    """
    reader = _Reader(where, own)
    fields = reader.space(data)
    if reader.problems:
        raise SpaceError(*reader.problems)
    return fields


class _Reader:
    """Collects faults instead of stopping at the first one."""

    def __init__(self, where: str, own: bool = False) -> None:
        self.where, self.own = where, own
        self.problems: list[str] = []

    def say(self, key: str, sentence: str) -> None:
        self.problems.append(f"{self.where}: {key} {sentence}")

    def mapping(self, data: Any, key: str, keys: tuple[str, ...], useless: tuple[str, ...] = ()) -> dict[str, Any]:
        if not isinstance(data, Mapping):
            self.say(key, f"is {_kind(data)}, but takes a mapping with {', '.join(keys)}")
            return {}
        prefix = "" if key == "the file" else f"{key}."
        for name in data:
            if name not in keys:
                close = nearest_name(str(name), keys)
                self.say(f"{prefix}{name}", "is no known key" + (f"; did you mean {close!r}?" if close else ""))
        for name in keys:
            if name not in useless and data.get(name) is None:
                self.say(key, f"has no {name}")
        return dict(data)

    def text(self, data: dict[str, Any], name: str, key: str) -> str:
        text = data.get(name)
        if text is None:
            return ""  # its absence has been said already
        if not isinstance(text, str) or not text.strip():
            self.say(key, f"is {text!r}, but takes a text that is not empty")
            return ""
        return text.strip()

    def one_of(self, data: dict[str, Any], name: str, key: str, known: tuple[str, ...]) -> str:
        if data.get(name) is None:
            return known[0]
        if data[name] not in known:
            self.say(key, f"is {data[name]!r}, but takes one of {', '.join(known)}")
            return known[0]
        return str(data[name])

    def space(self, data: Any) -> dict[str, Any]:
        top = self.mapping(data, "the file", _KEYS, ("per_task", *(("reference",) if self.own else ())))
        if top.get("schema") not in (None, SCHEMA):
            self.say("schema", f"is {top['schema']!r}, but this version reads schema {SCHEMA}")
        axes = self.axes(top.get("axes"))
        return {
            "method": self.text(top, "method", "method"),
            "title": self.text(top, "title", "title"),
            "reference": self.reference(top.get("reference")),
            "epochs": self.epochs(top.get("epochs")),
            "per_task": self.flag(top.get("per_task"), "per_task"),
            "axes": axes,
            "rows": self.rows(top.get("rows"), {axis.name: axis for axis in axes}),
        }

    def flag(self, data: Any, key: str) -> bool:
        if data is not None and not isinstance(data, bool):
            self.say(key, f"is {data!r}, but takes true or false")
        return data is True

    def reference(self, data: Any) -> dict[str, str]:
        if data is None or (self.own and data == {}):
            return {}
        if not isinstance(data, Mapping) or not data:
            self.say("reference", "takes a mapping from words such as paper or repository to texts")
            return {}
        return {str(k): self.text(dict(data), k, f"reference.{k}") for k in data}

    def epochs(self, data: Any) -> Value:
        axis = Axis("epochs", "int", "log", 1, 10_000, (), RECIPES, "", 1)
        value = self.value(data, "epochs", axis) if data is not None else None
        return value or Value(1, "ours", "")

    def value(self, data: Any, key: str, axis: Axis | None, more: tuple[str, ...] = ()) -> Value | None:
        """A graded value; None when the value itself is missing or wrong.

        Args:
            more: What it may have beside its grade and source.
        """
        # A person's own number needs no source; what claims to be looked up does.
        grade = data.get("grade") if isinstance(data, Mapping) else None
        useless = ("source",) if self.own and grade not in ("published", "code default") else ()
        entry = self.mapping(data, key, ("value", "grade", "source", *more), (*useless, *more))
        grade = self.one_of(entry, "grade", f"{key}.grade", (*GRADES, GIVEN) if self.own else GRADES)
        source = "" if useless and not entry.get("source") else self.text(entry, "source", f"{key}.source")
        if entry.get("value") is None or axis is None:
            return None
        value = self.cast(axis, entry["value"], f"{key}.value")
        grid = self.recipes(entry.get("grid"), f"{key}.grid", empty=True)
        return None if value is None else Value(value, grade, source, grid)

    def cast(self, axis: Axis, value: Any, key: str) -> Scalar | None:
        try:
            return axis.cast(value)
        except SpaceError as error:
            self.say(key, str(error))
            return None

    def axes(self, data: Any) -> tuple[Axis, ...]:
        if data is None:
            return ()
        if not isinstance(data, Mapping) or not data:
            self.say("axes", f"is {_kind(data)}, but takes a mapping from names to axes")
            return ()
        return tuple(self.axis(str(name), entry) for name, entry in data.items())

    def axis(self, name: str, data: Any) -> Axis:
        key = f"axes.{name}"
        kind = data.get("type") if isinstance(data, Mapping) else None
        numeric = kind in NUMERIC
        meaningless = () if numeric or kind not in TYPES else _NUMERIC_KEYS
        useless = (*meaningless, "range", "every_size", "settable")
        entry = self.mapping(data, key, _AXIS_KEYS, (*useless, *_LEFT_OUT) if self.own else useless)
        for word in meaningless:
            if word in entry:
                self.say(f"{key}.{word}", f"has no meaning on a {kind} axis")
        axis = Axis(
            name=name,
            type=self.one_of(entry, "type", f"{key}.type", TYPES),
            scale=self.one_of(entry, "scale", f"{key}.scale", SCALES) if numeric else None,
            low=None,
            high=None,
            values=(),
            recipes=self.recipes(entry.get("recipes"), f"{key}.recipes"),
            help="" if self.own and not entry.get("help") else self.text(entry, "help", f"{key}.help"),
            default=0,
            every_size=self.flag(entry.get("every_size"), f"{key}.every_size"),
            settable=self.flag(entry.get("settable"), f"{key}.settable"),
        )
        if numeric:
            low, high = self.bounds(entry.get("bounds"), f"{key}.bounds", axis)
            axis = replace(axis, low=low, high=high)
            ends = self.bounds(entry.get("range"), f"{key}.range", axis)
            axis = replace(axis, range=None if None in ends else (float(ends[0]), float(ends[1])))
        axis = replace(axis, values=self.values(entry.get("values"), f"{key}.values", axis))
        default = self.on_axis(axis, entry.get("default"), f"{key}.default")
        if self.own and axis.values and entry.get("default") is None:
            default = axis.values[0].value
        if default is not None:
            axis = replace(axis, default=default)
            self.in_grids(axis, f"{key}.default")
        return axis

    def bounds(self, data: Any, key: str, axis: Axis) -> tuple[Any, Any]:
        if data is None:
            return None, None
        if not isinstance(data, list) or len(data) != 2:
            self.say(key, f"is {data!r}, but takes two numbers, the least and the greatest value")
            return None, None
        low, high = (self.cast(axis, end, key) for end in data)
        if low is None or high is None:
            return None, None
        if float(low) >= float(high):
            self.say(key, f"is {data!r}, but the first number must be less than the second")
            return None, None
        if axis.scale == "log" and float(low) <= 0:
            self.say(key, f"begins at {low!r}, but a log scale needs bounds above 0")
        return low, high

    def recipes(self, data: Any, key: str, empty: bool = False) -> tuple[str, ...]:
        if data is None or (empty and data == []):
            return RECIPES if data is None else ()
        if not isinstance(data, list) or not data or any(r not in RECIPES for r in data) or len(set(data)) < len(data):
            self.say(key, f"is {data!r}, but takes a list of recipes out of {', '.join(RECIPES)}")
            return RECIPES
        return tuple(data)

    def values(self, data: Any, key: str, axis: Axis) -> tuple[Value, ...]:
        if data is None:
            return ()
        if not isinstance(data, list) or not data:
            self.say(key, f"is {_kind(data)}, but takes a list of values")
            return ()
        found: list[Value] = []
        for i, entry in enumerate(data):
            if axis.type == "choice":  # a choice axis takes what it lists
                raw = entry.get("value") if isinstance(entry, Mapping) else None
                if raw is not None and not isinstance(raw, str):
                    self.say(f"{key}[{i}].value", f"is {raw!r}, but a choice is a text; put it in quotes")
                    continue
                entry_axis = replace(axis, values=(Value(raw or "", "ours", ""),))
            else:
                entry_axis = axis
            value = self.value(entry, f"{key}[{i}]", entry_axis, ("grid",))
            if value is None:
                continue
            if any(value.value == v.value for v in found):
                self.say(f"{key}[{i}].value", f"is {value.value!r}, which the axis has already")
            found.append(value)
        return tuple(found)

    def on_axis(self, axis: Axis, value: Any, key: str, listed: bool = True) -> Scalar | None:
        if value is None or not axis.values:
            return None  # said already, here or at the axis
        cast = self.cast(axis, value, key)
        if listed and cast is not None and axis.grade(cast) is None:
            values = ", ".join(f"{v:g}" if axis.type in NUMERIC else str(v) for v in axis.choices)
            self.say(key, f"is {value!r}, which is not among the values of axis {axis.name} ({values})")
        return cast

    def in_grids(self, axis: Axis, key: str) -> None:
        """The default is what a grid falls back on, so every recipe's must have it."""
        for recipe in axis.recipes:
            if axis.grade(axis.default) and all(v.value != axis.default for v in axis.values if recipe in v.grid):
                self.say(key, f"is {axis.default!r}, which the grid of the {recipe} recipe does not have")

    def rows(self, data: Any, axes: dict[str, Axis]) -> tuple[Row, ...]:
        if data is None:
            return ()
        if not isinstance(data, list):
            self.say("rows", f"is {_kind(data)}, but takes a list, which may be empty")
            return ()
        rows: list[Row] = []
        for i, entry in enumerate(data):
            row = self.row(entry, f"rows[{i}]", axes)
            if row is None:
                continue
            if any((row.task, row.layers, row.values) == (r.task, r.layers, r.values) for r in rows):
                self.say(f"rows[{i}]", f"says of task {row.task} and {row.layers} layers what an earlier row says")
            rows.append(row)
        return tuple(rows)

    def row(self, data: Any, key: str, axes: dict[str, Axis]) -> Row | None:
        extra = ("training", "teacher")
        entry = self.mapping(data, key, ("task", "layers", "values", "source", *extra, "metric"), (*extra, "metric"))
        task, source = self.text(entry, "task", f"{key}.task"), self.text(entry, "source", f"{key}.source")
        if task != canonical(task):
            self.say(f"{key}.task", f"is {task!r}, but must be spelled {canonical(task)!r}")
        layers = entry.get("layers")
        if layers is not None and (not isinstance(layers, int) or isinstance(layers, bool) or layers < 1):
            self.say(f"{key}.layers", f"is {layers!r}, but takes a whole number of at least 1")
            layers = None
        given = entry.get("values")
        if given is not None and not isinstance(given, Mapping):
            self.say(f"{key}.values", f"is {_kind(given)}, but takes a mapping from axes to values")
            given = None
        values: dict[str, Scalar] = {}
        for name, raw in (given or {}).items() if axes else ():
            if name not in axes:
                error = UnknownName.of("axis", name, axes, where=f"{self.where}: {key}.values has the ")
                self.problems.append(str(error))
            elif raw is None:
                self.say(f"{key}.values.{name}", "has no value")
            elif (cast := self.on_axis(axes[name], raw, f"{key}.values.{name}", not self.own)) is not None:
                values[name] = cast
        numbers = {name: self.numbers(entry.get(name), f"{key}.{name}") for name in extra}
        metric = self.text(entry, "metric", f"{key}.metric")
        return Row(task, layers, values, source, **numbers, metric=metric) if task and layers else None

    def numbers(self, data: Any, key: str) -> dict[str, Scalar]:
        """Training numbers of a row; what they mean is not known here, so names and bounds are the plan's to check."""
        if data is None:
            return {}
        if not isinstance(data, Mapping) or not all(isinstance(value, (int, float, str)) for value in data.values()):
            self.say(key, "takes a mapping from training numbers to their values")
            return {}
        return {str(name): value for name, value in data.items()}


def _kind(data: Any) -> str:
    if data is None or data == [] or data == {}:
        return "empty"
    for kind, words in ((list, "a list"), (dict, "a mapping"), (str, "a text")):
        if isinstance(data, kind):
            return words
    return repr(data)
