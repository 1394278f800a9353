"""The report over several sweeps in a real browser: no request, an empty console, no wider than a phone."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis import family
from tests.analysis.chromium import NAMES, browser, visit
from tests.analysis.test_browser import measured
from tests.fake_family import build_family

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser() is None, reason=f"none of {', '.join(NAMES)} is installed"),
]


@pytest.mark.parametrize("sizes", [(2, 3, 4, 6), (1, 2, 3, 4, 5, 6)])
def test_the_page_of_several_sizes(sizes: tuple[int, ...], tmp_path: Path) -> None:
    page = family.write(build_family(tmp_path / "p", sizes, dev_rows=100, points=3))
    found = visit(page, tmp_path)
    assert (found.requests, found.console) == ([], [])
    (tmp_path / "again").mkdir()
    narrow = measured(page, 400, tmp_path / "again")
    assert narrow["plots"] >= 1
    assert narrow["wide"] <= narrow["room"]
    assert narrow["meet"] == []
