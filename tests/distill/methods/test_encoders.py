"""Every method on every kind of encoder: a step of each stage, what it trains, and the few that are refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from distill import methods
from distill.errors import UserError
from distill.methods.base import Shape
from distill.methods.objective import total
from distill.models.architectures import ARCHITECTURES, SHARED
from distill.models.parameters import named
from distill.models.repeats import check
from tests.distill.methods.bench import ALL, STAGES, Bench, Pool, bench

# The others are of one build with one of these.
KINDS = ("bert", "roberta", "electra", "distilbert", "mpnet", "albert", "deberta-v2", "modernbert")
# Methods that have no projection; students of the others are narrower than their teachers.
_ONE_WIDTH = {"pkd", "lad", "pea", "sps", "ptp"}
# Of float64.
_ROUNDING = 1e-12
# They shift all scores of a query alike, of which a softmax takes no notice. A DeBERTa's keys meet positions, too.
_KEY_BIASES = ("attention.self.key.bias", "attention.k_lin.bias", "attention.attn.k.bias", "attention.key.bias")
_POOL: dict[str, Pool] = {kind: {} for kind in KINDS}


def _bench(name: str, stage: int, kind: str) -> Bench:
    method, params = methods.get(name), dict[str, Any]()
    if kind not in SHARED and method.hyperparameter("sps") is not None:
        params["sps"] = "none"
    width = 16 if name in _ONE_WIDTH else 12
    own: dict[str, Any] = {"kind": kind, "width": width}
    return bench(name, stage, params=params, student=own, teacher={"kind": kind}, pool=_POOL[kind])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "stage"), STAGES)
def test_a_step_of_every_stage(name: str, stage: int, kind: str) -> None:
    """Terms are finite, and the gradient reaches what the stage trains and nothing that it does not."""
    made = _bench(name, stage, kind)
    terms = made.terms(made.batch())
    assert terms
    assert all(torch.isfinite(term.value) for term in terms.values())
    for parameter in made.student.parameters():
        parameter.grad = None
    total(terms).backward()
    moved = {n: float(p.grad.abs().max()) for n, p in made.student.named_parameters() if p.grad is not None}
    reached = {n for n, most in moved.items() if most > _ROUNDING}
    trained = named(made.student, made.stage.trained(made.setting.params, "modern", made.setting.student))
    assert {n for n in trained - reached if not n.endswith(_KEY_BIASES)} == set()
    if name in ("minilm", "tinybert", "mixstep", "twostep") and not made.stage.reporting:
        assert reached <= trained, sorted(reached - trained)


def test_every_kind_is_tried() -> None:
    assert set(ARCHITECTURES) == {*KINDS, "xlm-roberta", "camembert"}
    assert {name for name, _ in STAGES} == set(ALL)


@pytest.mark.parametrize("kind", ["modernbert", "albert"])
@pytest.mark.parametrize("name", ["sps", "pea"])
def test_layers_that_cannot_run_twice_are_refused(name: str, kind: str) -> None:
    method = methods.get(name)
    asked = method.sharing(method.resolve({}, "modern"))
    with pytest.raises(
        UserError, match=rf"sps=swap \(shuffled parameter sharing\) .* {ARCHITECTURES[kind].title} "
    ) as said:
        check(asked, "--student x", kind, 3)
    assert "--set sps=none" in str(said.value)
    for other in SHARED:
        check(asked, "--student x", other, 3)


@pytest.mark.parametrize("who", ["student", "teacher"])
@pytest.mark.parametrize(("version", "refused"), [("v1", True), ("all", True), ("v2", False)])
def test_attention_as_a_relation_is_refused_of_a_deberta(who: str, version: str, refused: bool) -> None:
    method = methods.get("minilm")
    params = method.resolve({"version": version}, "modern")
    kinds = {"student": "bert", "teacher": "bert", who: "deberta-v2"}
    student, teacher = Shape(2, 16, 2, kind=kinds["student"]), Shape(4, 16, 2, kind=kinds["teacher"])
    problem = method.misfit(params, student, teacher)
    assert bool(problem) == refused
    if refused:
        assert problem is not None
        for part in ("MiniLM", "qk", f"the {who}", "DeBERTa (deberta-v2)", "--set qk=0"):
            assert part in problem
        assert method.misfit({**params, "qk": 0.0}, student, teacher) is None
        with pytest.raises(UserError, match="relation qk"):
            bench("minilm", params={"version": version}, **{who: {"kind": "deberta-v2"}})
