"""The page on traps names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_test_of_the_page_exists() -> None:
    page = (ROOT / "docs" / "engine.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and ".py" in line]
    assert len(rows) > 10
    for row in rows:
        file = ""
        for found in re.finditer(r"`(test_\w+\.py)?(?:::(test_\w+))?`", row.rpartition(" | ")[2]):
            file = found[1] or file
            source = (ROOT / "tests" / "trainables" / file).read_text(encoding="utf-8")
            names = {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
            assert found[2] is None or found[2] in names, f"{file} has no {found[2]}"
