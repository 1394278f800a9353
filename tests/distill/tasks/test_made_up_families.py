"""What holds of all made-up data out of families, whatever the rows mean."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from distill.tasks import made_up, made_up_families, registry
from distill.tasks import made_up_lexicon as lexicon
from distill.tasks import made_up_meanings as meanings
from distill.tasks.base import Examples
from distill.tasks.glue import load_made_up
from distill.tasks.made_up_families import Row, key, turns
from distill.tasks.made_up_words import Words

# Changing a row is fine, but it is another data set then: raise the module's VERSION and renew its sum.
CHECKSUMS = {
    "pair": ("1", "888daf111c9b245b"),
    "nli": ("1", "6aab012736cc3363"),
    "sentiment": ("1", "c5a6fb469262c8af"),
    "opinion": ("1", "a82df6e9d5444c8d"),
    "similarity": ("1", "487b6f8e1cbdcf84"),
    "span": ("4", "537f1765346b5ff6"),
}
NAMES = tuple(CHECKSUMS)
Made = tuple[list[Row], list[Row]]


def module(name: str) -> Any:
    return import_module(f"distill.tasks.made_up_{name}")


@cache
def made(name: str, seed: int = 0, train_rows: int = 600, dev_rows: int = 300) -> Made:
    rows: Made = module(name).generate_examples(seed, train_rows, dev_rows)
    return rows


def checksum(rows: Any) -> str:
    return hashlib.sha256(repr(rows).encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", NAMES)
def test_the_data_of_seed_0_are_those_of_this_version(name: str) -> None:
    assert (module(name).VERSION, checksum(made(name, 0, 300, 150))) == CHECKSUMS[name]


def test_another_process_with_another_hash_seed_makes_the_same_data() -> None:
    code = (
        "from importlib import import_module\n"
        f"for name in {NAMES!r}:\n"
        "    print(repr(import_module(f'distill.tasks.made_up_{name}').generate_examples(3, 60, 30)))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert outputs == {"".join(repr(made(name, 3, 60, 30)) + "\n" for name in NAMES)}


@pytest.mark.parametrize("name", NAMES)
def test_seeds_differ(name: str) -> None:
    rows = [{key(row) for split in made(name, seed, 60, 60) for row in split} for seed in (0, 1, -1)]
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert len(rows[first] & rows[second]) < 0.1 * len(rows[first])


@pytest.mark.parametrize("name", NAMES)
def test_row_counts_are_honoured_and_dev_does_not_depend_on_train(name: str) -> None:
    for wanted in ((0, 0), (1, 1), (7, 40), (41, 40)):
        train, dev = made(name, 5, *wanted)
        assert (len(train), len(dev)) == wanted
    assert made(name, 5, 7, 40)[1] == made(name, 5, 41, 40)[1]
    with pytest.raises(ValueError, match="must not be negative, got -"):
        made(name, 5, -2, 2)


@pytest.mark.parametrize("name", NAMES)
def test_labels_are_balanced(name: str) -> None:
    for rows in made(name):
        shares = np.array(list(Counter(row.label for row in rows).values())) / len(rows)
        most = {"span": 0.72, "similarity": 0.25}.get(name, 1.25 / len(shares))
        assert shares.max() < most
        assert shares.min() > 0.5 / len(shares)


@pytest.mark.parametrize("name", NAMES)
def test_no_row_occurs_twice(name: str) -> None:
    counts = Counter(key(row) for rows in made(name) for row in rows)
    assert max(counts.values()) == 1


def counted(w: Words) -> list[Row]:
    """A family of two rows that may come again."""
    number = w.word(meanings.NUMBERS)
    return [Row(0, f"{number} lamps", "a"), Row(1, f"{number} lamps", "b")]


def doubled(w: Words) -> list[Row]:
    return [Row(0, "the same"), Row(1, "The same.")] if w.chance() else counted(w)


def test_families_are_whole_in_train_single_in_dev_and_in_one_of_them() -> None:
    train, dev = made_up_families.rows("test", 0, (counted,), 6, 4)
    words = {row.first.split()[0] for row in dev}
    assert len(words) == 4
    assert not words & {row.first.split()[0] for row in train}
    assert sorted(Counter(row.first for row in train).values()) == [2, 2, 2]
    assert {row.construction for row in train} == {"counted"}
    # Rows that only capitals and dots tell apart are one row.
    assert all(row.second for row in made_up_families.rows("test", 0, (doubled,), 6, 4)[0])


def test_more_rows_than_there_are_is_an_error() -> None:
    with pytest.raises(ValueError, match="counted makes no rows but those that are there already"):
        made_up_families.rows("test", 0, (counted,), 20, 0)


def test_constructions_have_their_turn_in_their_shares() -> None:
    order = turns({counted: 3, doubled: 1})
    assert [construction.__name__ for construction in order] == ["counted", "doubled", "counted", "counted"]


@pytest.mark.parametrize("name", NAMES)
def test_every_construction_occurs_with_every_label(name: str) -> None:
    train, dev = made(name)
    found = {row.construction for row in train}
    assert {row.construction for row in dev} == found
    pairs = {(row.construction, row.label) for row in train}
    if name == "similarity":
        assert {label for _, label in pairs} == set(range(6))
        return
    assert pairs == {(construction, row.label) for construction in found for row in train}


@pytest.mark.parametrize("name", NAMES)
def test_texts_are_well_formed(name: str) -> None:
    for row in (row for rows in made(name) for row in rows):
        for text in (row.first, row.second):
            if text is None:
                continue
            sentence = r"[A-Z][A-Za-z',]*( [A-Za-z',]+)*[.?]"
            assert re.fullmatch(rf"{sentence}( {sentence})*", text), row
            assert not re.search(r" ,|,,|,[^ ]|\b[Aa] [aeiou]|\b[Aa]n [^aeiou]|\b(\w+) \1\b", text), row


def _forms(words: Sequence[Any]) -> set[str]:
    """All words in entries of tables: nouns, verbs, pairs of them, plain text."""
    found: set[str] = set()
    for word in words:
        if isinstance(word, str):
            found |= set(word.lower().split())
        elif isinstance(word, lexicon.Noun):
            found |= {word.singular, word.plural}
        elif isinstance(word, lexicon.Verb):
            found |= {word.base, word.third, word.past, word.participle, word.ing}
        elif isinstance(word, lexicon.Adjective):
            found |= {word.plain, *word.comparative.split()}
        else:
            found |= _forms(tuple(word))
    return found


def test_words_held_out_occur_in_dev_alone() -> None:
    tables = [
        table for words in (lexicon, meanings) for table in vars(words).values() if isinstance(table, lexicon.Table)
    ]
    shared = set().union(*(_forms(table.shared) for table in tables))
    held_out = set().union(*(_forms(table.held_out) for table in tables)) - shared
    for name in NAMES:
        train, dev = (
            {word for row in rows for word in re.findall(r"[a-z']+", f"{row.first} {row.second}".lower())}
            for rows in made(name)
        )
        assert not train & held_out, name
        assert len(dev & held_out) > 8, name


def test_no_two_words_of_a_table_mean_the_same() -> None:
    """Where they would, what is said to differ would not."""
    twins = [_forms(pair) for pair in meanings.SAME_VERBS.shared + meanings.SAME_VERBS.held_out]
    deeds = meanings.DEEDS.shared + meanings.DEEDS.held_out
    for pair in twins:
        assert sum(bool(_forms([verb]) & pair) for verb in deeds) < 2, pair
    assert len({verb.base for verb in deeds}) == len(deeds)
    for table in (meanings.SAME_VERBS, meanings.SAME_PERSONS, meanings.SAME_THINGS, meanings.SAME_MANNERS):
        words = [word for pair in table.shared + table.held_out for word in pair]
        assert len(set(words)) == len(words)


@pytest.mark.parametrize("name", [name for name in registry.names() if registry.get(name).made_up])
def test_a_task_has_rows_of_its_form(name: str) -> None:
    task = registry.get(name)
    assert task.generator is not None
    source = import_module(task.generator)
    data = load_made_up(task, 2)
    assert data.source == f"made up by {task.generator} version {source.VERSION}, seed 2"
    assert 2000 <= len(data.train) <= 4200
    assert 700 <= len(data.dev) <= 900
    for split in (data.train, data.dev):
        assert isinstance(split, Examples)
        assert (split.second is not None) == task.pair
        assert split.labels.dtype == (np.float32 if task.kind == "regression" else np.int64)
    assert not set(zip(data.train.first, data.train.second or data.train.first, strict=True)) & set(
        zip(data.dev.first, data.dev.second or data.dev.first, strict=True)
    )


def test_the_acceptability_data_gives_its_rows_as_splits_too() -> None:
    found = tuple(list(zip(split.first, split.labels.tolist(), strict=True)) for split in made_up.splits(3, 90, 50))
    assert found == made_up.generate(3, 90, 50)
