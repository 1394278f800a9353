"""The commands that a report names."""

from __future__ import annotations

import json

import pytest

from analysis import family, report
from analysis.best import best_config
from analysis.state import again
from tests.analysis.conftest import Build
from tests.fake_family import build_family
from trainables.record import read


@pytest.mark.parametrize("out", [["--out", "my sweep"], ["--out=my sweep"], []])
def test_a_folder_that_is_taken_is_not_asked_for_again(out: list[str]) -> None:
    words = ["--layers", "4", *out, "--set", "lr=1e-4"]
    assert again(words) == "python -m trainables.sweep --layers 4 --set lr=1e-4"


@pytest.mark.parametrize("flag", ["--address", "--dashboard", "--storage"])
def test_where_a_sweep_ran_is_not_asked_for_again(sweep: Build, flag: str) -> None:
    assert again(["--layers", "4", flag, "10.0.0.7:6379", "--seed", "1"]).endswith("--layers 4 --seed 1")
    record = read(sweep())
    assert "seed" in (found := best_config(record) or {})
    record.header["config"][flag.removeprefix("--")] = "10.0.0.7:6379"
    assert best_config(record) == found


def test_both_pages_name_no_folder(sweep: Build) -> None:
    folder = sweep()
    parent = build_family(folder / "several", (2, 4), dev_rows=40, points=2)
    for file in (folder / "sweep.json", parent / "family.json"):
        content = json.loads(file.read_text())
        content["command"] += ["--out", "taken"]
        file.write_text(json.dumps(content))
    report.write(folder)
    family.write(parent)
    for page in (folder, parent):
        text = (page / report.MARKDOWN).read_text()
        assert "python -m trainables.sweep --" in text
        assert "--out" not in text
