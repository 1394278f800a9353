"""The comparison of methods in a real browser: no request, an empty console, no wider than a phone."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis import compare
from tests.analysis.chromium import NAMES, browser, visit
from tests.analysis.test_browser import measured
from tests.fake_family import build_methods

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser() is None, reason=f"none of {', '.join(NAMES)} is installed"),
]


def test_the_page_of_several_methods(tmp_path: Path) -> None:
    page = compare.write([build_methods(tmp_path / "p", dev_rows=100, points=5)])
    found = visit(page, tmp_path)
    assert (found.requests, found.console) == ([], [])
    (tmp_path / "again").mkdir()
    narrow = measured(page, 400, tmp_path / "again")
    # Two figures, each drawn in three layers.
    assert narrow["plots"] == 2 * 3
    assert narrow["wide"] <= narrow["room"]
    assert narrow["meet"] == []
