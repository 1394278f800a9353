"""Rows split off the training set, against a literal derivation."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest

from distill.errors import UserError
from distill.tasks import registry
from distill.tasks.base import Answer, Examples, TaskData
from distill.tasks.holdout import doubles, hold_out, parse

DEV = Examples(("d0", "d1"), None, np.array([0, 1]))


def cola(zeros: int, ones: int, seed: int = 0) -> TaskData:
    """Rows "r0", "r1", … with so many of each label, in a random order."""
    labels = np.random.default_rng(seed).permutation([0] * zeros + [1] * ones)
    train = Examples(tuple(f"r{i}" for i in range(len(labels))), None, labels)
    return TaskData(registry.get("cola"), train, DEV, "made by the test")


def stsb(rows: int) -> TaskData:
    first, second = (tuple(f"{side}{i}" for i in range(rows)) for side in "ab")
    train = Examples(first, second, np.linspace(0, 5, rows, dtype=np.float32))
    return TaskData(registry.get("stsb"), train, train.head(5, 0), "made by the test")


def rows(examples: Examples) -> list[tuple[str, float]]:
    return list(zip(examples.first, examples.labels.tolist(), strict=True))


@pytest.mark.parametrize(
    ("zeros", "ones", "share", "held"),
    [
        (30, 70, 0.1, {0: 3, 1: 7}),
        (30, 70, 0.5, {0: 15, 1: 35}),
        # 3.3 and 7.7 rows: to the nearest.
        (33, 77, 0.1, {0: 3, 1: 8}),
        # 2.5 rows: up.
        (25, 75, 0.1, {0: 3, 1: 8}),
        (2, 50, 0.3, {0: 1, 1: 15}),
    ],
)
def test_each_label_gives_its_share(zeros: int, ones: int, share: float, held: dict[int, int]) -> None:
    found = hold_out(cola(zeros, ones), share, seed=4)
    assert Counter(found.dev.labels.tolist()) == held
    assert Counter(found.train.labels.tolist()) == {0: zeros - held[0], 1: ones - held[1]}


def test_the_parts_are_disjoint_in_order_and_together_the_whole() -> None:
    data = cola(40, 60)
    found = hold_out(data, 0.2, seed=1)
    whole = rows(data.train)
    assert sorted(rows(found.train) + rows(found.dev)) == sorted(whole)
    assert not set(rows(found.train)) & set(rows(found.dev))
    for part in (found.train, found.dev):
        places = [whole.index(row) for row in rows(part)]
        assert places == sorted(places)
    assert found.report is DEV
    assert found.reported is DEV
    assert data.report is None
    assert data.reported is DEV


def test_literal_derivation() -> None:
    """Shuffle all rows by (seed, 1); of each label the first so many of the shuffle are held out."""
    data = cola(17, 23)
    shuffled = np.random.RandomState(np.random.MT19937(np.random.SeedSequence([9, 1]))).permutation(40).tolist()
    held = []
    for label, count in ((0, round(0.3 * 17)), (1, round(0.3 * 23))):
        held += [row for row in shuffled if data.train.labels[row] == label][:count]
    assert hold_out(data, 0.3, seed=9).dev.first == tuple(f"r{i}" for i in sorted(held))


def test_scores_are_drawn_plainly() -> None:
    found = hold_out(stsb(50), 0.1, seed=3)
    shuffled = np.random.RandomState(np.random.MT19937(np.random.SeedSequence([3, 1]))).permutation(50)
    places = sorted(shuffled[:5].tolist())
    assert found.dev.first == tuple(f"a{i}" for i in places)
    assert found.dev.second == tuple(f"b{i}" for i in places)
    assert len(found.train) == 45


def squad2(*sizes: int) -> TaskData:
    """Contexts "c0", "c1", … with so many questions each, in a random order."""
    contexts = np.random.default_rng(5).permutation([f"c{i}" for i, size in enumerate(sizes) for _ in range(size)])
    asked = tuple(f"q{i}" for i in range(len(contexts)))
    answers = tuple((Answer("c", 0),) if i % 3 else () for i in range(len(contexts)))
    labels = np.array([bool(each) for each in answers], dtype=np.int64)
    rows = Examples(asked, tuple(contexts.tolist()), labels, answers, asked)
    return TaskData(registry.get("squad2"), rows, rows, "made by the test")


@pytest.mark.parametrize("seed", range(5))
def test_of_questions_whole_contexts_are_held_out(seed: int) -> None:
    data = squad2(*[2, 5, 1, 4, 3] * 8)
    found = hold_out(data, 0.25, seed)
    held, kept = set(found.dev.second or ()), set(found.train.second or ())
    assert not held & kept
    assert len(held) > 5
    assert len(found.dev) == 30 == 120 - len(found.train)
    for part in (found.train, found.dev):
        assert part.ids is not None
        places = [int(name[1:]) for name in part.ids]
        assert places == sorted(places)
    again, other = hold_out(data, 0.25, seed), hold_out(data, 0.25, seed + 1)
    assert found.dev.first == again.dev.first != other.dev.first
    assert found.fingerprint() == again.fingerprint() != other.fingerprint()
    assert doubles(found) == 0


def test_literal_derivation_of_contexts() -> None:
    """Contexts are shuffled, and each is held out that does not lead beyond 9.4 rows."""
    sizes = (1, 9, 2, 2, 30, 3)
    data = squad2(*sizes)
    contexts = list(dict.fromkeys(data.train.second or ()))
    for seed in range(8):
        shuffled = np.random.RandomState(np.random.MT19937(np.random.SeedSequence([seed, 1]))).permutation(6).tolist()
        held, count = set(), 0
        for place in shuffled:
            if count + sizes[int(contexts[place][1:])] <= 9.4:
                held.add(contexts[place])
                count += sizes[int(contexts[place][1:])]
        found = hold_out(data, 0.2, seed)
        assert set(found.dev.second or ()) == held
        assert len(found.dev) == count >= 8


@pytest.mark.parametrize(("sizes", "share", "held"), [((4, 4, 4), 0.45, 4), ((4, 4, 4), 0.55, 8), ((5, 9), 0.2, 5)])
def test_one_context_more_where_that_is_nearer_to_the_share(sizes: tuple[int, ...], share: float, held: int) -> None:
    for seed in range(4):
        assert len(hold_out(squad2(*sizes), share, seed).dev) == held


@pytest.mark.parametrize(
    ("sizes", "share", "words"),
    [
        ((10,), 0.1, "squad2 has 10 training rows in 1 context, of which none would be held out"),
        ((10,), 0.9, "squad2 has 10 training rows in 1 context, of which none would be left to train on"),
        ((9, 9), 0.1, "squad2 has 18 training rows in 2 contexts, of which none would be held out"),
    ],
)
def test_neither_side_may_lack_contexts(sizes: tuple[int, ...], share: float, words: str) -> None:
    with pytest.raises(UserError, match=words):
        hold_out(squad2(*sizes), share, 0)


def test_the_seed_decides_and_nothing_else() -> None:
    data = cola(40, 60)
    first, again, other = (hold_out(data, 0.2, seed) for seed in (0, 0, 1))
    assert first.dev.first == again.dev.first
    assert first.dev.first != other.dev.first
    flipped = dataclasses.replace(data, dev=dataclasses.replace(DEV, labels=1 - DEV.labels))
    assert hold_out(flipped, 0.2, 0).dev.first == first.dev.first


def test_the_draw_of_the_rows_to_train_on_is_another_one() -> None:
    """Else the rows that a limit kept last would be the ones held out."""
    data = cola(40, 60).limit_train(80, seed=0)
    places = [data.train.first.index(text) for text in hold_out(data, 0.2, seed=0).dev.first]
    assert max(places) - min(places) > 40


def test_fingerprint() -> None:
    data = cola(40, 60)
    held = hold_out(data, 0.2, 0)
    flipped = dataclasses.replace(held, report=dataclasses.replace(DEV, labels=1 - DEV.labels))
    plain = dataclasses.replace(held, report=None)
    prints = [
        *(part.fingerprint() for part in (data, held, flipped, plain)),
        *(hold_out(data, share, seed).fingerprint() for share, seed in ((0.2, 1), (0.3, 0))),
    ]
    assert len(set(prints)) == len(prints)
    assert hold_out(data, 0.2, 0).fingerprint() == held.fingerprint()


def test_rows_that_stand_twice_are_counted() -> None:
    data = cola(50, 50)
    texts = tuple(f"r{i // 2}" for i in range(100))
    found = hold_out(dataclasses.replace(data, train=Examples(texts, None, data.train.labels)), 0.5, 0)
    assert doubles(found) == sum(text in found.train.first for text in found.dev.first) > 0
    assert doubles(hold_out(data, 0.5, 0)) == 0


@pytest.mark.parametrize(
    ("data", "share", "words"),
    [
        (cola(4, 96), 0.1, "train-holdout:0.1: label 0 has 4 training rows, of which none would be held out"),
        (cola(96, 4), 0.95, "label 1 has 4 training rows, of which none would be left to train on"),
        (cola(1, 99), 0.5, "label 0 has 1 training row, of which none would be left"),
        (stsb(10), 0.01, "stsb has 10 training rows, of which none would be held out"),
    ],
)
def test_neither_side_may_lack_a_label(data: TaskData, share: float, words: str) -> None:
    with pytest.raises(UserError, match=r"^--select-on ") as error:
        hold_out(data, share, 0)
    assert words in str(error.value)


def test_a_label_without_rows_is_not_missed() -> None:
    data = cola(50, 50)
    three = dataclasses.replace(data, task=registry.get("mnli"))
    assert len(hold_out(three, 0.1, 0).dev) == 10


def test_not_twice() -> None:
    with pytest.raises(ValueError, match="already"):
        hold_out(hold_out(cola(40, 60), 0.2, 0), 0.2, 0)


def test_forms() -> None:
    assert parse("dev") is None
    assert parse("train-holdout:0.1") == 0.1


@pytest.mark.parametrize(
    "text", ["", "test", "dev:0.1", "train-holdout", "train-holdout:", "train-holdout:x", "train-holdout:0"]
    + [f"train-holdout:{share}" for share in ("1", "-0.1", "1.5", "nan", "inf", "0,1", "10%")]
)  # fmt: skip
def test_bad_forms(text: str) -> None:
    with pytest.raises(UserError, match=r"^--select-on .* is neither dev nor train-holdout:SHARE"):
        parse(text)
