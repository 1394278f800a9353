"""A person's own file: what may be left out, what is taken instead, and every fault in one sentence."""

# ruff: noqa: E501  (a table of whole sentences)
from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import search_spaces
from search_spaces import SearchSpace, SpaceError, from_file, space

EMD = search_spaces.load("emd")
SHORT = """\
method: emd
axes:
  lr: [1e-5, 3e-5]
  beta: 0.02
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(SHORT)
    return path


def problems(path: Path, content: str, method: str | None = None) -> list[str]:
    path.write_text(content)
    with pytest.raises(SpaceError) as error:
        from_file(path, method)
    assert all(problem.startswith(f"{path}: ") for problem in error.value.problems)
    return [problem.removeprefix(f"{path}: ") for problem in error.value.problems]


def test_the_shortest_file(file: Path) -> None:
    mine = from_file(file, "emd")
    assert (mine.method, mine.title, mine.reference, mine.epochs) == ("emd", EMD.title, EMD.reference, EMD.epochs)
    assert mine.rows == ()
    lr, beta = mine.axes
    shipped = EMD.axis("lr")
    assert (lr.type, lr.scale, lr.low, lr.high, lr.help, lr.recipes) == (
        shipped.type, shipped.scale, shipped.low, shipped.high, shipped.help, shipped.recipes,
    )  # fmt: skip
    assert lr.choices == (1e-5, 3e-5)
    assert [(v.grade, v.source) for v in lr.values] == [
        ("given", ""),
        (shipped.values[1].grade, shipped.values[1].source),
    ]
    assert lr.default == shipped.default == 3e-5
    assert (beta.choices, beta.default) == ((0.02,), 0.02)
    points = mine.points("cola", 4)
    assert [p.params for p in sorted(points, key=lambda p: p.params["lr"])] == [
        {"lr": 1e-5, "beta": 0.02}, {"lr": 3e-5, "beta": 0.02},
    ]  # fmt: skip
    assert all(p.origin == "given" and p.grades["beta"] == "given" for p in points)
    assert mine.published("cola", 4) is None
    assert mine.missing_row("cola", 4).startswith("The search space of BERT-EMD has no published rows")


def test_a_value_that_ships_is_not_called_a_persons_own(file: Path) -> None:
    file.write_text("method: emd\naxes: {lr: [2e-5, 5e-5]}")
    assert {p.origin for p in from_file(file).points("cola", 4)} == {"grid"}


def test_everything_may_be_written(file: Path) -> None:
    file.write_text("""\
method: emd
title: My grid
epochs: 3
axes:
  alpha: {values: [0.5, {value: 0.9, source: a hunch}, {value: 1, grade: ours}], default: 0.9, recipes: [modern]}
  gain: {values: [1, 2.5], help: a new one}
  steps: [10, 20]
  warm: [true, false]
  layer_map: [uniform, last]
rows:
  - {task: cola, layers: 3, values: {alpha: 0.7, steps: 20}, source: our own table 3}
""")
    mine = from_file(file)
    assert (mine.title, mine.epochs.value, mine.epochs.grade) == ("My grid", 3, "given")
    assert {a.name: (a.type, a.default, a.low) for a in mine.axes} == {
        "alpha": ("float", 0.9, 0.0), "gain": ("float", 1.0, None), "steps": ("int", 10, None), "warm": ("bool", True, None),
        "layer_map": ("choice", "uniform", None),
    }  # fmt: skip
    assert [(v.grade, v.source) for v in mine.axis("alpha").values] == [
        ("given", ""),
        ("given", "a hunch"),
        ("ours", ""),
    ]
    assert mine.axis("alpha").recipes == ("modern",)
    first = mine.points("cola", 3)[0]
    # The row's value is on no axis; a published row of a narrowed axis stays usable.
    assert (first.origin, first.params["alpha"], first.params["steps"]) == ("published", 0.7, 20)
    assert mine.point({"gain": 1e9}).params["gain"] == 1e9
    again = mine.to_dict()
    assert SearchSpace.from_dict(json.loads(json.dumps(again))) == mine
    assert SearchSpace.from_dict(yaml.safe_load(yaml.safe_dump(again, sort_keys=False))) == mine


@pytest.mark.parametrize("method", search_spaces.methods())
def test_a_file_that_ships_can_be_given_back(method: str) -> None:
    assert from_file(space.file_of(method), method) == search_spaces.load(method)


def test_a_method_without_a_file_of_ours(file: Path) -> None:
    file.write_text("method: brand-new\nepochs: 2\naxes: {lr: [1e-5]}")
    mine = from_file(file, "brand-new")
    assert (mine.title, mine.reference, mine.axis("lr").default) == ("brand-new", {}, 1e-5)
    assert SearchSpace.from_dict(mine.to_dict()) == mine
    assert problems(file, "method: brand-new\naxes: {lr: [1e-5]}") == ["the file has no epochs"]


# What the short file becomes, and the one sentence that must come of it.
FAULTS = [
    ("", "the file is empty, but takes a mapping with schema, method, title, reference, epochs, per_task, axes, rows"),
    ("- emd", "the file is a list, but takes a mapping with schema, method, title, reference, epochs, per_task, axes, rows"),
    ("axes: {lr: [1e-5", "is not valid YAML in line 1 (expected ',' or ']', but got '<stream end>')"),
    ("method: emd\nmethod: ft", "is not valid YAML in line 2 (key 'method' twice)"),
    (SHORT + "schema: 9", "schema is 9, but this version reads schema 1"),
    (SHORT + "axis: {}", "axis is no known key; did you mean 'axes'?"),
    (SHORT + "epochs: many", "epochs.value is 'many', but takes a whole number"),
    (SHORT + "epochs: 0", "epochs.value is 0, outside the bounds [1, 10000]"),
    ("method: emd", "the file has no axes"),
    ("method: emd\naxes: {}", "axes is empty, but takes a mapping from names to axes"),
    ("method: emd\naxes: [lr]", "axes is a list, but takes a mapping from names to axes"),
    ("method: emd\naxes: {lr: }", "axes.lr has no values"),
    ("method: emd\naxes: {new: {help: x}}", "axes.new has no values"),
    ("method: emd\naxes: {lr: []}", "axes.lr.values is empty, but takes a list of values"),
    ("method: emd\naxes: {lr: {values: {a: 1}}}", "axes.lr.values is a mapping, but takes a list of values"),
    ("method: emd\naxes: {lr: [1e-5, high]}", "axes.lr.values[1].value is 'high', but takes a finite number"),
    ("method: emd\naxes: {lr: [[1e-5]]}", "axes.lr.values[0].value is [1e-05], but takes a finite number"),
    ("method: emd\naxes: {lr: [1e-5, 3]}", "axes.lr.values[1].value is 3, outside the bounds [1e-08, 1]"),
    ("method: emd\naxes: {lr: [1e-5, 0.00001]}", "axes.lr.values[1].value is 1e-05, which the axis has already"),
    ("method: emd\naxes: {lr: [1e-5, null]}", "axes.lr.values[1] has no value"),
    ("method: emd\naxes: {lr: {values: [1e-5], defualt: 1e-5}}", "axes.lr.defualt is no known key; did you mean 'default'?"),
    ("method: emd\naxes: {lr: {values: [1e-5], default: 2e-5}}", "axes.lr.default is 2e-05, which is not among the values of axis lr (1e-05)"),
    ("method: emd\naxes: {lr: {values: [1e-5], bounds: [1e-4, 1]}}", "axes.lr.values[0].value is 1e-05, outside the bounds [0.0001, 1]"),
    ("method: emd\naxes: {lr: {values: [1e-5], recipes: modern}}", "axes.lr.recipes is 'modern', but takes a list of recipes out of modern, published"),
    ("method: emd\naxes: {lr: [{value: 1e-5, grade: published}]}", "axes.lr.values[0] has no source"),
    ("method: emd\naxes: {lr: [{value: 1e-5, grade: best}]}", "axes.lr.values[0].grade is 'best', but takes one of published, code default, ours, given"),
    ("method: emd\naxes: {new: [true, 3]}", "axes.new.values[0].value is True, but takes a finite number"),
    ("method: emd\naxes: {new: [a, 3]}", "axes.new.values[0].value is 'a', but takes a finite number"),
    (SHORT + "rows: [{task: cola, layers: 4, values: {lr: 1e-5}}]", "rows[0] has no source"),
    (SHORT + "rows: [{task: cola, layers: 4, values: {btea: 1}, source: x}]", "rows[0].values has the unknown axis 'btea'; did you mean 'beta'? (known: lr, beta)"),
    (SHORT + "rows: [{task: cola, layers: 4, values: {lr: 7}, source: x}]", "rows[0].values.lr is 7, outside the bounds [1e-08, 1]"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "sentence"), FAULTS, ids=[sentence[:40] for _, sentence in FAULTS])
def test_one_fault_one_sentence(file: Path, content: str, sentence: str) -> None:
    assert problems(file, content) == [sentence]


def test_a_file_of_another_method_and_of_none(file: Path) -> None:
    file.write_text(SHORT)
    assert problems(file, SHORT, "ft") == ["method is 'emd', but a search space of 'ft' is asked for"]
    assert problems(file, SHORT.replace("emd", "edm"), "emd") == [
        "method is 'edm', but a search space of 'emd' is asked for"
    ]
    assert problems(file, "axes: {lr: [1e-5]}", "emd") == ["the file has no method"]
    assert problems(file, "method: [emd]\naxes: {lr: [1e-5]}", "emd") == [
        "method is ['emd'], but takes a text that is not empty"
    ]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(SpaceError, match=f"^{re.escape(str(path))}: cannot be read"):
            from_file(path)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("rows: []", "", "the file has no rows"),
        ("    help: learning rate\n", "", "axes.lr has no help"),
        ("    bounds: [1e-8, 1]\n", "", "axes.lr has no bounds"),
        ('{value: 1e-4, grade: ours, source: "encoders narrower than 512 need larger steps"}', "1e-4", "axes.lr.values[1] is 0.0001, but takes a mapping with value, grade, source, grid"),
        ("grade: ours, source: \"upper", "grade: given, source: \"upper", "axes.lr.values[0].grade is 'given', but takes one of published, code default, ours"),
        (', source: "upper end of the usual range for fine-tuning encoders"', "", "axes.lr.values[0] has no source"),
    ],
)  # fmt: skip
def test_what_ships_may_leave_nothing_out(tmp_path: Path, monkeypatch: Any, old: str, new: str, sentence: str) -> None:
    text = space.file_of("ft").read_text()
    assert old in text
    monkeypatch.setattr(space, "_FOLDER", tmp_path)
    (tmp_path / "ft.yaml").write_text(text)
    assert search_spaces.load("ft").method == "ft"
    (tmp_path / "ft.yaml").write_text(text.replace(old, new))
    with pytest.raises(SpaceError) as error:
        search_spaces.load("ft")
    assert error.value.problems[0] == f"{tmp_path / 'ft.yaml'}: {sentence}"
