"""Data sets of any name on a hub on the loopback, and known tasks outside of GLUE's repository."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from distill.errors import UserError
from distill.hub import HubUnreachable
from distill.tasks import hub as hub_rows
from distill.tasks import own, registry
from distill.tasks.own import Options
from tests.hub_data import Rows, add_glue, glue_repository
from tests.hub_server import Hub

WORDS = ["negative", "neutral", "positive"]


def serve(hub: Hub, name: str, splits: dict[str, list[int]], config: str = "default") -> str:
    """Serve texts and labels by split; the commit."""
    columns: dict[str, Rows] = {
        split: {"text": [f" {split} {i} " for i in range(len(labels))], "label": labels}
        for split, labels in splits.items()
    }
    hub.repositories[f"datasets/{name}"] = glue_repository({config: columns}, {config: WORDS})
    return str(hub.repositories[f"datasets/{name}"].commit)


def test_a_data_set_of_any_name(hub: Hub, offline: Callable[[], None]) -> None:
    commit = serve(hub, "org/mood", {"train": [2, 0, 1, 2], "validation": [0, 2], "test": [-1, -1]})
    data = own.read("org/mood")
    assert (data.task.name, data.task.labels, data.commit) == ("mood", tuple(WORDS), commit)
    assert data.train.first == ("train 0", "train 1", "train 2", "train 3")
    assert data.train.labels.tolist() == [2, 0, 1, 2]
    assert data.dev.first == ("validation 0", "validation 1")
    assert data.task.hub is not None
    assert (data.task.hub.repository, data.task.hub.config) == ("org/mood", "default")
    # As a resumed sweep reads it, without asking the hub.
    asked = len(hub.log)
    again = own.read("org/mood:default", revision=commit)
    assert (again.fingerprint(), len(hub.log)) == (data.fingerprint(), asked)
    offline()
    assert own.read("org/mood").fingerprint() == data.fingerprint()
    with pytest.raises(HubUnreachable, match="No such file, and --task-file needs org/none, which is not in"):
        own.read("org/none")


def test_splits_and_configurations_by_name(hub: Hub) -> None:
    serve(hub, "org/mood", {"train": [0, 1, 2], "test": [0, 1]}, "small")
    with pytest.raises(UserError, match=r"org/mood has no split called validation \(it has train, test\); name one"):
        own.read("org/mood:small")
    data = own.read("org/mood:small", options=Options(dev_split="test"))
    assert (data.task.name, len(data.dev)) == ("mood-small", 2)
    with pytest.raises(UserError, match=r"has no split dev \(it has train, test\)"):
        own.read("org/mood:small", options=Options(dev_split="dev"))
    with pytest.raises(UserError, match=r"no column 'stars' \(it has 'text', 'label'\); name one with --label-column"):
        own.read("org/mood:small", options=Options(dev_split="test", label="stars"))
    with pytest.raises(UserError, match="--task-file needs org/mood") as refused:
        own.read("org/mood:large")
    assert "\n" not in str(refused.value)


def test_rows_without_a_label_are_left_out_and_told(hub: Hub) -> None:
    serve(hub, "org/mood", {"train": [0, 1, -1, 2, -1], "validation": [0, -1, 1]})
    data = own.read("org/mood")
    assert (data.train.first, data.task.labels) == (("train 0", "train 1", "train 3"), tuple(WORDS))
    train, dev = data.notes[1:]
    assert re.fullmatch(r"org/mood, default, at \w+, train: 2 rows without a label \(-1\) left out", train)
    assert re.fullmatch(r"org/mood, default, at \w+, validation: 1 rows without a label \(-1\) left out", dev)


def test_a_dev_file_beside_a_data_set_without_a_split_for_it(hub: Hub, tmp_path: Path) -> None:
    commit = serve(hub, "org/mood", {"train": [0, 1, 2], "test": [0, 1]})
    dev = tmp_path / "dev.csv"
    dev.write_text("text,label\nnice,positive\npoor,negative\n")
    data = own.read("org/mood", dev)
    assert (data.dev.first, data.train.labels.tolist(), data.commit) == (("nice", "poor"), [0, 1, 2], commit)
    assert own.read("org/mood:default", dev, revision=commit).fingerprint() == data.fingerprint()
    with pytest.raises(UserError, match=r"--dev-split test and --dev-file .*dev\.csv both name the rows that choose"):
        own.read("org/mood", dev, Options(dev_split="test"))
    with pytest.raises(UserError, match="--dev-file org/mood: there is no such file, and data sets on the hub are nam"):
        own.read("org/mood", "org/mood")


def test_the_remedy_is_files_and_no_folder(hub: Hub, offline: Callable[[], None]) -> None:
    remedy = "name files with --task-file and --dev-file"
    with pytest.raises(UserError, match=f"--task-file needs org/none, which is not known to .*: {remedy}\\.$"):
        own.read("org/none")
    hub.broken = 403
    with pytest.raises(UserError, match=rf"answers with error 403; log in with `hf auth login`, or {remedy}\.$"):
        own.read("org/other")
    offline()
    with pytest.raises(HubUnreachable, match=rf"cannot be reached \(.*\): go online, or {remedy}\.$"):
        own.read("org/none")


def test_a_text_of_the_hub_that_is_far_too_long_is_refused(hub: Hub) -> None:
    columns: Rows = {"sentence": ["good", "x" * 200_001, "bad"], "label": [1, 0, 0]}
    add_glue(hub, {"sst2": {"train": columns, "validation": columns}}, {"sst2": ["negative", "positive"]})
    with pytest.raises(
        UserError, match=r", train, row 2: the text in column 'sentence' has 200,001 characters, and 200"
    ):
        hub_rows.load(registry.get("sst2"))


def test_tweets_and_snli_come_from_their_own_repositories(hub: Hub) -> None:
    serve(hub, "cardiffnlp/tweet_eval", {"train": [2, 0, 1], "validation": [0, 1]}, "sentiment")
    tweets = hub_rows.load(registry.get("tweet-sentiment"))
    assert (tweets.train.labels.tolist(), tweets.train.second) == ([2, 0, 1], None)
    columns: Rows = {"premise": ["a", "b", "c"], "hypothesis": ["d", "e", "f"], "label": [0, -1, 2]}
    names = ["entailment", "neutral", "contradiction"]
    hub.repositories["datasets/stanfordnlp/snli"] = glue_repository(
        {"plain_text": {"train": columns, "validation": columns}}, {"plain_text": names}
    )
    snli = hub_rows.load(registry.get("snli"))
    assert (snli.train.first, snli.train.second) == (("a", "c"), ("d", "f"))
    # contradiction, entailment, neutral
    assert snli.train.labels.tolist() == [1, 0]
    assert "1 rows without a label left out of train" in snli.notes[0]


def test_mnli_brings_its_mismatched_rows(hub: Hub) -> None:
    columns: Rows = {"premise": ["a", "b"], "hypothesis": ["c", "d"], "label": [0, 1]}
    other = {**columns, "premise": ["x", "y"]}
    splits = {"train": columns, "validation_matched": columns, "validation_mismatched": other}
    add_glue(hub, {"mnli": splits}, {"mnli": ["entailment", "neutral", "contradiction"]})
    data = hub_rows.load(registry.get("mnli"))
    assert [(name, rows.first) for name, rows in data.beside] == [("mismatched", ("x", "y"))]
