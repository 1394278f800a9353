"""BERT-EMD: transport losses with their layer weights, the prediction loss, and whole training steps."""

from __future__ import annotations

import re

from tests.golden_checkers import _emd_layers, _emd_prediction, _emd_training
from tests.golden_checkers._arrays import Arrays

_KINDS = {
    r"emd_m\d+n\d+(?:_\w+)?_f(32|64)": _emd_layers.check,
    r"emd_pred(?:_\w+)?_f(32|64)": _emd_prediction.check,
    r"emd_train(?:_\w+)?_f(32|64)": _emd_training.check,
}


def check(stem: str, arrays: Arrays) -> None:
    """Check the file of this name; fails on a kind that is not known."""
    for pattern, checker in _KINDS.items():
        match = re.fullmatch(pattern, stem)
        if match:
            checker(arrays, double=match[1] == "64")
            return
    raise AssertionError(f"unknown kind of BERT-EMD golden: {stem}")
