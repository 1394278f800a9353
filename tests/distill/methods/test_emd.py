"""What holds of BERT-EMD alone: its terms and weights, its projection, its heads, what it shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from distill import methods
from distill.errors import UserError
from tests.distill.methods.bench import RECIPES, Recipe, bench

EMD = methods.get("emd")


def test_terms_and_their_weights() -> None:
    made = bench("emd", params={"alpha": 0.25, "beta": 0.5, "theta": 3.0})
    weights = {name: term.weight for name, term in made.terms(made.batch()).items()}
    assert weights == {"soft": 0.25, "hard": 0.75, "embedding": 0.5, "attention": 1.5, "hidden": 1.5}


@pytest.mark.parametrize(
    ("off", "gone"),
    [
        ({"hidden": False}, {"hidden"}),
        ({"attention": False}, {"attention"}),
        ({"embedding": False}, {"embedding"}),
        ({"prediction": False}, {"soft", "hard"}),
        ({"theta": 0}, {"hidden", "attention"}),
        ({"beta": 0}, {"hidden", "attention", "embedding"}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_each_term_can_be_switched_off(off: dict[str, Any], gone: set[str]) -> None:
    every = {"soft", "hard", "embedding", "attention", "hidden"}
    made = bench("emd", params=off)
    assert set(made.terms(made.batch())) == every - gone
    needs = {"logits"} | ({"scores"} if "attention" not in gone else set())
    needs |= {"hidden"} if not {"hidden", "embedding"} <= gone else set()
    assert made.objective.needs == needs


def test_everything_off_is_refused() -> None:
    with pytest.raises(UserError, match=r"Every loss of BERT-EMD is switched off"):
        bench("emd", params={"prediction": False, "beta": 0})


@pytest.mark.parametrize("recipe", RECIPES)
def test_projection(recipe: Recipe) -> None:
    """Where widths differ, and in the published recipe always; trained with the student, never saved with it."""
    narrow = bench("emd", student={"width": 8}, recipe=recipe)
    projection = narrow.objective.projection
    assert isinstance(projection, nn.Linear)
    assert (projection.in_features, projection.out_features) == (8, 16)
    narrow.gradient(narrow.batch())
    for parameter in projection.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().min() > 0
    assert {name for name, _ in narrow.objective.named_parameters()} == {"projection.weight", "projection.bias"}
    equal = bench("emd", recipe=recipe).objective
    assert (equal.projection is not None) == (recipe == "published")


def test_heads_must_agree_where_scores_are_compared() -> None:
    with pytest.raises(UserError, match=r"4 attention heads and the teacher 2.*--set attention=false"):
        bench("emd", student={"heads": 4})
    made = bench("emd", student={"heads": 4}, params={"attention": False})
    assert torch.isfinite(made.gradient(made.batch())).all()
    for params in ({"theta": 0}, {"beta": 0}):
        assert bench("emd", student={"heads": 4}, params=params)


def test_what_the_report_sees() -> None:
    made = bench("emd", params={"joint": False})
    for seed in range(3):
        made.terms(made.batch(seed))
    seen = made.objective.observation()
    for term in ("hidden", "attention"):
        weights = seen["layer_weights"][term]
        assert (len(weights["student"]), len(weights["teacher"])) == (2, 4)
        assert sum(weights["student"]) == pytest.approx(1)
        assert sum(weights["teacher"]) == pytest.approx(1)
        assert weights["student"] != [0.5, 0.5], "weights were never updated"
        assert np.array(seen["flow"][term]).shape == (2, 4)
        assert np.sum(seen["flow"][term]) == pytest.approx(1)
    assert seen["layer_weights"]["hidden"] != seen["layer_weights"]["attention"]
    bare = bench("emd", params={"beta": 0}).objective.observation()
    assert bare == {"layer_weights": {}, "flow": {}}


@pytest.mark.parametrize("update", ["current", "v2020", "frozen"])
@pytest.mark.parametrize("joint", [True, False])
def test_an_exact_copy_does_not_break_the_weights(update: str, joint: bool) -> None:
    """Layers that cost nothing once drove the weights to 0/0."""
    made = bench("emd", same=True, params={"update": update, "joint": joint, "beta": 1.0})
    for seed in range(5):
        assert torch.isfinite(made.gradient(made.batch(seed))).all()
    for weights in made.objective.observation()["layer_weights"].values():
        assert np.isfinite(weights["student"]).all()
        assert min(weights["teacher"]) > 0


def test_a_teacher_that_is_not_finite_is_noticed() -> None:
    made = bench("emd")
    with torch.no_grad():
        made.teacher.bert.encoder.layer[1].output.dense.weight[0, 0] = torch.nan
    with pytest.raises(FloatingPointError, match="not finite"):
        made.terms(made.batch())


def test_published_means_run_over_padding() -> None:
    made = bench("emd", recipe="published", params={"update": "frozen"})
    batch = made.batch()
    wider = {k: nn.functional.pad(v, (0, 7)) if v.ndim == 2 else v for k, v in batch.items()}
    short, long = made.terms(batch), made.terms(wider)
    assert long["attention"].value.item() < 0.9 * short["attention"].value.item()


def test_inert_values() -> None:
    assert "T_emd" not in EMD.resolve({}, "modern")
    assert "T_emd" in EMD.resolve({}, "published")
    assert EMD.resolve({"beta": 0, "theta": 3, "update": "frozen"}, "modern").keys() == {
        "alpha", "beta", "T", "lr", "prediction",
    }  # fmt: skip
    assert "T" not in EMD.resolve({"alpha": 0}, "modern")
    assert "joint" not in EMD.resolve({"hidden": False}, "modern")
