"""Attention and hidden transport losses of BERT-EMD over consecutive steps, for every variant in the file.

Two solvers made the files. `exact` solves the transport exactly, as we do: everything agrees to rounding, and
the weights are carried from step to step by us. `cpp` rounds masses and costs to a millionth of the largest,
which leaves flows 1e-6 and losses up to 3e-5 off. It is held to 1e-4, each step starting from the file's
weights; new weights to 5e-4, because a softmax of inverse costs multiplies those errors.

The optimal flow need not be unique (uniform weights make the vertices degenerate). Where ours is another one
than the file's, both must have the same cost: value, D and the flow's margins are compared all the same.
Gradients and new weights depend on the choice and are not, and the next step starts from the file's weights.
How many steps may go that way is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from distill.losses.distances import (
    clean_hidden,
    clean_scores,
    hidden_count,
    hidden_mean_square,
    pairwise_mean_square,
    score_count,
)
from distill.losses.layer_transport import LayerTransport
from tests.golden_checkers._arrays import Arrays

SHORT = {"attention": "att", "hidden": "rep"}


@dataclass
class _Variant:
    """One way of running the reference, read from the name that the file gives it."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, name: str) -> _Variant:
        version, *words = name.split("_")
        assert version in ("cur", "v2020"), f"unknown variant {name}"
        options: dict[str, Any] = {"update": "current" if version == "cur" else "v2020"}
        for word in words:
            if word == "joint":
                options["joint"] = True
            elif word == "separate":
                options["joint"] = False
            elif word == "noupdate":
                options["update"] = "frozen"
            elif word == "nosm":
                options["second_softmax"] = False
            elif word == "reponly":
                options["terms"] = ("hidden",)
            elif word == "attonly":
                options["terms"] = ("attention",)
            elif word[0] == "T" and word[1:].replace(".", "", 1).isdigit():
                options["temperature"] = float(word[1:])
            else:
                raise AssertionError(f"unknown word {word!r} in variant {name}")
        return cls(name, options)


def check(arrays: Arrays, *, double: bool) -> None:
    _check_inputs(arrays, double=double)
    runs = sorted({tuple(key.split("__")[:2]) for key in arrays.named() if not key.startswith("in__")})
    assert runs, "no output in the file"
    steps = other_flows = 0
    for solver, variant in runs:
        assert solver in ("exact", "cpp"), f"unknown solver {solver}"
        tolerance = {"atol": 1e-4} if solver == "cpp" else {"rtol": 1e-9 if double else 1e-5}
        taken, others = _check_run(arrays, f"{solver}__{variant}__", _Variant.parse(variant), tolerance)
        steps += taken
        other_flows += others
    assert other_flows <= steps / 4, f"{other_flows} of {steps} steps have another optimal flow than the file"


def _check_inputs(arrays: Arrays, *, double: bool) -> None:
    projected = arrays.tensor("in__srep_raw") @ arrays.tensor("in__proj_w").T + arrays.tensor("in__proj_b")
    arrays.compare("in__srep", projected, rtol=1e-12 if double else 1e-6)


def _check_run(arrays: Arrays, run: str, variant: _Variant, tolerance: dict[str, float]) -> tuple[int, int]:
    inputs = {key: arrays.tensor(f"in__{key}") for key in ("mask", "srep_raw", "trep", "satt", "tatt")}
    steps, students, teachers = (*inputs["satt"].shape[:2], inputs["tatt"].shape[1])
    transport = LayerTransport(students, teachers, reduction="padded", **variant.options)
    other_flows = 0
    for step in range(steps):
        if "atol" in tolerance:
            _take_over(arrays, run, step, "used", transport)
        before = transport.observation()
        weight, bias = arrays.tensor("in__proj_w"), arrays.tensor("in__proj_b")
        raw, scores = inputs["srep_raw"][step].clone(), inputs["satt"][step].clone()
        leaves = {"g_srep_raw": raw, "g_proj_w": weight, "g_proj_b": bias, "g_satt": scores}
        for leaf in leaves.values():
            leaf.requires_grad_()
        states = raw @ weight.T + bias
        states.retain_grad()
        teacher, mask = inputs["trep"][step], inputs["mask"]
        stacks = {"hidden": (states[1:], teacher[1:]), "attention": (scores, inputs["tatt"][step])}
        losses = transport(hidden=stacks["hidden"], attention=stacks["attention"], mask=mask)
        embedding = hidden_mean_square(states[0], teacher[0], mask, "padded")
        (sum(losses.values()) + embedding).backward()
        arrays.compare(f"{run}emb_loss", embedding, index=step, **tolerance)

        after = transport.observation()
        unique = True
        for term, short in SHORT.items():
            if term in losses:
                arrays.compare(f"{run}{short}_loss", losses[term], index=step, **tolerance)
                distances = _distances(term, stacks[term], mask)
                arrays.compare(f"{run}{short}_D", distances, index=step, **tolerance)
                for side, letter in (("student", "s"), ("teacher", "t")):
                    used = f"{run}{short}_{letter}w_used"
                    arrays.compare(used, before[term][side], index=step, **tolerance)
                unique &= _check_flow(arrays, f"{run}{short}", step, after[term]["flow"], distances, tolerance)
            elif f"{run}{short}_loss" in arrays:
                arrays.compare(f"{run}{short}_loss", 0.0, index=step)
        if unique:
            _check_gradients(arrays, run, step, {"g_srep": states, **leaves}, tolerance)
        else:
            other_flows += 1
            _take_over(arrays, run, step, "after", transport)
        _check_weights(arrays, run, step, after, unique, tolerance)
    return steps, other_flows


def _distances(term: str, stacks: tuple[torch.Tensor, torch.Tensor], mask: torch.Tensor) -> np.ndarray:
    clean, count = (clean_scores, score_count) if term == "attention" else (clean_hidden, hidden_count)
    student, teacher = (clean(stack.detach(), mask, "padded") for stack in stacks)
    return pairwise_mean_square(student, teacher, None, count(student, mask, "padded")).numpy()


def _check_flow(
    arrays: Arrays, key: str, step: int, flow: Any, distances: np.ndarray, tolerance: dict[str, float]
) -> bool:
    """Check margins and optimality of our flow; return whether it is the file's own."""
    ours, theirs = np.asarray(flow), arrays[f"{key}_F"][step]
    arrays.compare(f"{key}_sw_used", ours.sum(axis=1), index=step, **tolerance)
    arrays.compare(f"{key}_tw_used", ours.sum(axis=0), index=step, **tolerance)
    assert (ours >= 0).all()
    assert np.count_nonzero(ours) <= sum(ours.shape) - 1, "more pairs carry flow than a vertex has"
    arrays.compare(f"{key}_lp_cost", (ours * distances).sum(), index=step, **tolerance)
    linear_program = arrays[f"{key}_lp_F"][step]
    np.testing.assert_allclose(
        (linear_program * distances).sum(), arrays[f"{key}_lp_cost"][step], rtol=1e-5, err_msg=f"{key}_lp_F"
    )
    allowed = tolerance.get("atol", 0.0) + tolerance.get("rtol", 0.0) * np.abs(theirs).max()
    return bool(np.abs(ours - theirs).max() <= allowed)


def _check_gradients(
    arrays: Arrays, run: str, step: int, tensors: dict[str, torch.Tensor], tolerance: dict[str, float]
) -> None:
    for key, tensor in tensors.items():
        # What a run leaves out gets no gradient from us and zeros, or nothing at all, from the reference.
        gradient = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
        if tensor.grad is not None or run + key in arrays:
            arrays.compare(run + key, gradient, index=step, **tolerance)


def _check_weights(
    arrays: Arrays, run: str, step: int, after: dict[str, Any], unique: bool, tolerance: dict[str, float]
) -> None:
    if "atol" in tolerance:
        tolerance = {"atol": 5 * tolerance["atol"]}
    for term, short in SHORT.items():
        for side, key in (("student", f"{run}{short}_sw_after"), ("teacher", f"{run}{short}_tw_after")):
            if term in after and unique:
                arrays.compare(key, after[term][side], index=step, **tolerance)
            elif term not in after and key in arrays:  # an idle term's weights stay uniform in the reference
                size = arrays[key].shape[1]
                arrays.compare(key, np.full(size, 1 / size), index=step, atol=1e-12)


def _take_over(arrays: Arrays, run: str, step: int, when: str, transport: LayerTransport) -> None:
    """Give our transport the file's weights `used` in a step or left `after` it."""
    weights = {
        term: [
            torch.from_numpy(arrays[f"{run}{SHORT[term]}_{side}_{when}"][step].astype(np.float64))
            for side in ("sw", "tw")
        ]
        for term in transport.terms
    }
    transport.load_state_dict({**transport.state_dict(), "weights": weights})
