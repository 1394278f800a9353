"""The tasks by name, and the records they are made of."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from distill.errors import UserError
from distill.inputs import find_data
from distill.tasks import Examples, TaskData, get, metrics, names, registry, stand_in


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("cola", "cola"),
        ("CoLA", "cola"),
        ("sst-2", "sst2"),
        ("SST-2", "sst2"),
        ("sts-b", "stsb"),
        ("STS_B", "stsb"),
        (" rte ", "rte"),
        ("cola-made-up", "cola-made-up"),
    ],
)
def test_names_are_found_in_any_common_spelling(asked: str, name: str) -> None:
    assert get(asked).name == name


@pytest.mark.parametrize(("asked", "nearest"), [("colaa", "cola"), ("mnil", "mnli"), ("stsb2", "stsb")])
def test_an_unknown_name_is_refused_with_the_nearest(asked: str, nearest: str) -> None:
    with pytest.raises(UserError, match=f"--task: unknown task '{asked}'; the nearest known one is '{nearest}'"):
        get(asked)


def test_even_a_far_name_gets_the_list() -> None:
    with pytest.raises(UserError, match="known: cola, sst2"):
        get("??")


def test_the_nine_tasks_of_glue_are_known() -> None:
    glue = {"cola", "sst2", "mrpc", "qqp", "mnli", "qnli", "rte", "wnli", "stsb"}
    assert glue <= set(names())
    assert {name for name in names() if get(name).published_as and get(name).kind != "span"} == glue


@pytest.mark.parametrize("name", names())
def test_every_task_is_whole(name: str) -> None:
    task = get(name)
    for metric in (task.metric, *task.also):
        assert metrics.get(metric).kind == task.kind
    assert task.metric not in task.also
    if task.kind == "classification":
        assert task.num_labels == len(set(task.labels)) >= 2
    else:
        assert (task.num_labels, task.labels) == (2 if task.kind == "span" else 1, ())
    assert not (task.made_up and task.published_as)
    assert task.made_up != (task.hub is not None)
    assert stand_in(task) is None or stand_in(task).made_up  # type: ignore[union-attr]


def test_label_orders_pairs_and_metrics_are_glues() -> None:
    assert get("mnli").labels == ("contradiction", "entailment", "neutral")
    assert get("qnli").labels == get("rte").labels == ("entailment", "not_entailment")
    assert get("cola").labels == ("0", "1")
    assert get("snli").labels == ("contradiction", "entailment", "neutral")
    assert get("tweet-sentiment").labels == ("negative", "neutral", "positive")
    single = {name for name in names() if not get(name).pair and not get(name).made_up}
    assert single == {"cola", "sst2", "tweet-sentiment"}
    assert {name for name in names() if not get(name).header} == {"cola", "cola-made-up"}
    assert get("cola").metric == "mcc"
    assert get("stsb").metric == "pearson_spearman"
    assert {get(name).metric for name in ("mrpc", "qqp", "mnli", "qnli", "rte", "wnli", "sst2")} == {"accuracy"}
    assert get("mnli").dev_file == "dev_matched.tsv"
    assert get("tweet-sentiment").metric == "macro_recall"
    assert get("snli").metric == "accuracy"


@pytest.mark.parametrize("name", names())
def test_a_stand_in_is_of_the_tasks_kind_and_says_that_it_is_made_up(name: str) -> None:
    task = get(name)
    made_up = stand_in(task)
    if task.made_up:
        assert "made-up" in task.name
        assert "made-up" in task.title
        assert made_up is None
        return
    assert made_up is not None
    assert (made_up.kind, made_up.pair, made_up.num_labels) == (task.kind, task.pair, task.num_labels)
    # Words that mean the same stand at the same place; of two classes they mean another thing in each task.
    assert made_up.labels == task.labels or task.num_labels == 2


def test_stand_ins_are_what_people_expect() -> None:
    assert stand_in(get("cola")) is get("cola-made-up")
    assert stand_in(get("mnli")) is get("nli-made-up")
    assert stand_in(get("sst2")) is get("opinion-made-up")


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, distill.tasks, distill.tasks.glue, distill.tasks.metrics;"
        "heavy = ('torch', 'ray', 'transformers', 'sklearn', 'scipy', 'pandas');"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _examples(n: int) -> Examples:
    return Examples(tuple(f"s{i}" for i in range(n)), tuple(f"t{i}" for i in range(n)), np.arange(n) % 2)


def test_head_takes_whole_rows_of_a_seeded_shuffle() -> None:
    all_rows = _examples(100)
    head = all_rows.head(10, seed=3)
    assert len(head) == 10 == len(set(head.first))
    rows = [int(text[1:]) for text in head.first]
    assert rows != list(range(10))
    assert head.second == tuple(f"t{i}" for i in rows)
    assert head.labels.tolist() == [i % 2 for i in rows]
    assert head.labels.dtype == np.int64


def test_head_depends_on_the_seed_alone_and_heads_are_nested() -> None:
    all_rows = _examples(100)
    assert all_rows.head(10, 3).first == all_rows.head(10, 3).first == all_rows.head(50, 3).first[:10]
    assert all_rows.head(10, 3).first != all_rows.head(10, 4).first
    assert all_rows.head(100, 3) is all_rows
    assert all_rows.head(1000, 3) is all_rows
    with pytest.raises(ValueError, match="at least 1"):
        all_rows.head(0, 3)


def test_head_is_the_same_on_every_machine() -> None:
    # Pinned: a limited training set is part of what a recorded number means.
    assert _examples(100).head(6, seed=0).first == ("s71", "s89", "s62", "s32", "s90", "s72")


def test_examples_refuse_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="length"):
        Examples(("a", "b"), None, np.zeros(3, dtype=np.int64))
    with pytest.raises(ValueError, match="length"):
        Examples(("a", "b"), ("c",), np.zeros(2, dtype=np.int64))
    with pytest.raises(ValueError, match="int64 or float32"):
        Examples(("a", "b"), None, np.zeros(2, dtype=np.int32))
    with pytest.raises(FrozenInstanceError):
        _examples(2).first = ()  # type: ignore[misc]


def _data(**changes: object) -> TaskData:
    data = TaskData(get("rte"), _examples(6), _examples(4), "here")
    return replace(data, **changes)  # type: ignore[arg-type]


def test_the_fingerprint_is_of_the_content_alone() -> None:
    assert _data().fingerprint() == _data(source="elsewhere", notes=("x",)).fingerprint()
    assert len(_data().fingerprint()) == 64


@pytest.mark.parametrize(
    "changed",
    [
        lambda e: Examples(e.first[::-1], e.second, e.labels),
        lambda e: Examples(e.first, e.second[::-1], e.labels),
        lambda e: Examples(e.first, None, e.labels),
        lambda e: Examples(e.first, e.second, e.labels[::-1]),
        lambda e: Examples(e.first, e.second, e.labels.astype(np.float32)),
        lambda e: Examples(e.first[:-1], e.second[:-1], e.labels[:-1]),
        lambda e: Examples((e.first[0] + "s", e.first[1][1:], *e.first[2:]), e.second, e.labels),
    ],
)
@pytest.mark.parametrize("split", ["train", "dev"])
def test_any_change_of_the_content_changes_the_fingerprint(changed, split) -> None:  # type: ignore[no-untyped-def]
    data = _data()
    other = replace(data, **{split: changed(getattr(data, split))})
    assert other.fingerprint() != data.fingerprint()


def test_the_order_of_label_words_is_part_of_the_fingerprint() -> None:
    task = get("rte")
    assert _data(task=replace(task, labels=task.labels[::-1])).fingerprint() != _data().fingerprint()


def test_limiting_the_training_rows() -> None:
    data = _data()
    assert len(data.limit_train(4, 0).train) == 4
    assert data.limit_train(4, 0).dev is data.dev
    assert data.limit_train(4, 0).fingerprint() != data.fingerprint() == data.limit_train(6, 0).fingerprint()
    with pytest.raises(UserError, match="--max-train-rows must be at least 2, not 1"):
        data.limit_train(1, 0)
    one_sided = _data(train=Examples(("a",) * 50, ("b",) * 50, (np.arange(50) == 0).astype(np.int64)))
    with pytest.raises(UserError, match="--max-train-rows 2 with seed 0 leaves rte with a single label"):
        one_sided.limit_train(2, 0)


@pytest.mark.parametrize("asked", ["squad2", "SQuAD-2"])
def test_a_task_that_only_grids_know_is_not_taken_for_a_misspelt_one(
    asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(registry._TASKS, "squad2")
    with pytest.raises(
        UserError, match=f"^--task: {asked} is no task here yet, though rows of lwd and ted are published"
    ):
        get(asked)


def test_the_message_says_where_it_was_named() -> None:
    with pytest.raises(UserError, match=r"^data: unknown task 'sps'"):
        find_data("sps", None, None, 0)
