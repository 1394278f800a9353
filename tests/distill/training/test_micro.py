"""Batches cut into parts: the step of the whole batch, for objectives that are means over rows, and for no others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from distill import methods
from distill.methods.base import Stage
from distill.teacher.source import OnlineTeacher
from distill.training.batching import in_parts
from distill.training.loop import Run
from tests.distill.methods.bench import ALL, RECIPES, Pool, Recipe, alternatives, bench, fits
from tests.distill.training import runs

TASKS: list[dict[str, Any]] = [{"labels": 3}, {"regression": True}]
ADDITIVE = tuple(name for name in ALL if methods.get(name).additive)


def _cut(batch: dict[str, torch.Tensor], parts: int, one_length: bool) -> list[dict[str, torch.Tensor]]:
    """Parts of a batch, each only as wide as its own rows need, unless all rows must have one length."""
    found = []
    for rows in np.array_split(np.arange(len(batch["labels"])), parts):
        width = None if one_length else int(batch["attention_mask"][rows].sum(1).max())
        found.append({name: v[rows, :width] if v.ndim == 2 else v[rows] for name, v in batch.items()})
    return found


def _gap(name: str, stage: int, params: dict[str, Any], recipe: Recipe, task: dict[str, Any], pool: Pool) -> float:
    """How far terms and gradient of the parts are from those of the whole batch, relative to the largest entry."""
    whole, parts = (bench(name, stage, params=params, recipe=recipe, pool=pool, **task) for _ in range(2))
    batch = whole.batch(rows=7)
    expected, found = whole.gradient(batch), torch.zeros(())
    terms = {term: value.item() for term, (value, _) in whole.terms(batch).items()}
    sums = dict.fromkeys(terms, 0.0)
    for part in _cut(batch, 3, whole.stage.one_length(recipe)):
        share = len(part["labels"]) / 7
        found = found + share * parts.gradient(part)
        for term, (value, _) in parts.terms(part).items():
            sums[term] += share * value.item()
    off = max(abs(sums[term] - terms[term]) / max(1e-9, abs(terms[term])) for term in terms)
    return max(off, float((found - expected).abs().max() / expected.abs().max()))


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("task", TASKS, ids=str)
@pytest.mark.parametrize("name", ALL)
def test_what_is_declared_additive_is_and_nothing_else(name: str, task: dict[str, Any], recipe: Recipe) -> None:
    method = methods.get(name)
    if task.get("regression") and not method.regression:
        pytest.skip("declares that it knows no regression")
    pool = Pool()
    for number, stage in enumerate(method.stages):
        settings = [{}, *({h.name: v} for h in method.hyperparameters for v in alternatives(h, h.default)[:1])]
        settings = [params for params in settings if fits(name, number, params, recipe)]
        if stage.additive:
            assert max(_gap(name, number, params, recipe, task, pool) for params in settings) < 1e-6
        elif not stage.one_length(recipe):
            # Among rows of one length means over all their places are means over rows.
            assert _gap(name, number, {}, recipe, task, pool) > 1e-4


def _double(name: str, **how: Any) -> Run:
    """A run in float64, in which what is left between two ways of summing is far below any mistake."""
    run = runs.make(name, student={"dropout": 0.0}, **how)
    run.student.double()
    set_up = run._set_up

    def doubled(stage: Stage) -> Any:
        capture, objective, per_epoch = set_up(stage)
        return capture, objective.double(), per_epoch

    run._set_up = doubled  # type: ignore[method-assign]
    if isinstance(run.source, OnlineTeacher):
        run.source.model.double()
    return run


@pytest.mark.parametrize("micro", [2, 3, 100])
@pytest.mark.parametrize("name", ADDITIVE)
def test_a_run_in_parts_is_the_whole_one(name: str, micro: int) -> None:
    """With incomplete batches, accumulation, and a clip at which the size of a gradient matters."""
    how: dict[str, Any] = {"rows": 21, "epochs": 2, "accumulation": 2, "warmup": 0.0, "clip": 0.5}
    # One after the other, as what an objective draws at its beginning comes from one generator.
    whole = _double(name, **how)
    expected = list(whole)
    parts = _double(name, micro=micro, **how)
    for one, other in zip(expected, parts, strict=True):
        assert one.terms.keys() == other.terms.keys()
        assert other.terms == pytest.approx(one.terms, rel=1e-5)
        np.testing.assert_allclose(other.logits, one.logits, atol=1e-6)
    for (parameter, mine), theirs in zip(whole.student.named_parameters(), parts.student.parameters(), strict=True):
        torch.testing.assert_close(theirs, mine, rtol=1e-8, atol=1e-8, msg=parameter)
        torch.testing.assert_close(theirs.grad, mine.grad, rtol=1e-6, atol=1e-9, msg=parameter)


def test_parts_of_a_step() -> None:
    batches = [np.arange(5), np.arange(2)]
    assert [(len(rows), share) for rows, share in in_parts(batches, 1)] == [(5, 0.5), (2, 0.5)]
    assert [(rows.tolist(), share) for rows, share in in_parts(batches, 3)] == [
        ([0, 1], 0.2), ([2, 3], 0.2), ([4], 0.1), ([0], 0.25), ([1], 0.25)
    ]  # fmt: skip


def test_no_part_is_larger_than_it_must_be() -> None:
    for micro in (2, 3, 4):
        run = runs.make("ft", rows=16, epochs=1, micro=micro)
        seen: list[int] = []
        run.student.register_forward_pre_hook(
            lambda module, args, kwargs, seen=seen: seen.append(len(kwargs["input_ids"])) if module.training else None,
            with_kwargs=True,
        )
        list(run)
        assert len(seen) == 2 * micro
        assert max(seen) == -(-8 // micro)


def test_losses_that_are_no_means_over_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="micro=2: a batch of emd cannot be cut"):
        runs.make("emd", micro=2)
    with pytest.raises(ValueError, match="micro=0"):
        runs.make("ft", micro=0)
    assert set(ADDITIVE) >= {"ft", "kd"}
    assert "emd" not in ADDITIVE
