"""Patient knowledge distillation: patience, the loss of a step on whole networks, and the optimizer of its program."""

from __future__ import annotations

import re

from tests.golden_checkers import _pkd_patience, _pkd_step
from tests.golden_checkers._arrays import Arrays
from tests.golden_checkers._bert_adam import Trace, check_schedule, check_trace


def check(stem: str, arrays: Arrays) -> None:
    """Check the file of this name; fails on a kind that is not known."""
    if re.fullmatch(r"pkd_patience(?:_\w+)?", stem):
        _pkd_patience.check(arrays)
        return
    if step := re.fullmatch(r"pkd_step(?:_\w+)?_f(32|64)", stem):
        _pkd_step.check(arrays, double=step[1] == "64")
        return
    assert re.fullmatch(r"pkd_bertadam(?:_\w+)?", stem), f"unknown kind of PKD golden: {stem}"
    trace = Trace(lr=0.01, schedule="linear")
    for suffix, tolerance in (("__f64", 1e-9), ("__f32", 1e-5)):
        check_trace(arrays, trace, suffix, suffix, tolerance)
    check_schedule(arrays, trace, "schedule_warmup_linear_x", "schedule_warmup_linear_y")
