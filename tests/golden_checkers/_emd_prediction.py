"""Prediction loss of BERT-EMD: value, terms and gradient for each temperature and alpha in the file."""

from __future__ import annotations

import re

from distill.losses.logits import prediction_loss
from tests.golden_checkers._arrays import Arrays


def check(arrays: Arrays, *, double: bool) -> None:
    rtol = 1e-9 if double else 1e-5
    totals = [key for key in arrays.named() if key.endswith("__total")]
    assert totals, "no case in the file"
    for key in totals:
        match = re.fullmatch(r"(?P<data>c\d+|reg)__(?:T(?P<T>[\d.]+)_)?a(?P<alpha>[\d.]+)__total", key)
        assert match, f"unknown case {key}"
        data, case = match["data"], key.removesuffix("__total")
        regression = data == "reg"
        assert regression or match["T"], f"{key}: a classification case without a temperature"
        alpha = float(match["alpha"])
        student = arrays.tensor(f"{data}__student_logits").requires_grad_()
        terms = prediction_loss(
            student,
            arrays.tensor(f"{data}__teacher_logits"),
            arrays.tensor(f"{data}__labels"),
            alpha=alpha,
            temperature=float(match["T"] or 1),
            form="published",
            regression=regression,
        )
        total = alpha * terms["soft"] + (1 - alpha) * terms["hard"]
        total.backward()
        arrays.compare(key, total, rtol=rtol)
        for name, term in terms.items():
            arrays.compare(f"{case}__{name}", term, rtol=rtol)
        arrays.compare(f"{case}__grad", student.grad, rtol=rtol)
