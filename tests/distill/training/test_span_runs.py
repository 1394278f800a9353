"""Runs on questions: epochs over windows, values over rows, killed and continued."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.tasks import metrics
from distill.training.predictions import Collected, predict, predicted_answers
from tests.distill import tiny
from tests.distill.training import runs

METHODS = ("ft", "kd", "pkd", "emd", "lwd", "ted", "lad", "tinybert", "minilm", "mixstep", "twostep", "sps")


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_and_judges_all_its_stages(method: str) -> None:
    run = runs.make(method, task="squad2", rows=8, epochs=1)
    assert len(run.train) > 8
    assert run.dev.spans is not None
    seen = list(run)

    assert [e.reporting for e in seen] == [stage.reporting for stage in run.method.stages]
    last = seen[-1]
    assert last.logits.shape == (16, 3)
    assert set(last.metrics) == {"squad_f1", "em", "has_answer_f1", "no_answer_f1"}
    assert last.value == metrics.get("squad_f1").compute(last.logits, run.dev.spans.answerable)
    assert last.steps == -(-len(run.train) // 8)
    for early in seen[:-1]:
        assert np.isfinite(early.value)
        assert early.logits.shape == (16, 3)


@pytest.mark.parametrize(("method", "after"), [("ft", 1), ("ted", 2)])
def test_a_killed_run_goes_on_bit_for_bit(method: str, after: int, tmp_path: Path) -> None:
    how: dict[str, Any] = {"method": method, "task": "squad2", "rows": 8, "epochs": 2}
    whole = list(runs.make(**how))

    again, _ = runs.stopped_and_continued(tmp_path, after, **how)

    assert len(again) == len(whole)
    assert all(runs.same(one, two) for one, two in zip(whole, again, strict=True))


def test_predictions_do_not_depend_on_batches() -> None:
    _, dev = tiny.tokens("squad2", 8, 16)
    model = tiny.classifier(span=True).eval()
    np.testing.assert_allclose(predict(model, dev, 1), predict(model, dev, 64), rtol=1e-4, atol=1e-4)


def test_logits_are_laid_down_by_token() -> None:
    _, dev = tiny.tokens("squad2", 8, 16)
    collected = Collected(dev)
    rows = np.array([3, 1])
    width = int(dev.lengths[rows].max())
    logits = np.arange(4 * width, dtype=np.float32).reshape(4, width)

    collected.add(rows, logits)

    assert collected.logits is not None
    for place, row in enumerate(rows):
        length = dev.lengths[row]
        part = collected.logits[dev.offsets[row] : dev.offsets[row + 1]]
        np.testing.assert_array_equal(part, logits[2 * place : 2 * place + 2, :length].T)


def test_answers_go_by_the_rows_names() -> None:
    _, dev = tiny.tokens("squad2", 8, 16)
    model = tiny.classifier(span=True, dropout=0.0)
    assert dev.spans is not None

    texts, odds = predicted_answers(model, dev, 4)

    assert list(texts) == list(odds) == [f"q{row}" for row in range(16)]
    for text, ahead, context in zip(texts.values(), odds.values(), dev.spans.contexts, strict=True):
        assert text in context
        assert bool(text) == (ahead <= 0)
    assert model.training
    train, _ = tiny.tokens("cola", 8, 8)
    with pytest.raises(ValueError, match="no windows"):
        predicted_answers(tiny.classifier(), train, 4)
