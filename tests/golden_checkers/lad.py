"""LAD: gates and hidden loss, the loss on logits, and whole training steps."""

from __future__ import annotations

import re

from tests.golden_checkers import _lad_gates, _lad_logits, _lad_training
from tests.golden_checkers._arrays import Arrays

_KINDS = {
    r"lad_gates(?:_\w+)?_f(32|64)": _lad_gates.check,
    r"lad_logits(?:_\w+)?_f(32|64)": _lad_logits.check,
    r"lad_train(?:_\w+)?_f(32|64)": _lad_training.check,
}


def check(stem: str, arrays: Arrays) -> None:
    """Check the file of this name; fails on a kind that is not known."""
    for pattern, checker in _KINDS.items():
        if match := re.fullmatch(pattern, stem):
            checker(arrays, double=match[1] == "64")
            return
    raise AssertionError(f"unknown kind of LAD golden: {stem}")
