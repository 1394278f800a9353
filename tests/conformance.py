"""`python -m tests.conformance [METHOD …]`: the tests that every method must pass, as a table of method and property.

A cell counts the cases (stages, recipes) that passed, of those that there are; a dash says that the
property is not asked of the method, as of one that has no teacher. Ends with pytest's exit code.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from distill import methods

HERE = Path(__file__).parent / "distill"
FILES = (
    HERE / "methods" / "test_declarations.py",
    HERE / "methods" / "test_conformance.py",
    HERE / "methods" / "test_kinds.py",
    HERE / "methods" / "test_needs.py",
    HERE / "methods" / "test_stage_values.py",
    HERE / "training" / "test_determinism.py",
)


def method_of(params: dict[str, Any]) -> str | None:
    """Which method a test's parameters name: by itself, or at the beginning of a case."""
    word = str(params.get("name", params.get("case", ""))).partition(" ")[0]
    return word if word in methods.names() else None


class Table:
    """A plugin of pytest that counts outcomes by method and property."""

    def __init__(self, chosen: list[str]) -> None:
        self.chosen = chosen
        self.passed: Counter[tuple[str, str]] = Counter()
        self.cases: Counter[tuple[str, str]] = Counter()
        self._where: dict[str, tuple[str, str]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            params = getattr(getattr(item, "callspec", None), "params", {})
            if (method := method_of(params)) in self.chosen:
                title = getattr(item, "originalname", item.name).removeprefix("test_").replace("_", " ")
                if "kind" in params:
                    title += f": {params['kind']}"
                self._where[item.nodeid] = (title, str(method))
                self.cases[title, str(method)] += 1
        items[:] = [item for item in items if item.nodeid in self._where]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.passed[self._where[report.nodeid]] += 1

    def lines(self) -> list[str]:
        """The table, a line each; properties in the order of the files."""
        titles = list(dict.fromkeys(title for title, _ in self.cases))
        width = max(map(len, titles), default=0)
        found = [f"{'':{width}}  " + "  ".join(f"{name:>8}" for name in self.chosen)]
        for title in titles:
            cells = [self._cell((title, name)) for name in self.chosen]
            found.append(f"{title:{width}}  " + "  ".join(f"{cell:>8}" for cell in cells))
        return found

    def _cell(self, key: tuple[str, str]) -> str:
        if not self.cases[key]:
            return "-"
        return f"{self.passed[key]}/{self.cases[key]}"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("method", nargs="*", choices=[*methods.names(), []], help="default: all")
    table = Table(parser.parse_args(argv).method or list(methods.names()))
    code = pytest.main(["-q", "-n", "0", *map(str, FILES)], plugins=[table])
    print("\n".join(table.lines()))
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
