"""LAD's loss on logits and its gradient, for each temperature and pair of weights in the file."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill.methods.lad import METHOD
from distill.methods.objective import Outputs, Setting, Shape, Term, total
from tests.golden_checkers._arrays import Arrays

_CASE = re.compile(r"(?P<data>c\d+|reg)__(?:T(?P<T>[\d.]+)_)?h(?P<hard>[\d.]+)_s(?P<soft>[\d.]+)__loss")


def check(arrays: Arrays, *, double: bool) -> None:
    rtol = 1e-9 if double else 1e-5
    losses = [key for key in arrays.named() if key.endswith("__loss")]
    assert losses, "no case in the file"
    for key in losses:
        match = _CASE.fullmatch(key)
        assert match, f"unknown case {key}"
        assert (match["data"] == "reg") == (match["T"] is None), f"{key}: a temperature without classes, or none"
        temperature = {} if match["T"] is None else {"T": match["T"]}
        terms, student = _terms(arrays, match["data"], {"hard": match["hard"], "soft": match["soft"], **temperature})
        loss = total(terms)
        loss.backward()
        arrays.compare(key, loss, rtol=rtol)
        arrays.compare(f"{key.removesuffix('loss')}grad", student.grad, rtol=rtol)
    for key in (key for key in arrays.named() if "__soft_T" in key):
        data, _, degree = key.partition("__soft_T")
        terms, _ = _terms(arrays, data, {"T": degree})
        arrays.compare(key, terms["soft"].value, rtol=rtol)


def _terms(arrays: Arrays, data: str, values: dict[str, Any]) -> tuple[dict[str, Term], Tensor]:
    """Terms on what the file calls `data`, and the student's logits as a leaf."""
    student, teacher = (arrays.tensor(f"{data}__{whose}_logits") for whose in ("student", "teacher"))
    regression, one = data == "reg", Shape(1, 1, 1)
    params = METHOD.resolve({"hidden": 0, **values}, "published", regression)
    setting = Setting(params, "published", one, one, student.shape[1], regression, length=1)
    objective = METHOD.stages[0].objective(setting)
    batch = {"labels": arrays.tensor(f"{data}__labels"), "attention_mask": torch.ones(len(student), 1)}
    assert np.isfinite(student.numpy()).all()
    return objective(Outputs(student.requires_grad_()), Outputs(teacher), batch), student
