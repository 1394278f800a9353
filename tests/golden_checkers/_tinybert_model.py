"""Both stages of TinyBERT on whole networks: what is captured of them, losses, and the gradient of every parameter."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from distill.methods.objective import Outputs, total
from distill.models.capture import Capture
from tests.golden_checkers import _bert, _stage
from tests.golden_checkers._arrays import Arrays

# The projection to the teacher's width, which the file counts among the student's parameters; the teacher's is idle.
_PROJECTION = "fit_dense."
# What the reference adds to the scores of padded keys.
_PADDED = -10000.0


def check(arrays: Arrays, *, double: bool) -> None:
    rtol = 1e-9 if double else 1e-5
    mask = arrays.tensor("attention_mask")
    inputs = {"input_ids": arrays.tensor("input_ids"), "attention_mask": mask}
    inputs["token_type_ids"] = arrays.tensor("token_type_ids")
    (student_model, linear), (teacher_model, _) = (_network(arrays, side) for side in ("student", "teacher"))
    dtype = linear["weight"].dtype
    # Nothing is given: the reference's own losses are the published recipe's defaults.
    intermediate, predict = (
        _stage.objective("tinybert", stage, student_model, teacher_model, {}, "published", dtype) for stage in range(2)
    )
    projection: Any = intermediate.get_submodule("projection")
    projection.load_state_dict(linear)
    needs = frozenset({"logits", "hidden", "scores"})
    student = Capture(student_model, needs).run(**inputs)
    with torch.no_grad():
        teacher = Capture(teacher_model, needs).run(**inputs)
    assert student.hidden is not None
    projected = projection(student.hidden)
    _captured(arrays, student, teacher, projected, rtol)

    batch = {"attention_mask": mask, "labels": arrays.tensor("labels")}
    terms = intermediate(student, teacher, batch)
    arrays.compare("inter_att_loss", terms["attention"].value, rtol=rtol)
    arrays.compare("inter_rep_loss", terms["hidden"].value + terms["embedding"].value, rtol=rtol)
    arrays.compare("inter_loss", total(terms), rtol=rtol)
    parameters = dict(student_model.named_parameters())
    parameters |= {_PROJECTION + name: parameter for name, parameter in projection.named_parameters()}
    _gradients(arrays, "inter", total(terms), parameters, rtol)

    loss = total(predict(student, teacher, batch))
    arrays.compare("pred_loss", loss, rtol=rtol)
    _gradients(arrays, "pred", loss, parameters, rtol)


def _network(arrays: Arrays, side: str) -> tuple[Any, dict[str, Tensor]]:
    """A network of the file, and its projection, which the program counts among the network's parameters."""
    weights = _bert.weights(arrays, f"W/{side}/")
    linear = {name: weights.pop(_PROJECTION + name) for name in ("weight", "bias")}
    heads = arrays[f"{side}_att_scores"].shape[2]
    return _bert.classifier(weights, heads, relu=True), linear


def _captured(arrays: Arrays, student: Outputs, teacher: Outputs, projected: Tensor, rtol: float) -> None:
    padded_keys = (arrays.tensor("attention_mask") == 0)[:, None, None, :]
    for side, outputs in (("student", student), ("teacher", teacher)):
        arrays.compare(f"{side}_logits", outputs.logits, rtol=rtol)
        assert outputs.scores is not None
        arrays.compare(f"{side}_att_scores", outputs.scores + _PADDED * padded_keys, rtol=rtol)
        # Those of padded keys are so large that the comparison above says little of the others.
        real, file = (t.masked_fill(padded_keys, 0.0) for t in (outputs.scores, arrays.tensor(f"{side}_att_scores")))
        torch.testing.assert_close(real, file, rtol=0, atol=rtol * float(file.abs().max()))
    arrays.compare("student_reps_raw", student.hidden, rtol=rtol)
    arrays.compare("teacher_reps", teacher.hidden, rtol=rtol)
    arrays.compare("student_reps_projected", projected, rtol=rtol)


def _gradients(arrays: Arrays, stage: str, loss: Tensor, parameters: dict[str, Tensor], rtol: float) -> None:
    names, untrained = list(parameters), set(arrays[f"{stage}_params_without_grad"].tolist())
    gradients = torch.autograd.grad(loss, list(parameters.values()), retain_graph=True, allow_unused=True)
    found = dict(zip(names, gradients, strict=True))
    assert {name for name, gradient in found.items() if gradient is None} == untrained
    assert {key.removeprefix(f"G/{stage}/") for key in arrays.named(f"G/{stage}/")} == set(names) - untrained
    # A gradient that is 0 but for rounding, such as that of the keys' bias, is held to the size of its likes.
    largest = max(float(gradient.abs().max()) for gradient in gradients if gradient is not None)
    for name in set(names) - untrained:
        arrays.compare(f"G/{stage}/{name}", found[name], rtol=rtol, atol=rtol * largest)
