"""What a report says of seeds, stops by hand, failures, recipes and origins, in all of its forms."""

from __future__ import annotations

import csv
import html
import json
import statistics as stdlib
from pathlib import Path
from typing import Any

import pytest

from analysis import report, seeds, summary, tables, verify
from tests.analysis.conftest import Build
from trainables.record import Record, read


def forms(folder: Path) -> tuple[str, str, list[dict[str, str]]]:
    """HTML as a reader sees its words, Markdown, and the rows of the CSV."""
    report.write(folder)
    page = html.unescape((folder / "report.html").read_text(encoding="utf-8").split("<main>")[1])
    with (folder / "trials.csv").open() as file:
        return page, (folder / "report.md").read_text(encoding="utf-8"), list(csv.DictReader(file))


@pytest.fixture
def seeded(sweep: Build) -> Path:
    return sweep(scheduler="none", seeds={"p03": 3, "ft": 2, "p02": 2})


def test_seeds_stand_in_the_tables_where_they_differ(seeded: Path, sweep: Build) -> None:
    page, markdown, rows = forms(seeded)
    assert '<th class="n">seed</th>' in page
    assert "| lr | seed |" in markdown
    assert {row["id"]: row["seed"] for row in rows}["p03-s2"] == "2"
    page, markdown, rows = forms(sweep())
    assert '<th class="n">seed</th>' not in page
    assert "seed |" not in markdown
    assert {row["seed"] for row in rows} == {"0"}
    assert "Several seeds" not in page + markdown


def test_mean_and_deviation_over_seeds(seeded: Path) -> None:
    record = read(seeded)
    page, markdown, _ = forms(seeded)
    for name, members in (("p03", ["p03", "p03-s1", "p03-s2"]), ("ft (undistilled)", ["ft", "ft-s1"])):
        scores = [record.trials[member].score or 0.0 for member in members]
        spread = f"{stdlib.mean(scores):.3f} ± {stdlib.stdev(scores):.3f}"
        each = ", ".join(f"{score:.3f}" for score in scores)
        assert f"| {name} | {spread} | {len(members)} of {len(members)} | {each} |" in markdown
        assert spread in page
    # p02 failed with one seed, so that no spread is known of it.
    assert "| p02 |" not in markdown.split("## Several seeds")[1].split("##")[0]
    assert any("the table of seeds shows that" in line for line in summary.summarise(record).caveats)


def test_a_seed_that_was_stopped_is_left_out_of_the_mean(sweep: Build) -> None:
    record = read(sweep(scheduler="none", seeds={"p03": 3}, hand=("p03-s1",)))
    (group,) = seeds.repeated(record)
    assert [trial.id for trial in group.trials] == ["p03", "p03-s1", "p03-s2"]
    assert group.scores == [record.trials["p03"].score, record.trials["p03-s2"].score]


def test_the_interval_between_seeds_is_welchs(seeded: Path) -> None:
    from scipy import stats

    record = read(seeded)
    a, b = (seeds.group_of(record, record.trials[name]) for name in ("p03", "ft"))
    found = seeds.between(a, b)
    wanted = stats.ttest_ind(a.scores, b.scores, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))
    assert found.value == pytest.approx(a.mean - b.mean)


def test_equal_seeds_bound_nothing(seeded: Path) -> None:
    record = read(seeded)
    a, b = (seeds.Group(seeds.group_of(record, record.trials[n]).trials, [0.5, 0.5]) for n in ("p03", "ft"))
    assert seeds.between(a, b).low == -float("inf")


def test_points_that_differ_in_recipe_are_no_seeds_of_one(sweep: Build) -> None:
    record = read(sweep(seeds={"p03": 2}))
    assert len(seeds.group_of(record, record.trials["p03"]).trials) == 2
    record.trials["p03-s1"].point["recipe"] = "published"
    assert len(seeds.group_of(record, record.trials["p03"]).trials) == 1


def test_points_of_an_extension_are_points_like_all(sweep: Build) -> None:
    changes: dict[str, Any] = {"scheduler": "none", "seeds": {"p03": 3}, "journal": True}
    planned = forms(sweep(**changes))
    extended = sweep(**changes, extended=True)
    assert not any(check.faults for check in verify.verify(extended))
    assert "p03-s2" not in (extended / "sweep.json").read_text()
    assert forms(extended)[2] == planned[2]


def test_a_stop_by_hand_is_told(sweep: Build) -> None:
    folder = sweep(scheduler="none", hand=("p03", "p05"), fail=())
    page, markdown, rows = forms(folder)
    for text in (page, markdown):
        assert "Complete: all 9 trials are finished (7 complete, 2 stopped by hand)." in text
    assert markdown.count("| stopped by hand |") == 2
    assert "■ stopped by hand" in page
    assert {row["id"] for row in rows if row["cause"] == "stopped by hand"} == {"p03", "p05"}
    assert [check.faults for check in verify.verify(folder) if check.faults] == []


def test_a_best_trial_that_was_stopped_by_hand_says_so(sweep: Build) -> None:
    folder = sweep(scheduler="none", points=1, hand=("p00",))
    assert "(p00, stopped by hand, epoch 2)" in forms(folder)[1]


def test_failures_by_cause(sweep: Build) -> None:
    memory = "RuntimeError: CUDA out of memory. Tried to allocate {} GiB"
    causes = {"p01": memory.format("2.50"), "p04": memory.format("1.75"), "p06": "ValueError: a | b"}
    folder = sweep(scheduler="none", fail=(), causes=causes)
    page, markdown, _ = forms(folder)
    assert f"| {memory.format('2.50')} | 2 | p01, p04 | trials/p01/failure.txt, trials/p04/failure.txt |" in markdown
    assert "| ValueError: a \\| b | 1 | p06 | trials/p06/failure.txt |" in markdown
    assert markdown.index("CUDA") < markdown.index("ValueError")
    assert page.count("<summary>trials/p0") == 2
    assert "Traceback (most recent call last)" in page
    (folder / "trials" / "p06" / "failure.txt").unlink()
    page, markdown, _ = forms(folder)
    assert "| ValueError: a \\| b | 1 | p06 | none was kept |" in markdown
    assert page.count("<summary>trials/p0") == 1


def test_many_failures_of_one_cause_are_one_row(sweep: Build) -> None:
    page, markdown, _ = forms(sweep(fail_all=True))
    assert "and 6 more" in page
    assert "trials/p01/failure.txt and 6 more |" in markdown


def test_the_recipe_stands_on_top(sweep: Build) -> None:
    page, markdown, rows = forms(sweep(recipe="published", embedded=False))
    for text in (page, markdown):
        assert text.index("Published recipe") < text.index("Best of")
        assert "Trained with the modern recipe's optimizer, not the published one's: ft." in text
    assert {row["id"]: row["recipe"] for row in rows} == {
        row["id"]: "modern" if row["id"] == "ft" else "published" for row in rows
    }
    page, markdown, _ = forms(sweep())
    for text in (page, markdown):
        assert text.index("Modern recipe") < text.index("Best of")
        assert "recipe's optimizer, not" not in text


def test_numbers_of_its_own_stand_beside_the_recipe(sweep: Build) -> None:
    record = read(sweep(recipe="published"))
    record.trials["ft"].point["training"] = {"warmup": 0.1, "clip": 1.0}
    assert summary.summarise(record).recipes.endswith("ft (warmup 0.1 · clip 1).")


def test_a_hub_model_is_named_with_its_revision(sweep: Build) -> None:
    page, markdown, _ = forms(sweep(hub=True))
    for text in (page, markdown):
        assert "hub id google-bert/bert-base-uncased · revision 86b5e0934494 · origin hub" in text
        assert "86b5e0934494b" not in text


def test_the_teachers_own_score_stands_beside_the_one_that_counts(sweep: Build) -> None:
    folder = sweep(own_score=0.625)
    score = json.loads((folder / "prepared.json").read_text())["teacher"]["score"]
    page, markdown, _ = forms(folder)
    for text in (page, markdown):
        assert "teacher as it teaches here (0.625 as it was fine-tuned)" in text
        assert f"{score:.3f} as it teaches here · 0.625 as it was fine-tuned" in text
    page, markdown, _ = forms(sweep(own_score=score))
    assert "as it was fine-tuned" not in page + markdown


def test_training_values_of_the_points(sweep: Build) -> None:
    folder = sweep(settings=True)
    record = read(folder)
    assert tables.varying(record) == ["alpha", "beta", "T", "lr", "batch_size"]
    assert tables.fixed(record) == {"theta": 1.0, "warmup": 0.1}
    facts = dict(summary.summarise(record).facts)
    # What points set for themselves is not told as if all shared it.
    assert facts["training"] == "max length 128 · weight decay 0.01 · clip 1"
    assert "batch_size" in forms(folder)[1]
    best = record.best_trial()
    assert best is not None
    assert f"batch_size: {best.params['batch_size']}\n" in (folder / "best.yaml").read_text()


def test_values_without_a_grade_are_not_called_inert(sweep: Build) -> None:
    record = read(sweep(settings=True, embedded=False))
    rows = {name: (here, grade) for name, here, _, grade in summary.summarise(record).beside}
    assert rows["batch_size"][1] == "–"
    assert rows["T_emd"] == ("–", "inert here")


def test_loss_terms_in_words(sweep: Build) -> None:
    folder = sweep()
    record = read(folder)
    best, base = record.best_trial(), record.trials["ft"]
    assert best is not None
    page, markdown, _ = forms(folder)

    def course(trial: Any, name: str) -> str:
        first, last = (trial.evaluations[number]["terms"][name] for number in (1, max(trial.evaluations)))
        return f"{first:.4g} → {last:.4g}"

    assert f"| hard | {course(best, 'hard')} | {course(base, 'hard')} |" in markdown
    assert f"| soft | {course(best, 'soft')} | – |" in markdown
    assert course(best, "soft") in page


def test_the_legend_names_what_is_drawn(sweep: Build) -> None:
    def legend(record: Record) -> str:
        return summary.summarise(record).legend

    assert "Dotted lines are the rungs, at epochs 1 and 2." in legend(read(sweep()))
    assert "▼ failed" in legend(read(sweep()))
    plain = legend(read(sweep(scheduler="none", fail=())))
    assert plain == "The green band is the teacher's 95 % interval."
