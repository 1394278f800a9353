"""TinyBERT: the optimizer of its program, without a schedule (first phase) and with one (second phase)."""

from __future__ import annotations

import re

from tests.golden_checkers._arrays import Arrays
from tests.golden_checkers._bert_adam import Trace, check_trace


def check(stem: str, arrays: Arrays) -> None:
    """Check the file of this name; fails on a kind that is not known."""
    assert re.fullmatch(r"tinybert_bertadam(?:_\w+)?", stem), f"unknown kind of TinyBERT golden: {stem}"
    for after, schedule in (("_none", "constant"), ("_warmup_linear", "linear")):
        check_trace(arrays, Trace(lr=0.05, schedule=schedule), "", after, 1e-9)
