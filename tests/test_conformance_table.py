"""The table of `python -m tests.conformance` counts what passed, and of what."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.conformance import Table, method_of


def item(nodeid: str, **params: Any) -> Any:
    name = nodeid.partition("[")[0]
    return SimpleNamespace(nodeid=nodeid, originalname=name, name=name, callspec=SimpleNamespace(params=params))


def report(nodeid: str, passed: bool) -> Any:
    return SimpleNamespace(nodeid=nodeid, when="call", passed=passed)


def test_a_method_is_found_by_name_or_case() -> None:
    assert method_of({"name": "kd", "recipe": "modern"}) == "kd"
    assert method_of({"case": "emd v2020 joint"}) == "emd"
    assert method_of({"value": "kd"}) is None


def test_cells_count_what_passed_of_what_there_is() -> None:
    table = Table(["ft", "kd"])
    items = [
        item("test_of_all[a]", name="ft"),
        item("test_of_all[b]", name="kd"),
        item("test_of_all[c]", name="kd"),
        item("test_of_teachers[d]", name="kd"),
        item("test_of_others[e]", name="emd"),
        item("test_of_kinds[f]", name="kd", kind="span"),
    ]
    table.pytest_collection_modifyitems(items)
    assert [each.nodeid[-2] for each in items] == ["a", "b", "c", "d", "f"]
    for letter, passed in zip("abcdf", (True, True, False, True, True), strict=True):
        name = {"d": "of_teachers", "f": "of_kinds"}.get(letter, "of_all")
        table.pytest_runtest_logreport(report(f"test_{name}[{letter}]", passed))
    assert [line.split() for line in table.lines()] == [
        ["ft", "kd"],
        ["of", "all", "1/1", "1/2"],
        ["of", "teachers", "-", "1/1"],
        ["of", "kinds:", "span", "-", "1/1"],
    ]
