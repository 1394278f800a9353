"""A golden of a kind that its checker does not know fails instead of passing unread."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tests.golden_checkers._arrays import Arrays

CHECKERS = sorted(p.stem for p in (Path(__file__).parent / "golden_checkers").glob("*.py") if p.stem[0] != "_")


def test_there_are_checkers() -> None:
    assert {"emd", "pkd", "tinybert"} <= set(CHECKERS)


@pytest.mark.parametrize("checker", CHECKERS)
def test_unknown_kinds_fail(checker: str) -> None:
    check = importlib.import_module(f"tests.golden_checkers.{checker}").check
    with pytest.raises(AssertionError, match=f"unknown kind .*{checker}_nothing_f64"):
        check(f"{checker}_nothing_f64", Arrays({}))
