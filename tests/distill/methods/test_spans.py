"""Every method where classes are positions: starts and ends of answers, without regard to padding."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from distill import methods
from distill.kinds import undefined
from distill.methods.objective import Outputs, total
from distill.models.parameters import named
from distill.models.positions import PADDED, halves, logits_of, places
from distill.tasks import registry
from tests.distill.methods.bench import ALL, DISTILLING, STAGES, Bench, Pool, bench

POINTING = tuple(name for name in ALL if methods.get(name).spans)
POINTING_STAGES = [(name, stage) for name, stage in STAGES if name in POINTING]
# What some of them have to be asked for.
MORE: dict[str, dict[str, Any]] = {
    "kd": {"reduction": "mean"},
    "mixstep": {"LogitMSE": 1.0, "LogitCE": 1.0, "HidnTinyBERT": 1.0, "HidnPKD": 1.0},
    "twostep": {"LogitMSE": 1.0, "LogitCE": 1.0},
}


@pytest.fixture(scope="module")
def pool() -> Pool:
    return {}


def made(name: str, stage: int = 0, pool: Pool | None = None, **how: Any) -> Bench:
    how.setdefault("params", MORE.get(name))
    return bench(name, stage, span=True, pool=pool, **how)


def test_all_methods_but_those_with_labels_of_classes_know_spans() -> None:
    assert set(ALL) - set(POINTING) == {"ptp", "pea"}
    for name in ("ptp", "pea"):
        assert "is not defined for squad2" in (undefined(methods.get(name), registry.get("squad2")) or "")
    assert undefined(methods.get("sps"), registry.get("squad")) is None
    assert undefined(methods.get("ptp"), registry.get("cola")) is None


def test_the_published_recipe_is_there_for_those_with_a_published_row() -> None:
    task = registry.get("squad2")
    published = {name for name in DISTILLING if undefined(methods.get(name), task, "published") is None}
    assert published == {"ted", "lwd"}
    assert "choose --recipe modern" in (undefined(methods.get("emd"), task, "published") or "")
    # Generated rows are as those of the second version; of the first nothing was published.
    assert undefined(methods.get("ted"), registry.get("span-made-up"), "published") is None
    assert "not published for squad;" in (undefined(methods.get("ted"), registry.get("squad"), "published") or "")


def test_a_refusal_says_what_to_choose() -> None:
    for task in ("squad2", "stsb"):
        said = undefined(methods.get("ptp"), registry.get(task)) or ""
        assert said.endswith(f"; choose {', '.join(name for name in ALL if name not in ('ptp', 'pea'))}")


@pytest.mark.parametrize(("name", "stage"), POINTING_STAGES)
def test_terms_are_finite_and_reach_what_is_declared(name: str, stage: int, pool: Pool) -> None:
    one = made(name, stage, pool)
    batch = one.batch()
    terms = one.terms(batch)

    assert terms
    assert all(value.shape == () and torch.isfinite(value) for value, _ in terms.values())
    one.gradient(batch)
    declared = named(one.student, one.stage.trained(one.setting.params, "modern", one.setting.student))
    for parameter, p in one.student.named_parameters():
        # What is added to all positions alike takes no part in a softmax over them.
        if parameter in declared and not parameter.endswith(("attention.self.key.bias", "qa_outputs.bias")):
            assert p.grad is not None, parameter
            assert p.grad.abs().max() > 0, parameter


@pytest.mark.parametrize(("name", "stage"), POINTING_STAGES)
def test_padding_changes_nothing(name: str, stage: int, pool: Pool) -> None:
    # Some methods change with every batch.
    one, other = made(name, stage, pool), made(name, stage, pool)
    batch = one.batch(seed=1)
    wider = {k: torch.nn.functional.pad(v, (0, 5)) if v.ndim == 2 else v for k, v in batch.items()}

    terms, again = one.terms(batch), other.terms(wider)

    assert terms.keys() == again.keys()
    for term in terms:
        assert again[term].value.item() == pytest.approx(terms[term].value.item(), rel=1e-9, abs=1e-12), term
    torch.testing.assert_close(other.gradient(wider), one.gradient(batch), rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize(("name", "stage"), [s for s in POINTING_STAGES if methods.get(s[0]).stages[s[1]].additive])
def test_parts_of_a_batch_add_up_to_it(name: str, stage: int, pool: Pool) -> None:
    one = made(name, stage, pool)
    batch = one.batch(seed=2, rows=5)

    terms: dict[str, float] = {}
    gradient = torch.zeros(())
    for begin, end in ((0, 2), (2, 5)):
        width = int(batch["attention_mask"][begin:end].sum(1).max())
        part = {k: v[begin:end, :width] for k, v in batch.items() if k != "labels"}
        part["labels"] = batch["labels"].view(5, 2)[begin:end].flatten()
        gradient = gradient + one.gradient(part) * (end - begin) / 5
        for term, (value, _) in one.terms(part).items():
            terms[term] = terms.get(term, 0.0) + value.item() * (end - begin) / 5

    for term, (value, _) in one.terms(batch).items():
        assert terms[term] == pytest.approx(value.item(), rel=1e-9), term
    torch.testing.assert_close(gradient, one.gradient(batch), rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("name", ["kd", "lwd", "lad", "emd"])
def test_a_student_that_equals_its_teacher_has_nothing_to_learn_of_it(name: str) -> None:
    one = made(name, len(methods.get(name).stages) - 1, same=True)
    terms = one.terms(one.batch())
    assert terms["soft"].value.item() == pytest.approx(0, abs=1e-12)


def rows_of(logits: Tensor, mask: Tensor) -> list[list[float]]:
    """Logits [2B, S] of real positions alone, row by row."""
    lengths = mask.sum(1).tolist()
    return [logits[i, : lengths[i // 2]].tolist() for i in range(len(logits))]


def softmax(values: list[float], temperature: float = 1.0) -> list[float]:
    powers = [math.exp((x - max(values)) / temperature) for x in values]
    return [x / sum(powers) for x in powers]


def divergence(own: list[float], other: list[float], temperature: float) -> float:
    p, q = softmax(other, temperature), softmax(own, temperature)
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)) * temperature**2


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def answered(one: Bench, batch: dict[str, Tensor]) -> tuple[list[list[float]], list[list[float]]]:
    student, teacher = one.outputs(batch)
    assert teacher is not None
    return rows_of(student.logits, batch["attention_mask"]), rows_of(teacher.logits, batch["attention_mask"])


def test_the_labels_term_is_the_mean_of_start_and_end() -> None:
    one = made("ft")
    batch = one.batch(seed=3)
    logits, _ = one.outputs(batch)

    each = [
        -math.log(softmax(row)[gold])
        for row, gold in zip(rows_of(logits.logits, batch["attention_mask"]), batch["labels"].tolist(), strict=True)
    ]
    by_row = [(start + end) / 2 for start, end in zip(each[0::2], each[1::2], strict=True)]
    assert one.terms(batch)["hard"].value.item() == pytest.approx(mean(by_row))


@pytest.mark.parametrize("reduction", ["batchmean", "mean"])
def test_the_soft_term_runs_over_real_positions(reduction: str) -> None:
    one = made("kd", params={"reduction": reduction, "T": 3.0})
    batch = one.batch(seed=3)
    each = [divergence(own, other, 3.0) for own, other in zip(*answered(one, batch), strict=True)]
    if reduction == "mean":
        each = [value / len(row) for value, row in zip(each, answered(one, batch)[0], strict=True)]
    assert one.terms(batch)["soft"].value.item() == pytest.approx(mean(each))


def test_distances_of_logits_run_over_real_positions() -> None:
    one = made("mixstep")
    batch = one.batch(seed=3)
    each = [
        mean([(a - b) ** 2 for a, b in zip(own, other, strict=True)])
        for own, other in zip(*answered(one, batch), strict=True)
    ]
    assert one.terms(batch)["LogitMSE"].value.item() == pytest.approx(mean(each))


@pytest.mark.parametrize("name", ["ted", "lwd"])
@pytest.mark.parametrize("recipe", ["modern", "published"])
def test_both_forms_of_task_aware_distillation(name: str, recipe: Any) -> None:
    stage = len(methods.get(name).stages) - 1
    one = made(name, stage, params={"T": 2.0}, recipe=recipe)
    batch = one.batch(seed=3)
    own, other = answered(one, batch)
    if recipe == "published":
        # The reference's softmax runs over the padding.
        student, teacher = one.outputs(batch)
        assert student.unmasked is not None
        assert teacher is not None
        assert teacher.unmasked is not None
        own, other = student.unmasked.tolist(), teacher.unmasked.tolist()
    terms = one.terms(batch)
    soft = mean([divergence(a, b, 2.0) for a, b in zip(own, other, strict=True)])
    hard = mean([-math.log(softmax(row)[gold]) for row, gold in zip(own, batch["labels"].tolist(), strict=True)])
    assert terms["soft"].value.item() == pytest.approx(soft)
    assert terms["hard"].value.item() == pytest.approx(hard)


@pytest.mark.parametrize("recipe", ["modern", "published"])
def test_filters_learn_to_point(recipe: Any) -> None:
    one = made("ted", 1, recipe=recipe)
    batch = one.batch(seed=3)
    (loss,) = one.terms(batch).values()
    student, _ = one.outputs(batch)
    objective: Any = one.objective
    layers = range(1, 1 + len(objective.filters.filters))
    values = []
    for k, layer in enumerate(layers):
        assert student.hidden is not None
        logits = objective.heads.heads[k](objective.filters.filters[k](student.hidden[layer]))
        for b, length in enumerate(batch["attention_mask"].sum(1).tolist()):
            for side in (0, 1):
                row = logits[b, :length, side] if recipe == "modern" else logits[b, :, side]
                values.append(-math.log(softmax(row.tolist())[batch["labels"][2 * b + side]]))
    assert loss.value.item() == pytest.approx(mean(values))


def test_published_losses_need_what_the_network_says_of_padding() -> None:
    one = made("lwd", 1, recipe="published")
    batch = one.batch()
    student, teacher = one.outputs(batch)
    assert teacher is not None
    kept = Outputs(teacher.logits, hidden=teacher.hidden, layers=teacher.layers)
    with pytest.raises(ValueError, match="outputs on disk do not have"):
        one.objective(student, kept, batch)


def test_logits_become_rows_over_positions() -> None:
    class Output:
        start_logits = torch.tensor([[1.0, 2, 3], [4, 5, 6]])
        end_logits = torch.tensor([[-1.0, -2, -3], [-4, -5, -6]])

    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    found, unmasked = logits_of(Output(), mask)

    assert found.tolist() == [
        [1, 2, pytest.approx(PADDED)],
        [-1, -2, pytest.approx(PADDED)],
        [4, 5, 6],
        [-4, -5, -6],
    ]
    assert unmasked is not None
    assert unmasked[0].tolist() == [1, 2, 3]
    assert places(mask).tolist() == [[True, True, False]] * 2 + [[True] * 3] * 2
    starts, ends = halves(found)
    assert starts[1].tolist() == [4, 5, 6]
    assert ends[1].tolist() == [-4, -5, -6]


@pytest.mark.parametrize(("name", "stage"), POINTING_STAGES)
def test_a_term_is_float32_under_autocast(name: str, stage: int) -> None:
    one = made(name, stage)
    for module in (one.student, one.teacher, one.objective):
        module.float()
    batch = one.batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = one.objective(*one.outputs(batch), batch)
    assert {term.value.dtype for term in terms.values()} == {torch.float32}
    total(terms).backward()
    assert all(torch.isfinite(p.grad).all() for p in one.student.parameters() if p.grad is not None)
