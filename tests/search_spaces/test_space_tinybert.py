"""TinyBERT's published settings, typed a second time, and MiniLM's grids, which have no settings."""

from __future__ import annotations

import pytest

import search_spaces

# Epochs of the first stage.
PUBLISHED = {"cola": 50, "mnli": 10, "mrpc": 20, "qqp": 10, "qnli": 10, "rte": 20, "sst2": 20, "stsb": 20}


@pytest.fixture(scope="module")
def tinybert() -> search_spaces.SearchSpace:
    return search_spaces.load("tinybert")


def test_the_settings(tinybert: search_spaces.SearchSpace) -> None:
    rest = {"T": 1, "layers": "uniform", "intermediate_lr": 5e-5, "intermediate_batch": 32, "lr": 3e-5}
    assert {(r.task, r.layers) for r in tinybert.rows} == {(task, layers) for task in PUBLISHED for layers in (4, 6)}
    for row in tinybert.rows:
        assert row.values == {**rest, "intermediate_epochs": PUBLISHED[row.task]}
        assert search_spaces.canonical(row.source.split()[-1]) == row.task
        assert f"{row.layers} layers" in row.source


def test_the_grid(tinybert: search_spaces.SearchSpace) -> None:
    published, _, ours = search_spaces.GRADES
    assert {a.name: {v.value: v.grade for v in a.values} for a in tinybert.axes} == {
        "T": {1: published},
        "layers": {"uniform": published},
        "intermediate_epochs": dict.fromkeys((10, 20, 50), published),
        "intermediate_lr": {5e-5: published},
        "intermediate_batch": {32: published},
        "batch_size": dict.fromkeys((16, 32), published),
        "lr": {1e-5: published, 2e-5: published, 3e-5: published, 1e-4: ours},
    }
    assert tinybert.epochs.value == 3
    # Steps of two sizes would be looked at in other places, where the recipe counts steps.
    assert [a.name for a in tinybert.inert("published")] == ["batch_size"]
    assert (len(tinybert.grid()), len(tinybert.grid("published"))) == (24, 12)


def test_minilm_has_grids_alone() -> None:
    minilm = search_spaces.load("minilm")
    published, _, ours = search_spaces.GRADES
    assert {a.name: {v.value: v.grade for v in a.values} for a in minilm.axes} == {
        "version": {"v2": published},
        "relation_heads": {0: ours},
        "teacher_layer": {0: published},
        "relation_epochs": {10: ours},
        "relation_lr": {1e-4: ours, 3e-4: published, 6e-4: published},
        "lr": {**dict.fromkeys((1e-5, 1.5e-5, 2e-5, 3e-5, 4e-5, 5e-5), published), 1e-4: ours},
    }
    assert (minilm.rows, minilm.epochs.value) == ((), 5)
    assert "no published rows" in minilm.missing_row("cola", 6)
