"""`distill.run(metric=…)`: what chooses the epoch of student and teacher."""

from __future__ import annotations

from pathlib import Path

import pytest

import distill
from distill.artifacts import Store
from distill.errors import UserError
from distill.tasks import metrics
from tests.distill import tiny
from tests.distill.test_api import QUICK
from trainables.door import _config


def test_another_metric_chooses_and_the_own_one_stands_beside_it(encoder: Path, tmp_path: Path) -> None:
    data = tiny.data()
    how = {**QUICK, "params": {"lr": 3e-3}, "artifacts": tmp_path}
    found = distill.run(encoder, 2, "emd", data, metric="accuracy", **how)
    assert (found.task.metric, found.task.also, found.task.official) == ("accuracy", ("mcc",), "mcc")
    labels = data.dev.labels
    for evaluation in found.evaluations:
        expected = {name: metrics.get(name).compute(evaluation.logits, labels) for name in ("accuracy", "mcc")}
        assert evaluation.metrics == expected
        assert evaluation.value == expected["accuracy"]
    assert found.score == max(evaluation.value for evaluation in found.evaluations)
    assert repr(found).startswith("<emd on cola: accuracy ")
    usual = distill.run(encoder, 2, "emd", data, **how)
    assert (usual.task.metric, usual.task.also) == ("mcc", ("accuracy",))
    # The same training, judged otherwise.
    assert [e.terms for e in usual.evaluations] == [e.terms for e in found.evaluations]
    facts = [
        Store(tmp_path).facts(folder) for folder in sorted(tmp_path.glob("teacher-*")) if (folder / "model").is_dir()
    ]
    assert sorted(fact["metric"] for fact in facts) == ["accuracy", "mcc"]
    for fact in facts:
        assert fact["score"] == fact["metrics"][fact["metric"]]
    assert facts[0]["metrics"] == facts[1]["metrics"]


def test_a_metric_that_does_not_judge_the_rows_is_refused_before_any_model_is_looked_for() -> None:
    with pytest.raises(UserError, match=r"^metric spearman does not judge cola, which has 2 labels; choose one of mcc"):
        distill.run("/nowhere", 2, "emd", tiny.data(), metric="spearman")


def test_it_is_an_option_of_the_trainable() -> None:
    assert _config("emd", "mrpc", 4, {"metric": "f1"}).metric == "f1"
    with pytest.raises(UserError, match="metric is 3, expected str"):
        _config("emd", "mrpc", 4, {"metric": 3})
