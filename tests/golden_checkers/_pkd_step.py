"""One step's loss of PKD on whole networks: what is captured of them, and the terms of the method's objective.

A row is [mode, alpha, T, beta, normalize] -> [total, prediction loss, its soft term, its hard term, beta · patience].
With patience, a mode compares the student's layers below its last with some of the teacher's, which the file does not
name: they are those that give the values of all its rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from distill.losses.logits import distillation_kl
from distill.methods.objective import Outputs
from distill.models.capture import Capture
from tests.golden_checkers import _bert, _stage
from tests.golden_checkers._arrays import Arrays

# The program rounds patience to half precision, and so its product with beta.
_HALF = 1e-3


def check(arrays: Arrays, *, double: bool) -> None:
    rtol = 1e-9 if double else 1e-5
    step = _Step(*_network(arrays, "student", rtol), *_network(arrays, "teacher", rtol), arrays.tensor("labels"))
    arrays.compare("student_patience", step.student.at("cls", step.below).transpose(0, 1), rtol=rtol)
    cases, outputs = arrays["cases"].tolist(), arrays["case_outputs"].tolist()
    for mode in sorted({case[0] for case in cases}):
        rows = [row for row, case in enumerate(cases) if case[0] == mode]
        telling = [(cases[row], outputs[row][4]) for row in rows if cases[row][3] > 0]
        layers = _teacher_layers(step, telling) if telling else "skip"
        for row in rows:
            _, alpha, temperature, beta, _ = cases[row]
            terms = step.terms(cases[row], layers)
            assert ("soft" in terms, "patience" in terms) == (alpha > 0, beta > 0)
            soft = terms.get("soft", distillation_kl(step.student.logits, step.teacher.logits, temperature, "mean"))
            prediction = alpha * float(soft) + (1 - alpha) * float(terms["hard"])
            # At high temperatures the soft term is a small difference of large numbers, which T² makes larger.
            rounding = temperature**2 * torch.finfo(step.student.logits.dtype).eps
            for column, value, atol in (
                (1, prediction, alpha * rounding),
                (2, float(soft), rounding),
                (3, float(terms["hard"]), 0.0),
            ):
                arrays.compare("case_outputs", value, index=(row, column), rtol=rtol, atol=atol)
            weighted = beta * float(terms.get("patience", 0.0))
            arrays.compare("case_outputs", weighted, index=(row, 4), rtol=_HALF)
            # The total is held as tightly as its parts are.
            atol = _HALF * weighted + alpha * rounding
            arrays.compare("case_outputs", prediction + weighted, index=(row, 0), rtol=rtol, atol=atol)


@dataclass
class _Step:
    """Two networks, what is captured of them on the file's batch, and its labels."""

    student_model: Any
    student: Outputs
    teacher_model: Any
    teacher: Outputs
    labels: Tensor

    @property
    def below(self) -> tuple[int, ...]:
        """The student's layers but its last."""
        return tuple(range(1, self.student_model.config.num_hidden_layers))

    def terms(self, case: Sequence[float], layers: str) -> dict[str, Tensor]:
        """Values of the terms that the method's objective gives for a row."""
        _, alpha, temperature, beta, normalize = case
        params = {"alpha": alpha, "T": temperature, "beta": beta, "normalize": bool(normalize), "layers": layers}
        dtype = self.student.logits.dtype
        # Its mean over rows and classes is the published recipe's default.
        made = _stage.objective("pkd", 0, self.student_model, self.teacher_model, params, "published", dtype)
        answer = self.teacher if made.uses_teacher else None
        return {name: term.value for name, term in made(self.student, answer, {"labels": self.labels}).items()}


def _network(arrays: Arrays, side: str, rtol: float) -> tuple[Any, Outputs]:
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

    model = _bert.classifier(weights, _bert.found_heads(file.shape[-1], error))
    outputs, pooled = run(model)
    arrays.compare(f"{side}_cls_all_layers", layers(outputs), rtol=rtol)
    arrays.compare(f"{side}_pooled", pooled, rtol=rtol)
    arrays.compare(f"{side}_logits", outputs.logits, rtol=rtol)
    return model, outputs


def _teacher_layers(step: _Step, rows: Sequence[tuple[Sequence[float], float]]) -> str:
    """The teacher's layers of one mode: the only rising ones that give beta · patience of all its rows."""
    count, depth = len(step.below), step.teacher_model.config.num_hidden_layers
    possible = ["-".join(map(str, some)) for some in itertools.combinations(range(1, depth + 1), count)]

    def fits(layers: str) -> bool:
        found = [(case[3] * float(step.terms(case, layers)["patience"]), value) for case, value in rows]
        return all(abs(ours - value) <= _HALF * value for ours, value in found)

    fitting = [layers for layers in possible if fits(layers)]
    assert len(fitting) == 1, f"{len(fitting)} choices of {count} teacher layers give the file's values"
    return fitting[0]
