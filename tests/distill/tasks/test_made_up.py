from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections import Counter

import pytest

from distill.tasks import made_up
from distill.tasks import made_up_lexicon as lexicon
from distill.tasks.made_up_words import Words, group, parts, tidy, wrong_forms

# Changing a sentence is fine, but it is another data set then: raise made_up.VERSION and renew this sum.
CHECKSUM = ("6", "af054f5514c6e493")


@pytest.fixture(scope="module")
def examples() -> tuple[list[made_up.Example], list[made_up.Example]]:
    return made_up.generate_examples(0)


def checksum(data: tuple[list[tuple[str, int]], list[tuple[str, int]]]) -> str:
    return hashlib.sha256(repr(data).encode()).hexdigest()[:16]


def share_of_majority(rows: list[made_up.Example]) -> float:
    return max(Counter(row.label for row in rows).values()) / len(rows)


def test_the_data_of_seed_0_are_those_of_this_version() -> None:
    assert (made_up.VERSION, checksum(made_up.generate(0))) == CHECKSUM


def test_another_process_with_another_hash_seed_makes_the_same_data() -> None:
    code = "from distill.tasks import made_up; print(repr(made_up.generate(3, 90, 50)))"
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
    assert outputs == {repr(made_up.generate(3, 90, 50)) + "\n"}


def test_seeds_differ_and_negative_ones_are_their_own() -> None:
    data = [made_up.generate(seed, 100, 100) for seed in (0, 1, -1)]
    sentences = [{sentence for rows in both for sentence, _ in rows} for both in data]
    # Short sentences of common constructions may meet by chance.
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert len(sentences[first] & sentences[second]) < 0.05 * len(sentences[first])


@pytest.mark.parametrize(("train_rows", "dev_rows"), [(0, 0), (1, 1), (7, 0), (0, 5), (333, 111)])
def test_row_counts_are_honoured(train_rows: int, dev_rows: int) -> None:
    train, dev = made_up.generate(5, train_rows, dev_rows)
    assert (len(train), len(dev)) == (train_rows, dev_rows)


def test_negative_row_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="must not be negative, got -1 and 2"):
        made_up.generate(0, -1, 2)


def test_dev_does_not_depend_on_the_number_of_train_rows() -> None:
    assert made_up.generate(0, 10, 60)[1] == made_up.generate(0, 200, 60)[1]


def test_generate_gives_the_rows_of_the_examples(
    examples: tuple[list[made_up.Example], list[made_up.Example]],
) -> None:
    assert made_up.generate(0) == tuple([(row.sentence, row.label) for row in rows] for rows in examples)
    assert [len(rows) for rows in examples] == [made_up.TRAIN_ROWS, made_up.DEV_ROWS]


@pytest.mark.parametrize("seed", [0, 1, 2, 12])
def test_classes_are_balanced(seed: int) -> None:
    for rows in made_up.generate_examples(seed):
        assert 0.5 <= share_of_majority(rows) <= 0.6


def test_no_sentence_occurs_twice_whatever_its_case_and_punctuation(
    examples: tuple[list[made_up.Example], list[made_up.Example]],
) -> None:
    counts = Counter(made_up.key(row.sentence) for rows in examples for row in rows)
    assert max(counts.values()) == 1
    assert made_up.key("Has he left?") == made_up.key("has he LEFT.") != made_up.key("He has left.")


def test_no_family_reaches_into_both_splits(
    examples: tuple[list[made_up.Example], list[made_up.Example]], monkeypatch: pytest.MonkeyPatch
) -> None:
    families: list[set[str]] = []

    def recorded(words: Words) -> object:
        good, bad = made_up_construction(words)
        families.append({made_up.key(tidy(text)) for text in (good, *bad.values())})
        return good, bad

    turns = made_up._TURNS
    calls = iter(range(10**9))

    def made_up_construction(words: Words) -> tuple[str, dict[str, str]]:
        return turns[next(calls) % len(turns)](words)

    recorded.__name__ = "recorded"
    monkeypatch.setattr(made_up, "_TURNS", (recorded,))
    train, dev = made_up.generate_examples(4, 300, 200)
    in_train, in_dev = ({made_up.key(row.sentence) for row in rows} for rows in (train, dev))
    assert not [family for family in families if family & in_train and family & in_dev]
    # In dev a sentence never stands beside its partner, so that none can be judged by comparison.
    assert all(len(family & in_dev) <= 1 for family in families)
    assert any(len(family & in_train) == 2 for family in families)


def test_every_construction_occurs_with_both_labels(
    examples: tuple[list[made_up.Example], list[made_up.Example]],
) -> None:
    train, dev = examples
    constructions = {made.__name__ for made in made_up.CONSTRUCTIONS}
    assert len(constructions) == len(made_up.CONSTRUCTIONS)
    assert {(row.construction, row.label) for row in train} == {
        (name, label) for name in constructions for label in (0, 1)
    }
    assert {row.construction for row in dev} == constructions


def test_every_edit_occurs_and_only_in_unacceptable_rows(
    examples: tuple[list[made_up.Example], list[made_up.Example]],
) -> None:
    in_train, in_dev = ({row.edit for row in rows if row.label == 0} for rows in examples)
    assert in_train == set(made_up.EDITS)
    # A rare construction has about five rows in dev, so one of its edits may be missing there by chance.
    assert in_dev <= in_train
    assert len(in_dev) >= len(in_train) - 2
    for rows in examples:
        assert {row.edit for row in rows if row.label == 1} == {""}


def test_sentences_are_well_formed() -> None:
    for seed in range(4):
        for rows in made_up.generate_examples(seed):
            for row in rows:
                assert re.fullmatch(r"[A-Z][A-Za-z',]*( [A-Za-z',]+)*[.?]", row.sentence), row
                assert not re.search(r" ,|,,|,[^ ]|\b[Aa] [aeiou]|\b[Aa]n [^aeiou]", row.sentence), row
                assert not re.search(r"\b([a-z]+) \1\b", row.sentence), row
    mean = sum(len(row.sentence.split()) for row in rows) / len(rows)
    assert 5 < mean < 12


def test_no_edit_is_ever_generated_as_acceptable_and_the_other_way_round() -> None:
    acceptable: set[str] = set()
    edits: set[str] = set()
    for seed in range(3):
        for held_out in (0.0, 0.5):
            words = Words(made_up.Random(f"collision {seed} {held_out}"), held_out)
            for made in made_up.CONSTRUCTIONS * 150:
                words.begin()
                good, bad = made(words)
                acceptable.add(made_up.key(tidy(good)))
                edits.update(made_up.key(tidy(text)) for text in bad.values())
                assert set(bad) <= set(made_up.EDITS)
    assert len(acceptable) > 10_000
    assert not acceptable & edits


def test_held_out_words_occur_in_dev_only(
    examples: tuple[list[made_up.Example], list[made_up.Example]],
) -> None:
    tables = [value for value in vars(lexicon).values() if isinstance(value, lexicon.Table)]
    shared: set[str] = set()
    held_out: set[str] = set()
    for table in tables:
        for words, into in ((table.shared, shared), (table.held_out, held_out)):
            for word in words:
                if isinstance(word, lexicon.Noun):
                    into |= {word.singular, word.plural}
                elif isinstance(word, lexicon.Verb):
                    into |= {word.base, word.third, word.past, word.participle, word.ing}
    only_dev = held_out - shared
    train, dev = ({word for row in rows for word in made_up.key(row.sentence).split()} for rows in examples)
    assert not train & only_dev
    assert len(dev & only_dev) > 50


@pytest.mark.parametrize(
    ("note", "forms"),
    [
        ("admire!", ("admire", "admires", "admired", "admired", "admiring")),
        ("hug+", ("hug", "hugs", "hugged", "hugged", "hugging")),
        ("deny", ("deny", "denies", "denied", "denied", "denying")),
        ("give/gave/given", ("give", "gives", "gave", "given", "giving")),
        ("put/put/put+", ("put", "puts", "put", "put", "putting")),
        ("vanish", ("vanish", "vanishes", "vanished", "vanished", "vanishing")),
    ],
)
def test_inflection_of_verbs(note: str, forms: tuple[str, ...]) -> None:
    verb = lexicon.verb(note)
    assert (verb.base, verb.third, verb.past, verb.participle, verb.ing) == forms
    assert verb.stative == ("!" in note)


def test_verb_groups_agree_and_wrong_forms_are_never_right() -> None:
    take, put = lexicon.verb("take/took/taken"), lexicon.verb("put/put/put+")
    assert [group(take, style, False) for style in ("present", "perfect", "did_not", "was")] == [
        "takes",
        "has taken",
        "did not take",
        "was taking",
    ]
    assert group(take, "not", True) == "do not take"
    assert parts(take, "past", True) == ("did", "take")
    assert "took" in wrong_forms(take, "perfect")
    assert "put" not in wrong_forms(put, "perfect") + wrong_forms(put, "modal") + wrong_forms(put, "progressive")
