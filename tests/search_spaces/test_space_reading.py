"""Files of search spaces: every fault is found, in one sentence that names the file and the key."""

# ruff: noqa: E501  (a table of whole sentences)
from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from search_spaces import RECIPES, SearchSpace, SpaceError

GOOD: dict[str, Any] = {
    "schema": 1,
    "method": "kd",
    "title": "Knowledge distillation",
    "reference": {"paper": "somebody, 2015"},
    "epochs": {"value": 3, "grade": "ours", "source": "a reason"},
    "axes": {
        "T": {
            "help": "temperature",
            "type": "float",
            "scale": "log",
            "bounds": [0.1, 100],
            "recipes": ["modern", "published"],
            "default": 1,
            "values": [
                {"value": 1, "grade": "published", "source": "table 1"},
                {"value": 4, "grade": "ours", "source": "a reason"},
            ],
        },
        "depth": {
            "help": "how deep",
            "type": "int",
            "scale": "linear",
            "bounds": [1, 12],
            "recipes": ["modern"],
            "default": 2,
            "values": [{"value": 2, "grade": "code default", "source": "a flag"}],
        },
        "warm": {
            "help": "whether to warm up",
            "type": "bool",
            "recipes": ["published"],
            "default": False,
            "values": [
                {"value": True, "grade": "published", "source": "table 1"},
                {"value": False, "grade": "ours", "source": "a reason"},
            ],
        },
        "layer_map": {
            "help": "which layers meet",
            "type": "choice",
            "recipes": ["modern", "published"],
            "default": "uniform",
            "values": [
                {"value": "uniform", "grade": "published", "source": "table 1"},
                {"value": "last", "grade": "published", "source": "table 1"},
            ],
        },
    },
    "rows": [
        {
            "task": "cola",
            "layers": 4,
            "values": {"T": 4, "warm": True, "layer_map": "last"},
            "source": "table 1",
        },
        {"task": "sst2", "layers": 4, "values": {"T": 1}, "source": "table 1"},
    ],
}

MISSING = object()


def named(value: Any) -> str:
    """A value in a test's name, which is the same in every process."""
    return "missing" if value is MISSING else repr(value)


def changed(path: str, value: Any) -> dict[str, Any]:
    """The good content with one place changed; `path` is written as the messages write keys."""
    data = copy.deepcopy(GOOD)
    keys = [int(k) if k.isdigit() else k for k in re.findall(r"[^.\[\]]+", path)]
    place: Any = data
    for key in keys[:-1]:
        place = place[key]
    if value is MISSING:
        del place[keys[-1]]
    else:
        place[keys[-1]] = value
    return data


def test_all_kinds_of_axes() -> None:
    space = SearchSpace.from_dict(GOOD)
    assert len(space.points("rte", 4)) == 2 * 1 * 2
    assert len(space.points("rte", 4, "published")) == 2 * 2 * 2
    first = space.published("cola", 4, "published")
    assert first is not None
    assert first.params == {"T": 4.0, "warm": True, "layer_map": "last"}
    assert first.params["warm"] is True
    modern = space.published("cola", 4)
    assert modern is not None
    assert modern.params == {"T": 4.0, "depth": 2, "layer_map": "last"}
    assert type(modern.params["depth"]) is int
    assert modern.grades == {"T": "published", "depth": "code default", "layer_map": "published"}
    assert space.axis("warm").low is None
    assert SearchSpace.from_dict(space.to_dict()) == space
    with pytest.raises(SpaceError, match="layer_map is 'first', but takes one of uniform, last"):
        space.point({"layer_map": "first"})
    with pytest.raises(SpaceError, match="warm is 1, but takes true or false"):
        space.point({"warm": 1})


def test_a_value_may_stand_in_one_grid_or_in_none() -> None:
    space = SearchSpace.from_dict(changed("axes.T.values[1].grid", ["modern"]), strict=True)
    assert {point.params["T"] for point in space.grid("modern")} == {1, 4}
    assert {point.params["T"] for point in space.grid("published")} == {1}
    assert SearchSpace.from_dict(space.to_dict()) == space
    # In none: it is tried nowhere, and is in the whole grid of the task and size whose row has it.
    space = SearchSpace.from_dict(changed("axes.T.values[1].grid", []), strict=True)
    assert {point.params["T"] for recipe in RECIPES for point in space.grid(recipe)} == {1}
    assert {point.params["T"] for point in space.points("cola", 4)} == {4}
    assert {point.params["T"] for point in space.points("cola", 3)} == {1}
    assert SearchSpace.from_dict(space.to_dict()) == space


def test_every_grid_has_the_default() -> None:
    with pytest.raises(SpaceError, match=r"is 1\.0, which the grid of the published recipe does not have"):
        SearchSpace.from_dict(changed("axes.T.values[0].grid", ["modern"]), strict=True)


# Where the good content is changed, to what, and the one sentence that must come of it.
FAULTS = [
    ("schema", 2, "schema is 2, but this version reads schema 1"),
    ("schema", MISSING, "the file has no schema"),
    ("method", 7, "method is 7, but takes a text that is not empty"),
    ("title", "  ", "title is '  ', but takes a text that is not empty"),
    ("rows", MISSING, "the file has no rows"),
    ("rows", {"cola": 4}, "rows is a mapping, but takes a list, which may be empty"),
    ("axis", {}, "axis is no known key; did you mean 'axes'?"),
    ("reference", [], "reference takes a mapping from words such as paper or repository to texts"),
    ("reference.paper", 5, "reference.paper is 5, but takes a text that is not empty"),
    ("epochs", 10, "epochs is 10, but takes a mapping with value, grade, source"),
    ("epochs.value", 2.5, "epochs.value is 2.5, but takes a whole number"),
    ("epochs.value", 0, "epochs.value is 0, outside the bounds [1, 10000]"),
    ("epochs.source", MISSING, "epochs has no source"),
    ("axes", [], "axes is empty, but takes a mapping from names to axes"),
    ("axes.T", 3, "axes.T is 3, but takes a mapping with help, type, scale, bounds, range, recipes, settable, default, every_size, values"),
    ("axes.T.help", MISSING, "axes.T has no help"),
    ("axes.T.scael", "log", "axes.T.scael is no known key; did you mean 'scale'?"),
    ("axes.T.scale", "cubic", "axes.T.scale is 'cubic', but takes one of log, linear"),
    ("axes.T.scale", MISSING, "axes.T has no scale"),
    ("axes.T.bounds", [100], "axes.T.bounds is [100], but takes two numbers, the least and the greatest value"),
    ("axes.T.bounds", ["a", 9], "axes.T.bounds is 'a', but takes a finite number"),
    ("axes.T.bounds", [9, 1], "axes.T.bounds is [9, 1], but the first number must be less than the second"),
    ("axes.T.bounds", [0, 9], "axes.T.bounds begins at 0.0, but a log scale needs bounds above 0"),
    ("axes.depth.bounds", [1, 2.5], "axes.depth.bounds is 2.5, but takes a whole number"),
    ("axes.warm.scale", "log", "axes.warm.scale has no meaning on a bool axis"),
    ("axes.T.recipes", ["old"], "axes.T.recipes is ['old'], but takes a list of recipes out of modern, published"),
    ("axes.T.recipes", [], "axes.T.recipes is [], but takes a list of recipes out of modern, published"),
    ("axes.T.default", 2, "axes.T.default is 2, which is not among the values of axis T (1, 4)"),
    ("axes.T.default", MISSING, "axes.T has no default"),
    ("axes.warm.default", "no", "axes.warm.default is 'no', but takes true or false"),
    ("axes.T.values", [], "axes.T.values is empty, but takes a list of values"),
    ("axes.T.values[1].value", "four", "axes.T.values[1].value is 'four', but takes a finite number"),
    ("axes.T.values[1].value", True, "axes.T.values[1].value is True, but takes a finite number"),
    ("axes.T.values[1].value", 1.0, "axes.T.values[1].value is 1.0, which the axis has already"),
    ("axes.T.values[1].value", 101, "axes.T.values[1].value is 101, outside the bounds [0.1, 100]"),
    ("axes.T.values[1].value", MISSING, "axes.T.values[1] has no value"),
    ("axes.T.values[1].grade", "recalled", "axes.T.values[1].grade is 'recalled', but takes one of published, code default, ours"),
    ("axes.T.values[1].grade", MISSING, "axes.T.values[1] has no grade"),
    ("axes.T.values[1].source", MISSING, "axes.T.values[1] has no source"),
    ("axes.T.values[1].source", "", "axes.T.values[1].source is '', but takes a text that is not empty"),
    ("axes.T.values[0].grid", ["old"], "axes.T.values[0].grid is ['old'], but takes a list of recipes out of modern, published"),
    ("axes.T.values[0].grid", "modern", "axes.T.values[0].grid is 'modern', but takes a list of recipes out of modern, published"),
    ("epochs.grid", ["modern"], "epochs.grid is no known key; did you mean 'grade'?"),
    ("per_task", 1, "per_task is 1, but takes true or false"),
    ("axes.layer_map.values[1].value", 3, "axes.layer_map.values[1].value is 3, but a choice is a text; put it in quotes"),
    ("rows[1].task", "SST-2", "rows[1].task is 'SST-2', but must be spelled 'sst2'"),
    ("rows[1]", {"task": "cola", "layers": 4, "values": {"T": 4, "warm": True, "layer_map": "last"}, "source": "table 2"},
     "rows[1] says of task cola and 4 layers what an earlier row says"),
    ("rows[1].layers", 0, "rows[1].layers is 0, but takes a whole number of at least 1"),
    ("rows[1].layers", "4", "rows[1].layers is '4', but takes a whole number of at least 1"),
    ("rows[1].source", MISSING, "rows[1] has no source"),
    ("rows[1].values", [1], "rows[1].values is a list, but takes a mapping from axes to values"),
    ("rows[1].values.T", 3, "rows[1].values.T is 3, which is not among the values of axis T (1, 4)"),
    ("rows[1].values.T", None, "rows[1].values.T has no value"),
    ("rows[1].values.layermap", "last",
     "rows[1].values has the unknown axis 'layermap'; did you mean 'layer_map'? (known: T, depth, warm, layer_map)"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "sentence"), FAULTS, ids=[f"{p}-{named(v)}"[:40] for p, v, _ in FAULTS])
def test_one_fault_one_sentence(path: str, value: Any, sentence: str) -> None:
    with pytest.raises(SpaceError) as error:
        SearchSpace.from_dict(changed(path, value), where="kd.yaml", strict=True)
    assert error.value.problems[0] == f"kd.yaml: {sentence}"
    # A value that is gone makes a row that uses it wrong as well; nothing else may be said.
    rest = error.value.problems[1:]
    assert all("not among the values" in p or "takes one of" in p for p in rest), rest
    assert len(rest) == (".values[1]" in path and ".source" not in path and ".grade" not in path)


@pytest.mark.parametrize("data", [None, 3, "text", [], ["a"]])
def test_a_file_of_another_shape(data: Any) -> None:
    with pytest.raises(SpaceError, match=r"^kd.yaml: the file is .*but takes a mapping with schema, method"):
        SearchSpace.from_dict(data, where="kd.yaml", strict=True)


def test_an_unknown_type_is_said_once() -> None:
    with pytest.raises(SpaceError) as error:
        SearchSpace.from_dict(changed("axes.T.type", "double"), where="kd.yaml", strict=True)
    assert error.value.problems == ["kd.yaml: axes.T.type is 'double', but takes one of float, int, bool, choice"]


def test_all_faults_are_said_at_once() -> None:
    data = changed("axes.T.values[1].source", MISSING)
    data["axes"]["depth"]["scale"] = "cubic"
    data["rows"][0]["layers"] = -1
    with pytest.raises(SpaceError) as error:
        SearchSpace.from_dict(data, where="kd.yaml", strict=True)
    assert [p.split(": ", 1)[1] for p in error.value.problems] == [
        "axes.T.values[1] has no source",
        "axes.depth.scale is 'cubic', but takes one of log, linear",
        "rows[0].layers is -1, but takes a whole number of at least 1",
    ]
    assert str(error.value) == "\n".join(error.value.problems)


# --- the file itself -------------------------------------------------------------------------------------

FILE = """\
schema: 1
method: kd
title: KD
reference: {paper: somebody}
epochs: {value: 3, grade: ours, source: a reason}
axes:
  lr:
    help: learning rate
    type: float
    scale: log
    bounds: [1e-7, 1E-1]
    recipes: [modern]
    default: 2e-5
    values:
      - {value: 2e-5, grade: ours, source: a reason}
      - {value: 1.5e-3, grade: ours, source: a reason}
rows: []
"""


def test_numbers_without_a_point_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("\ufeff" + FILE, encoding="utf-8")  # editors on Windows put a mark first
    axis = SearchSpace.from_yaml(path).axis("lr")
    assert axis.choices == (2e-5, 1.5e-3)
    assert (axis.low, axis.high) == (1e-7, 0.1)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (FILE.replace("rows: []", "rows: [}"), "is not valid YAML in line 17"),
        (FILE.replace("    type: float", "    type: float\n    type: int"), "is not valid YAML in line 10 (key 'type' twice)"),
        (FILE.replace("rows: []", "rows: !!python/object:os.system []"), "is not valid YAML in line 17"),
        (FILE.replace("KD", "K\u00e9").encode("latin-1"), "is not UTF-8 text"),
        ("", "the file is empty"),
        ("? [1]\n: 2\n? {a: 1}\n: 3\n", "is not valid YAML in line 1"),
    ],
)  # fmt: skip
def test_broken_files(tmp_path: Path, content: str | bytes, sentence: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SpaceError) as error:
        SearchSpace.from_yaml(path)
    assert str(error.value).startswith(f"{path}: ")
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(SpaceError, match=f"^{re.escape(str(path))}: cannot be read"):
            SearchSpace.from_yaml(path)


def test_a_method_file_must_carry_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from search_spaces import space

    (tmp_path / "kd2.yaml").write_text(FILE)
    (tmp_path / "kd.yaml").write_text(FILE)
    monkeypatch.setattr(space, "_FOLDER", tmp_path)
    assert space.methods() == ["kd", "kd2"]
    assert space.load("kd").title == "KD"
    with pytest.raises(SpaceError, match=r"kd2\.yaml: method is 'kd', but the file's name says 'kd2'"):
        space.load("kd2")
