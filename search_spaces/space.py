"""Search spaces: the published settings of a method and the axes that they span, as data.

One file `<method>.yaml` beside this module describes one method; `search_spaces.reading` has the format, and
`search_spaces.own` what a person's own file may leave out of it.

Example:
    >>> import search_spaces
    >>> space = search_spaces.load("emd")
    >>> print(space.points("cola", 4)[0])
    alpha 1 · beta 0.001 · T 1 · lr 2e-05 · theta 1
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces import every_size, own
from search_spaces.axes import GIVEN, RECIPES, Axis, Row, Scalar, Value
from search_spaces.names import SpaceError, UnknownName, canonical, nearest_name
from search_spaces.points import Origin, Point
from search_spaces.reading import SCHEMA, parse, read_yaml

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class SearchSpace:
    """What may be searched for one method.

    Attributes:
        method: Name of the method.
        title: Its name for headings.
        reference: Word ("paper", "repository", "revision") to text.
        axes: The hyper-parameters, in the order in which they are shown.
        rows: The published settings; empty for methods that have none.
        epochs: Epochs of training, with grade and source.
        per_task: Whether each published value is one for the tasks and sizes of its rows alone: for others it is ours.
    """

    method: str
    title: str
    reference: dict[str, str]
    axes: tuple[Axis, ...]
    rows: tuple[Row, ...]
    epochs: Value
    per_task: bool = False

    @classmethod
    def from_yaml(cls, path: str | Path, strict: bool = False) -> SearchSpace:
        """Reads a file and checks all of it.

        Args:
            path: The file.
            strict: Nothing may be left out, as in the files that ship.

        Raises:
            SpaceError: One sentence for each fault, naming the file and the key.
        """
        return cls.from_dict(read_yaml(Path(path)), where=str(path), strict=strict)

    @classmethod
    def from_dict(cls, data: Any, where: str = "search space", strict: bool = False) -> SearchSpace:
        """Builds a space from the content of a file; the inverse of `to_dict`.

        Args:
            data: The content, as YAML or JSON gives it.
            where: Named in the sentences of errors.
            strict: Nothing may be left out, as in the files that ship.

        Raises:
            SpaceError: One sentence for each fault.
        """
        if strict:
            return cls(**parse(data, where))
        method = data.get("method") if isinstance(data, Mapping) else None
        shipped = load(method) if method in methods() else None
        return cls(**parse(own.complete(data, shipped), where, own=True))

    def to_dict(self) -> dict[str, Any]:
        """The content of a file that describes this space: lists, mappings and scalars only."""
        return {
            "schema": SCHEMA,
            "method": self.method,
            "title": self.title,
            "reference": dict(self.reference),
            "epochs": _value_dict(self.epochs),
            **({"per_task": True} if self.per_task else {}),
            "axes": {axis.name: _axis_dict(axis) for axis in self.axes},
            "rows": [_row_dict(row) for row in self.rows],
        }

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that have rows, in the file's order."""
        return tuple(dict.fromkeys(row.task for row in self.rows))

    @property
    def layers(self) -> tuple[int, ...]:
        """The layer counts that have rows, ascending."""
        return tuple(sorted({row.layers for row in self.rows}))

    def axis(self, name: str) -> Axis:
        """The axis of this name.

        Raises:
            UnknownName: There is none; the nearest name is given.
        """
        for axis in self.axes:
            if axis.name == name:
                return axis
        raise UnknownName.of(f"hyper-parameter of {self.method}", name, [a.name for a in self.axes])

    def nearest(self, name: str) -> str | None:
        """The axis whose name resembles `name` most, or None when none does."""
        return nearest_name(name, [axis.name for axis in self.axes])

    def active(self, recipe: str = "modern", task: str | None = None, layers: int | None = None) -> tuple[Axis, ...]:
        """The axes that act in a recipe, with the values of its grid.

        Args:
            recipe: "modern" or "published".
            task, layers: For which they are wanted: their row may hold values for the whole grid, and where there is
                none, grades may be others.

        Raises:
            UnknownName: There is no such recipe.
        """
        if recipe not in RECIPES:
            raise UnknownName.of("recipe", recipe, RECIPES)
        row = None if task is None or layers is None else self.row(task, layers)
        elsewhere = self._elsewhere(task, layers)
        return tuple(axis.within(recipe, row, elsewhere) for axis in self.axes if recipe in axis.recipes)

    def _elsewhere(self, task: str | None, layers: int | None) -> str | None:
        """The grade of what was published for other tasks and sizes; None where it stays "published"."""
        if not self.per_task or task is None:
            return None
        if canonical(task) not in self.tasks:
            return "ours for this task"
        return None if layers is None or self.row(task, layers) else "ours for this size"

    def inert(self, recipe: str = "modern") -> tuple[Axis, ...]:
        """The axes that change nothing in a recipe."""
        acting = {axis.name for axis in self.active(recipe)}
        return tuple(axis for axis in self.axes if axis.name not in acting)

    def swept(self, recipe: str = "modern") -> tuple[Axis, ...]:
        """The acting axes with more than one value."""
        return tuple(axis for axis in self.active(recipe) if len(axis.values) > 1)

    def row(self, task: str, layers: int) -> Row | None:
        """The first published row of exactly this task and layer count, or None."""
        key = (canonical(task), layers)
        return next((row for row in self.rows if (row.task, row.layers) == key), None)

    def nearest_row(self, task: str, layers: int) -> Row | None:
        """A row to name when there is none for (task, layers): the task's own, or of the most similar name.

        Among these the one whose layer count is nearest, the smaller of two. None when no task resembles.
        """
        name = canonical(task)
        similar = name if name in self.tasks else nearest_name(name, self.tasks)
        rows = [row for row in self.rows if row.task == similar]
        return min(rows, key=lambda row: (abs(row.layers - layers), row.layers), default=None)

    def missing_row(self, task: str, layers: int) -> str:
        """The sentence to show when `published` gives None."""
        start = f"{self.title} has no published row for task {canonical(task)} with {layers} layers"
        if not self.rows:
            return f"The search space of {self.title} has no published rows; the points come from its axes alone"
        near = self.nearest_row(task, layers)
        hint = f" (nearest: {near.task} with {near.layers})" if near else f" (tasks: {', '.join(self.tasks)})"
        return f"{start}{hint}; the points come from its axes alone"

    def published(self, task: str, layers: int, recipe: str = "modern") -> Point | None:
        """The first published point of exactly this task and layer count.

        Axes that the row leaves out take their default; inert axes are dropped. A row's value counts as
        published even where the axis no longer lists it.

        Returns:
            The point, or None when there is no such row.

        Raises:
            UnknownName: There is no such recipe.
        """
        self.active(recipe)
        row = self.row(task, layers)
        return None if row is None else self._of_row(row, recipe, "published")

    def settings(self, task: str, layers: int, recipe: str = "modern") -> list[Point]:
        """All that was published, each setting once: the nearest to (task, layers) first.

        The row of exactly this task and layer count leads, then come those of the task, those of the layer count, and
        the rest, each in the order of the file. Rows that differ in inert axes only are one setting.

        Raises:
            UnknownName: There is no such recipe.
        """
        self.active(recipe)
        name = canonical(task)
        found: dict[str, Point] = {}
        for row in sorted(self.rows, key=lambda row: (row.task != name, row.layers != layers)):
            exact = (row.task, row.layers) == (name, layers)
            elsewhere = None if exact else self._elsewhere(task, layers)
            point = self._of_row(row, recipe, "published" if exact else "published elsewhere", elsewhere)
            found.setdefault(point.id, point)
        return list(found.values())

    def _of_row(self, row: Row, recipe: str, origin: Origin, elsewhere: str | None = None) -> Point:
        active = self.active(recipe)
        params = {a.name: row.values.get(a.name, a.default) for a in active}
        published = elsewhere or "published"
        grades = {a.name: published if a.name in row.values else a.grade(a.default) or GIVEN for a in active}
        return Point(params, origin, grades)

    def point(
        self,
        values: Mapping[str, Any] | None = None,
        recipe: str = "modern",
        task: str | None = None,
        layers: int | None = None,
    ) -> Point:
        """A point with a person's values, and defaults for the axes that they leave out.

        Args:
            values: Axis name to value. Values of inert axes are checked and dropped.
            recipe: The recipe that decides which axes act.
            task, layers: As in `active`.

        Raises:
            UnknownName: A name is no axis; the nearest one is given.
            SpaceError: A value has the wrong type or lies outside its axis's bounds.
        """
        given: dict[str, Scalar] = {}
        for name, value in (values or {}).items():
            axis = self.axis(name)
            try:
                given[name] = axis.cast(value)
            except SpaceError as error:
                raise SpaceError(f"{self.method}: {name} {error}") from error
        active = self.active(recipe, task, layers)
        return self._point({a.name: given.get(a.name, a.default) for a in active}, active)

    def grid(self, recipe: str = "modern", task: str | None = None, layers: int | None = None) -> list[Point]:
        """All combinations of the values of the acting axes, in canonical order; `task` and `layers` as in `active`.

        The order follows the names of the axes and their values, not the file's order, so that a file may be
        rearranged without changing any sweep.
        """
        active = self.active(recipe, task, layers)
        by_name = sorted(active, key=lambda axis: axis.name)
        points: dict[str, Point] = {}
        for combination in itertools.product(*(sorted(axis.choices) for axis in by_name)):
            chosen = dict(zip((axis.name for axis in by_name), combination, strict=True))
            point = self._point({axis.name: chosen[axis.name] for axis in active}, active)
            points.setdefault(point.id, point)
        return list(points.values())

    def points(self, task: str, layers: int, recipe: str = "modern", seed: int = 0) -> list[Point]:
        """The points of a sweep in their order: first the published (or `every_size.opening`), then the grid, shuffled.
        A shuffled order keeps early stopping fair: in the order of the product, a bad value of the first axis
        fills the first rungs. The order is a function of the seed and the grid alone, not of the task or the
        process, and points that differ in inert axes only are one.

        Args:
            task: Name of the task, in any spelling.
            layers: Layers of the student.
            recipe: "modern" or "published".
            seed: Seed of the order.

        Raises:
            UnknownName: There is no such recipe.
        """
        rest = self.grid(recipe, task, layers)
        draw = random.Random(seed)
        # Sorting by draws of random() is reproducible by documented promise; shuffle() makes none.
        keys = [draw.random() for _ in rest]
        rest = [point for _, point in sorted(zip(keys, rest, strict=True), key=lambda pair: pair[0])]
        leading = [p for p in self.settings(task, layers, recipe) if p.origin == "published"]
        first = {p.id: p for p in leading or every_size.opening(self, task, layers, recipe)}
        return [*first.values(), *(point for point in rest if point.id not in first)]

    def ray(self, task: str, layers: int, recipe: str = "modern") -> dict[str, Any]:
        """A parameter space for a `ray.tune.Tuner` of one's own.

        Axes with several values become `{"grid_search": [...]}`, which is what `ray.tune.grid_search` returns; the
        others are constants. The published row's value comes first where its axis does not list it. Ray runs the
        product of all axes, in its own order; `points` gives the same settings as dicts, the published one first,
        and only these where the row lies off the axes.

        Args:
            task: Name of the task, in any spelling.
            layers: Layers of the student.
            recipe: "modern" or "published"; axes that it leaves inert are left out.

        Returns:
            Axis name to a constant or a grid.

        Raises:
            UnknownName: There is no such recipe.

        Example:
            >>> import search_spaces
            >>> search_spaces.load("ft").ray("cola", 4)
            {'lr': {'grid_search': [5e-05, 0.0001]}}
        """
        row = self.row(task, layers)
        space: dict[str, Any] = {}
        for axis in self.active(recipe, task, layers):
            published = [row.values[axis.name]] if row and axis.name in row.values else []
            values = list(dict.fromkeys([*(v for v in published if v not in axis.choices), *axis.choices]))
            space[axis.name] = {"grid_search": values} if len(values) > 1 else values[0]
        return space

    def _point(self, params: dict[str, Scalar], active: tuple[Axis, ...]) -> Point:
        # A value outside of this grid may stand in another.
        grades = {a.name: a.grade(value := params[a.name]) or self.axis(a.name).grade(value) for a in active}
        graded = {name: grade or GIVEN for name, grade in grades.items()}
        origin: Origin = "given" if GIVEN in graded.values() else "grid"
        return Point(params, origin, graded)


def methods() -> list[str]:
    """The methods that have a search space, in alphabetical order."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def file_of(method: str) -> Path:
    """The file that ships with a method."""
    return _FOLDER / f"{method}.yaml"


def load(method: str) -> SearchSpace:
    """The search space of a method.

    Raises:
        UnknownName: There is none; the nearest known method is named.
        SpaceError: Its file is faulty.
    """
    known = methods()
    if method not in known:
        raise UnknownName.of("method", method, known)
    path = file_of(method)
    space = SearchSpace.from_yaml(path, strict=True)
    if space.method != method:
        raise SpaceError(f"{path}: method is {space.method!r}, but the file's name says {method!r}")
    return space


def from_file(path: str | Path, method: str | None = None) -> SearchSpace:
    """A person's own search space; `search_spaces.own` says what the file may leave out.

    Args:
        path: The file.
        method: The method that the space must be for.

    Raises:
        SpaceError: The file is faulty, or of another method.
    """
    data = read_yaml(Path(path))
    found = data.get("method") if isinstance(data, Mapping) else None
    # First of all: for the wrong method everything else may look faulty too.
    if method is not None and isinstance(found, str) and found != method:
        raise SpaceError(f"{path}: method is {found!r}, but a search space of {method!r} is asked for")
    return SearchSpace.from_dict(data, where=str(path))


def _row_dict(row: Row) -> dict[str, Any]:
    numbers = {name: copy(found) for name in ("training", "teacher", "metric") if (found := getattr(row, name))}
    return {"task": row.task, "layers": row.layers, "values": dict(row.values), **numbers, "source": row.source}


def _value_dict(value: Value) -> dict[str, Any]:
    grid = {} if value.grid == RECIPES else {"grid": list(value.grid)}
    return {"value": value.value, "grade": value.grade, "source": value.source, **grid}


def _axis_dict(axis: Axis) -> dict[str, Any]:
    numeric: dict[str, Any] = {} if axis.scale is None else {"scale": axis.scale}
    if axis.low is not None:
        numeric["bounds"] = [axis.low, axis.high]
    if axis.range is not None:
        numeric["range"] = list(axis.range)
    return {
        "help": axis.help,
        "type": axis.type,
        **numeric,
        "recipes": list(axis.recipes),
        **({"settable": True} if axis.settable else {}),
        "default": axis.default,
        **({"every_size": True} if axis.every_size else {}),
        "values": [_value_dict(value) for value in axis.values],
    }
