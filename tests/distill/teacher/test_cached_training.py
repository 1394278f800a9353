"""A student that learns from what lies on disk is the one that learns from the teacher itself, to the rounding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from distill import methods
from distill.artifacts import Store
from distill.methods.objective import Outputs, Setting, total
from distill.models.capture import Capture, shape_of
from distill.teacher import parts
from distill.teacher.cached import CachedTeacher
from distill.training.loop import Run
from tests.distill import tiny
from tests.distill.teacher import kept
from tests.distill.training import runs

# A number that is rounded to float16 moves by at most this share of itself.
STEP = 2.0**-11
CHOSEN = [5, 0, 31, 17, 44, 2, 9]


def _moved(teacher: Outputs, student: Outputs, mask: Tensor) -> float:
    """How far a mean square Σ (s − t)² / n can move when every t moves by its rounding, at most, for any two layers.

    |Δ (s − t)²| ≤ 2 |s − t| |t| ε + (t ε)², so by Cauchy and Schwarz the mean moves by no more than
    2 ε √(mean (s − t)² · mean t²) + ε² mean t², with mean (s − t)² ≤ 2 mean s² + 2 mean t².
    """
    most = 0.0
    real = mask.bool()
    for mine, theirs in ((student.hidden, teacher.hidden), (student.scores, teacher.scores)):
        if mine is None or theirs is None:
            continue
        if mine.ndim == 4:
            s, t = (values[:, real].square().flatten(1).mean(1).max().item() for values in (mine, theirs))
        else:
            pair = (real[:, :, None] & real[:, None, :])[None, :, None]
            s, t = (
                ((values * pair).square().flatten(1).sum(1) / (pair.sum() * values.shape[2])).max().item()
                for values in (mine, theirs)
            )
        most = max(most, 2 * STEP * ((2 * s + 2 * t) * t) ** 0.5 + STEP**2 * t)
    return most


@pytest.mark.parametrize("params", [{}, {"attention": False}, {"hidden": False}, {"update": "current", "beta": 1.0}])
def test_every_term_and_its_gradient(store: Store, params: dict[str, Any]) -> None:
    method = methods.get("emd")
    student = tiny.classifier(layers=2, seed=2, dropout=0.0).eval()
    setting = Setting(
        params=method.resolve({"beta": 0.5, "alpha": 0.5, **params}, "modern"),
        recipe="modern",
        student=shape_of(student),
        teacher=shape_of(tiny.classifier(layers=3)),
        num_labels=2,
        regression=False,
    )
    batch = kept.train_rows(store).batch(np.array(CHOSEN))
    inputs = tiny.inputs_of(batch)
    sources = kept.online(store), CachedTeacher(kept.written(store))
    terms, gradients, bound = [], [], 0.0
    for source in sources:
        torch.manual_seed(3)
        objective = method.stages[0].objective(setting)
        capture = Capture(student, objective.needs)
        own = capture.run(**inputs)
        answer = source.answer(np.array(CHOSEN), inputs, objective.needs)
        capture.close()
        bound = max(bound, _moved(answer, own, batch["attention_mask"]))
        found = objective(own, answer, batch)
        terms.append({name: term.value.item() for name, term in found.items()})
        student.zero_grad()
        total(found).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in student.parameters() if p.grad is not None]))
    assert terms[0].keys() == terms[1].keys()
    for name, exact in terms[0].items():
        allowed = 1e-6 if name in ("soft", "hard") else bound + 1e-6
        assert terms[1][name] == pytest.approx(exact, rel=1e-6, abs=allowed), name
    assert any(terms[0][name] != terms[1][name] for name in terms[0]), "the rounding is not seen at all"
    # The gradient is linear in s − t, whose relative error is that of t where both are of one size.
    difference = (gradients[0] - gradients[1]).norm() / gradients[0].norm()
    assert difference < 4 * STEP
    assert gradients[0].norm() > 0


def _run(source: Any, store: Store, **how: Any) -> Run:
    run = runs.make("emd", {"beta": 1.0}, splits=(kept.train_rows(store), tiny.tokens("cola", 48, 16)[1]), **how)
    run.source = source
    return run


@pytest.mark.parametrize("padding", ["longest", "max_length"])
def test_a_whole_run(store: Store, padding: str) -> None:
    folder = kept.written(store)
    found = [
        list(_run(source, store, epochs=3, padding=padding, max_length=32))
        for source in (kept.online(store), CachedTeacher(folder))
    ]
    # How far the run goes, beside which the difference of the two is looked at.
    way = np.abs(found[0][-1].logits - found[0][0].logits).max()
    for exact, mine in zip(*found, strict=True):
        for name, value in exact.terms.items():
            assert mine.terms[name] == pytest.approx(value, rel=2 * STEP), name
        assert np.abs(mine.logits - exact.logits).max() < 0.02 * way
    assert any(mine.terms != exact.terms for exact, mine in zip(*found, strict=True))


def test_bit_for_bit_again_and_after_a_kill(store: Store, tmp_path: Path) -> None:
    folder = kept.written(store)
    straight = list(_run(CachedTeacher(folder), store, epochs=3))
    again = list(_run(CachedTeacher(folder), store, epochs=3))
    assert all(runs.same(one, two) for one, two in zip(straight, again, strict=True))
    first = _run(CachedTeacher(folder), store, epochs=3)
    seen, state = [], None
    for evaluation in first:
        seen.append(evaluation)
        torch.save(first.state(), tmp_path / "state.pt")
        if len(seen) == 2:
            break
    state = torch.load(tmp_path / "state.pt", weights_only=False)
    second = _run(CachedTeacher(folder), store, epochs=3)
    torch.manual_seed(77)
    second.load_state(state)
    seen += list(second)
    assert len(seen) == 3
    assert all(runs.same(one, two) for one, two in zip(straight, seen, strict=True))


def test_gates_over_layers_on_disk(store: Store) -> None:
    online, cached = (
        list(_swapped("lad", source, store)) for source in (kept.online(store), CachedTeacher(kept.written(store)))
    )
    for exact, mine in zip(online, cached, strict=True):
        assert mine.terms == pytest.approx(exact.terms, rel=0.01)
        assert mine.seen["gates"]["open"] == pytest.approx(exact.seen["gates"]["open"], rel=0.01)
    assert any(mine.terms != exact.terms for exact, mine in zip(online, cached, strict=True))


def test_a_method_of_logits_reads_nothing_large(store: Store) -> None:
    source = CachedTeacher(kept.written(store, parts.kept({"logits"})))
    online = list(_swapped("kd", kept.online(store), store))
    for exact, mine in zip(online, _swapped("kd", source, store), strict=True):
        assert mine.terms == pytest.approx(exact.terms, rel=1e-4)
        np.testing.assert_allclose(mine.logits, exact.logits, atol=1e-3)


def _swapped(method: str, source: Any, store: Store) -> Run:
    run = runs.make(method, splits=(kept.train_rows(store), tiny.tokens("cola", 48, 16)[1]), epochs=2)
    run.source = source
    return run
