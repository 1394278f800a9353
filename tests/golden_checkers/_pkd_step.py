"""One step's loss of PKD on whole networks: what is captured of them, and the loss of each row of the file.

A row is [mode, alpha, T, beta, normalize] -> [total, prediction loss, its soft term, its hard term, beta · patience].
With patience, a mode compares the student's layers below its last with some of the teacher's, which the file does not
name: they are those that give the values of all its rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from distill.losses.logits import prediction_loss
from distill.losses.patience import patience
from distill.methods.objective import Outputs
from distill.models.capture import Capture
from tests.golden_checkers import _bert
from tests.golden_checkers._arrays import Arrays

# The program rounds patience to half precision, and so its product with beta.
_HALF = 1e-3


def check(arrays: Arrays, *, double: bool) -> None:
    rtol = 1e-9 if double else 1e-5
    student, teacher = (_outputs(arrays, side, rtol) for side in ("student", "teacher"))
    assert student.cls is not None
    assert teacher.cls is not None
    below = tuple(range(1, len(student.cls) - 1))
    arrays.compare("student_patience", student.at("cls", below).transpose(0, 1), rtol=rtol)
    cases, outputs = arrays["cases"].tolist(), arrays["case_outputs"].tolist()
    losses = [_row(arrays, row, case, student, teacher, rtol) for row, case in enumerate(cases)]
    for mode in sorted({case[0] for case in cases}):
        rows = [row for row, case in enumerate(cases) if case[0] == mode]
        telling = [(cases[row], outputs[row][4]) for row in rows if cases[row][3] > 0]
        chosen = _teacher_layers(student, teacher, telling) if telling else None
        for row in rows:
            weighted = _patience(student, teacher, chosen, cases[row]) if chosen else 0.0
            arrays.compare("case_outputs", weighted, index=(row, 4), rtol=_HALF)
            # The total is held as tightly as its parts are.
            loss, rounding = losses[row]
            atol = _HALF * weighted + rounding
            arrays.compare("case_outputs", loss + weighted, index=(row, 0), rtol=rtol, atol=atol)


def _outputs(arrays: Arrays, side: str, rtol: float) -> Outputs:
    weights = _bert.weights(arrays, f"W/{side}_encoder/") | _bert.weights(arrays, f"W/{side}_classifier/")
    mask, types = arrays.tensor("input_mask"), arrays.tensor("segment_ids")
    ids, file = arrays.tensor("input_ids"), arrays.tensor(f"{side}_cls_all_layers")

    @torch.no_grad()
    def run(model: Any) -> tuple[Outputs, Tensor]:
        outputs = Capture(model, frozenset({"logits", "cls"})).run(ids, mask, types)
        return outputs, model.bert(input_ids=ids, attention_mask=mask, token_type_ids=types).pooler_output

    def layers(outputs: Outputs) -> Tensor:
        assert outputs.cls is not None
        return outputs.cls[1:]

    def error(heads: int) -> float:
        return float((layers(run(_bert.classifier(weights, heads))[0]) - file).abs().max())

    outputs, pooled = run(_bert.classifier(weights, _bert.found_heads(file.shape[-1], error)))
    arrays.compare(f"{side}_cls_all_layers", layers(outputs), rtol=rtol)
    arrays.compare(f"{side}_pooled", pooled, rtol=rtol)
    arrays.compare(f"{side}_logits", outputs.logits, rtol=rtol)
    return outputs


def _row(
    arrays: Arrays, row: int, case: Sequence[float], student: Outputs, teacher: Outputs, rtol: float
) -> tuple[float, float]:
    """Compare the prediction loss of a row with the file; return it and its rounding."""
    _, alpha, temperature, _, _ = case
    terms = prediction_loss(
        student.logits,
        teacher.logits,
        arrays.tensor("labels"),
        alpha=alpha,
        temperature=temperature,
        form="elementwise",
        regression=False,
    )
    soft, hard = float(terms["soft"]), float(terms["hard"])
    total = alpha * soft + (1 - alpha) * hard
    # At high temperatures the soft term is a small difference of large numbers, which T² makes larger.
    rounding = temperature**2 * torch.finfo(student.logits.dtype).eps
    for column, value, atol in ((1, total, alpha * rounding), (2, soft, rounding), (3, hard, 0.0)):
        arrays.compare("case_outputs", value, index=(row, column), rtol=rtol, atol=atol)
    return total, alpha * rounding


def _patience(student: Outputs, teacher: Outputs, chosen: Sequence[int], case: Sequence[float]) -> float:
    """beta · patience of a row."""
    _, _, _, beta, normalize = case
    below = tuple(range(1, len(chosen) + 1))
    return beta * float(patience(student.at("cls", below), teacher.at("cls", chosen), normalize=bool(normalize)))


def _teacher_layers(
    student: Outputs, teacher: Outputs, rows: Sequence[tuple[Sequence[float], float]]
) -> tuple[int, ...]:
    """The teacher's layers of one mode: the only rising ones that give beta · patience of all its rows."""
    assert student.cls is not None
    assert teacher.cls is not None
    count = len(student.cls) - 2
    fitting = [
        layers
        for layers in itertools.combinations(range(1, len(teacher.cls)), count)
        if all(abs(_patience(student, teacher, layers, case) - value) <= _HALF * value for case, value in rows)
    ]
    assert len(fitting) == 1, f"{len(fitting)} choices of {count} teacher layers give the file's values"
    return fitting[0]
