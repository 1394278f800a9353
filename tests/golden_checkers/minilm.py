"""MiniLM and its second version on whole networks: projections, the divergence of each relation, and gradients."""

from __future__ import annotations

import ast
import re
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from distill.losses.relations import relation_divergence
from distill.methods.objective import Outputs, total
from distill.models.capture import Capture, encoder_layers
from tests.golden_checkers import _bert, _stage
from tests.golden_checkers._arrays import Arrays

_PARTS = {"q": "query", "k": "key", "v": "value"}


def check(stem: str, arrays: Arrays) -> None:
    """Check the file of this name; fails on a kind that is not known."""
    found = re.fullmatch(r"minilm(?:_\w+)?_f(32|64)", stem)
    if not found or "cases" not in arrays:
        raise AssertionError(f"unknown kind of MiniLM golden: {stem}")
    golden = _Golden(arrays, 1e-9 if found[1] == "64" else 1e-5)
    cases = [_Case(row) for row in arrays["cases"].tolist()]
    assert cases, "no case in the file"
    for case in cases:
        golden.check(case, cases)


class _Case:
    """One row of the file's cases, such as "v2_A4_full|student|L=3|M=2|A_r=4|relations={'qq': 1.0}"."""

    def __init__(self, row: str) -> None:
        self.name, self.student, *rest = row.split("|")
        values = dict(part.split("=", 1) for part in rest)
        self.teacher_layer, self.student_layer, self.heads = (int(values[key]) for key in ("L", "M", "A_r"))
        # Written to six digits: a third stands there as 0.333333.
        weights = ast.literal_eval(values["relations"])
        self.weights = {pair: float(Fraction(weight).limit_denominator(1000)) for pair, weight in weights.items()}
        self.mask = "mask_" + self.name.rpartition("_")[2]

    @property
    def params(self) -> dict[str, Any]:
        """The method's hyper-parameters; a relation that the case does not name has weight 0."""
        none = dict.fromkeys(("qq", "kk", "vv", "qk"), 0.0)
        version = "v1" if self.name.startswith("v1") else "all" if "qk" in self.weights else "v2"
        heads = {} if version == "v1" else {"relation_heads": self.heads}
        return {**none, **self.weights, "version": version, "teacher_layer": self.teacher_layer, **heads}


class _Golden:
    def __init__(self, arrays: Arrays, rtol: float) -> None:
        self.arrays = arrays
        self.rtol = rtol
        self._models: dict[str, Any] = {}

    def model(self, name: str, side: str, cases: list[_Case]) -> Any:
        """A network of the file, with the number of heads that gives its projections in a case."""
        if name not in self._models:
            weights = _bert.weights(self.arrays, f"W/{name}/", under="bert.")
            case = next(case for case in cases if side == "t" or case.student == name)
            layer = case.teacher_layer if side == "t" else case.student_layer
            file = self.arrays.tensor(f"{case.name}/q_{side}")

            def error(heads: int) -> float:
                with torch.no_grad():
                    query = self.run(_bert.classifier(weights, heads), case).at("query", (layer,))[0]
                return float((query - file).abs().max())

            heads = _bert.found_heads(file.shape[-1], error)
            self._models[name] = _bert.classifier(weights, heads)
        return self._models[name]

    def run(self, model: Any, case: _Case) -> Outputs:
        mask = self.arrays.tensor(case.mask)
        capture = Capture(model, frozenset(_PARTS.values()))
        outputs = capture.run(self.arrays.tensor("input_ids") * mask, mask, self.arrays.tensor("token_type_ids") * mask)
        capture.close()
        return outputs

    def check(self, case: _Case, cases: list[_Case]) -> None:
        arrays = self.arrays
        student, teacher = self.model(case.student, "s", cases), self.model("teacher", "t", cases)
        with torch.no_grad():
            answer = self.run(teacher, case)
        outputs = self.run(student, case)
        parts = {
            "s": self._projections(outputs, case.student_layer),
            "t": self._projections(answer, case.teacher_layer),
        }
        for side, projections in parts.items():
            for letter, projection in projections.items():
                arrays.compare(f"{case.name}/{letter}_{side}", projection, rtol=self.rtol)
        mask, dtype = arrays.tensor(case.mask), parts["s"]["q"].dtype
        assert case.student_layer == student.config.num_hidden_layers, "the method compares the student's last layer"
        stage = _stage.objective("minilm", 0, student, teacher, case.params, "published", dtype)
        terms = stage(outputs, answer, {"attention_mask": mask})
        assert set(terms) == set(case.weights)
        for pair in case.weights:
            ours, theirs = ((parts[side][pair[0]], parts[side][pair[1]]) for side in ("s", "t"))
            divergence = relation_divergence(ours, theirs, mask, case.heads)
            assert torch.equal(terms[pair].value, divergence), "the method's own relation heads are others"
            # The second implementation has no masks, so the file has its values where nothing is padded.
            for key in (f"{case.name}/rel_{pair}", f"{case.name}/baidu_rel_{pair}"):
                if key in arrays or "baidu" not in key:
                    arrays.compare(key, divergence, rtol=self.rtol)
        loss = total(terms)
        arrays.compare(f"{case.name}/loss", loss, rtol=self.rtol)
        self._gradients(case, student, loss)

    @staticmethod
    def _projections(outputs: Outputs, layer: int) -> dict[str, Tensor]:
        return {letter: outputs.at(part, (layer,))[0] for letter, part in _PARTS.items()}

    def _gradients(self, case: _Case, student: Any, loss: Tensor) -> None:
        layer: Any = encoder_layers(student)[case.student_layer - 1]
        attention = layer.attention.self
        weights = {f"{part}_weight": getattr(attention, part).weight for part in _PARTS.values()}
        weights["word_embeddings"] = student.bert.embeddings.word_embeddings.weight
        gradients = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True)
        for name, gradient in zip(weights, gradients, strict=True):
            self.arrays.compare(f"{case.name}/grad_{name}", gradient, rtol=self.rtol)
