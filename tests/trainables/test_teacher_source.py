"""Where trials get the teacher's answers from: decided once, by arithmetic over words, and said. No torch, no Ray."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.methods.base import Shape
from distill.tasks import registry
from distill.tasks.base import Examples
from distill.teacher import parts
from trainables import plan, teacher_source
from trainables.config import from_namespace
from trainables.describe import describe
from trainables.options import parser
from trainables.resources import Machine

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def make(tiny_encoder: Path, tiny_data: Path) -> Make:
    """Headers of sweeps of four points, planned on the tiny models."""

    def planned(*arguments: str, method: str = "emd") -> dict[str, Any]:
        models = ["--teacher", str(tiny_encoder), "--data-dir", str(tiny_data), "--layers", "2"]
        typed = [*models, "--method", method, "--trials", "4", *arguments]
        return plan.make(from_namespace(vars(parser().parse_args(typed)), typed), Machine(2, 0, False))

    return planned


def said(header: dict[str, Any]) -> str:
    return next(line for line in describe(header) if line.startswith("Teacher source: "))


def test_what_fits_is_cached(make: Make) -> None:
    header = make()
    source = header["plan"]["teacher_source"]
    assert (source["kind"], source["needs"]) == ("cached", ["hidden", "logits", "scores"])
    assert source["limit"] == 8 * 10**9
    # 160 rows of 4 words: 6 word pieces and two special tokens each; 4 layers × 32 with 4 heads, two bytes a number.
    assert source["bytes"] == 160 * 2 * (8 * 5 * 32 + 8 * 8 * 4 * 4)
    assert source["disk"] == source["bytes"] + 160 * 4 * (2 + 5 * 32)
    assert (
        said(header) == "Teacher source: cached, about 737.3 kB of 8.0 GB (hidden states, attention scores, float16)."
    )
    assert json.loads(json.dumps(source)) == source


def test_the_limit_is_inclusive(make: Make) -> None:
    size = make()["plan"]["teacher_source"]["bytes"]
    assert make("--cache-gb", repr(size / 1e9))["plan"]["teacher_source"]["kind"] == "cached"
    header = make("--cache-gb", repr((size - 1) / 1e9))
    source = header["plan"]["teacher_source"]
    assert (source["kind"], source["bytes"], source["disk"]) == ("online", size, 0)
    assert said(header) == (
        "Teacher source: online, one teacher in each process, because hidden states and attention scores would take "
        "about 737.3 kB, and --cache-gb allows 737.3 kB."
    )


def test_logits_are_cached_whatever_the_limit(make: Make) -> None:
    for header in (make("--cache-gb", "0", method="kd"), make("--cache-gb", "0", "--set", "beta=0")):
        source = header["plan"]["teacher_source"]
        assert (source["kind"], source["needs"], source["bytes"]) == ("cached", ["logits"], 0)
        assert source["disk"] == 160 * 4 * (2 + 5 * 32)
        assert said(header) == "Teacher source: cached, about 103.7 kB (logits and [CLS])."
    assert make("--cache-gb", "0")["plan"]["teacher_source"]["kind"] == "online"


def test_only_what_is_needed_counts(make: Make) -> None:
    needs = make("--set", "attention=false")["plan"]["teacher_source"]
    assert (needs["needs"], needs["bytes"]) == (["hidden", "logits"], 160 * 2 * 8 * 5 * 32)
    scores = make("--set", "hidden=false", "--set", "embedding=false")["plan"]["teacher_source"]
    assert (scores["needs"], scores["bytes"]) == (["logits", "scores"], 160 * 2 * 8 * 8 * 4 * 4)
    assert make("--set", "attention=false,true")["plan"]["teacher_source"]["needs"] == ["hidden", "logits", "scores"]


def test_padding_that_a_recipe_reads_is_not_on_disk(make: Make, tiny_encoder: Path) -> None:
    published = ("--recipe", "published", "--student", str(tiny_encoder), "--layers", "4")
    header = make(*published)
    assert header["plan"]["teacher_source"]["kind"] == "online"
    assert "because the published recipe reads hidden states and attention scores at padded places" in said(header)
    # Without those terms the padding plays no part.
    assert make(*published, "--set", "beta=0")["plan"]["teacher_source"]["kind"] == "cached"


def test_it_is_part_of_the_hash_of_points_that_have_a_teacher(make: Make) -> None:
    def hashes(*arguments: str) -> dict[str, str]:
        return {point["id"]: point["hash"] for point in make(*arguments)["plan"]["points"]}

    cached, online = hashes(), hashes("--cache-gb", "0")
    assert cached == hashes("--cache-gb", "3")
    assert {name for name in cached if cached[name] == online[name]} == {"ft"}


def test_points_that_come_later(make: Make) -> None:
    header = make("--set", "attention=false")["plan"]
    point = header["points"][0]
    assert teacher_source.source_of(header, point) == "cached"
    assert teacher_source.source_of(header, {**point, "params": {**point["params"], "attention": True}}) == "online"
    assert teacher_source.source_of(header, {**point, "params": {**point["params"], "batch_size": 8}}) == "cached"
    assert teacher_source.source_of(header, header["points"][1]) is None
    assert teacher_source.kept_outputs(header) == [parts.Kept(("logits", "cls", "hidden"))]
    online = make("--cache-gb", "0")["plan"]
    assert teacher_source.source_of(online, online["points"][0]) == "online"
    assert teacher_source.kept_outputs(online) == []


@pytest.mark.parametrize("search", ["random", "tpe"])
def test_what_a_search_may_suggest_counts(make: Make, search: str) -> None:
    drawn = make("--search", search, "--set", "attention=true,false")["plan"]["teacher_source"]
    assert drawn["needs"] == ["hidden", "logits", "scores"]
    fixed = make("--search", search, "--set", "attention=false")["plan"]["teacher_source"]
    assert fixed["needs"] == ["hidden", "logits"]


def test_disk_and_time_know_it(make: Make) -> None:
    cached, online = make()["plan"], make("--cache-gb", "0")["plan"]
    more = cached["estimate"]["artifact_bytes"] - online["estimate"]["artifact_bytes"]
    assert more == cached["teacher_source"]["disk"]
    assert cached["estimate"]["seconds"] < online["estimate"]["seconds"]


def test_lengths_are_counted_in_words_and_cut() -> None:
    labels = np.zeros(2, dtype=np.int64)
    one = Examples(("a b c", "a"), None, labels)
    assert teacher_source.estimated_lengths(one, 128).tolist() == [6, 4]
    assert teacher_source.estimated_lengths(one, 5).tolist() == [5, 4]
    pair = Examples(("a b c", "a"), ("d e", ""), labels)
    assert teacher_source.estimated_lengths(pair, 128).tolist() == [10, 5]


def test_sizes_do_not_overflow() -> None:
    """MNLI with a large encoder: numbers beyond 32 bits."""
    lengths = np.full(400_000, 128, dtype=np.int32)
    found = parts.size(("scores",), Shape(24, 1024, 16), registry.get("mnli").num_labels, lengths)
    assert found == 2 * 400_000 * 128 * 128 * 24 * 16
