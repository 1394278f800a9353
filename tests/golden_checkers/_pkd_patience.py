"""The patience loss for some counts of layers, with and without normalisation, and its gradient.

The file has it three times: rounded to half precision by the original program, in single precision by its successor
(which rounds double inputs as well), and in double precision. Ours must be each of them within their rounding.
"""

from __future__ import annotations

import re

import torch

from distill.losses.patience import patience
from tests.golden_checkers._arrays import Arrays

# Relative rounding of what the names of a value end in.
_ROUNDING = {"float16": 1e-3, "float32": 1e-6, "ownformula": 1e-12}


def check(arrays: Arrays) -> None:
    cases = [case for key in arrays.named() if (case := re.fullmatch(r"(M\d+)_student_patience__(f32|f64)", key))]
    assert cases, "no case in the file"
    for case in cases:
        for form in ("raw", "norm"):
            _case(arrays, case[1], case[2], form)


def _case(arrays: Arrays, count: str, dtype: str, form: str) -> None:
    student = arrays.tensor(f"{count}_student_patience__{dtype}").requires_grad_()
    teacher = arrays.tensor(f"{count}_teacher_patience__{dtype}")
    loss = patience(student.transpose(0, 1), teacher.transpose(0, 1), normalize=form == "norm")
    values = [
        key
        for key in arrays.named(f"{count}_{form}_")
        if key.endswith(f"__{dtype}") and not key.endswith(f"_grad_student__{dtype}")
    ]
    assert values, f"no value of {count} {form} {dtype}"
    for key in values:
        precision = key.removesuffix(f"__{dtype}").rpartition("_")[2]
        assert precision in _ROUNDING, f"unknown value {key}"
        arrays.compare(key, loss, rtol=_ROUNDING[precision])
    (gradient,) = torch.autograd.grad(loss, student)
    arrays.compare(f"{count}_{form}_grad_student__{dtype}", gradient, rtol=1e-6)
