"""TinyBERT: losses of both stages, alone and on whole networks, and the optimizer of its program."""

from __future__ import annotations

import re

from tests.golden_checkers import _tinybert_loss, _tinybert_model
from tests.golden_checkers._arrays import Arrays
from tests.golden_checkers._bert_adam import Trace, check_trace

_KINDS = {
    r"tinybert_loss(?:_\w+)?_f(32|64)": _tinybert_loss.check,
    r"tinybert_model(?:_\w+)?_f(32|64)": _tinybert_model.check,
}


def check(stem: str, arrays: Arrays) -> None:
    """Check the file of this name; fails on a kind that is not known."""
    for pattern, checker in _KINDS.items():
        if match := re.fullmatch(pattern, stem):
            checker(arrays, double=match[1] == "64")
            return
    assert re.fullmatch(r"tinybert_bertadam(?:_\w+)?", stem), f"unknown kind of TinyBERT golden: {stem}"
    # The first stage has no schedule, the second has one.
    for after, schedule in (("_none", "constant"), ("_warmup_linear", "linear")):
        check_trace(arrays, Trace(lr=0.05, schedule=schedule), "", after, 1e-9)
