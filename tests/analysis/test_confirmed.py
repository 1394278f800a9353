"""What confirming runs show: posed so that every number can be worked out, and claimed only where it holds."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from analysis import confirmed_words, report
from analysis.best import best_config, best_yaml
from analysis.confirmed import Confirmed, confirmed, table
from analysis.facts import facts
from analysis.summary import summarise
from analysis.verify import verify
from tests.analysis.conftest import Build
from tests.analysis.posed import ROWS, Pose, right
from trainables.record import COMPLETE, FAIL, RUNNING, Record, read

# Rows answered right, of 1000: by seed 1 to 5.
BASE = (560, 570, 550, 565, 555)
BETTER = (590, 604, 578, 597, 586)  # 30, 34, 28, 32, 31 more
NOISY = (590, 560, 575, 540, 580)  # 30 more, 10 less, 25 more, 25 less, 25 more


class Again(Pose):
    """A record with a search that is over, and confirming runs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.record.header["plan"]["points"] = []
        for name in ("p00", "p01"):
            self.trial(name, right((0, 580)))
        self.baseline(right((0, 560)))
        self.teacher(0.7, 0.65, 0.75)

    def runs(self, of: str, counts: tuple[int | None, ...], shift: int = 0, **more: Any) -> None:
        """A run per seed that answers so many rows right, from `shift` on; None is a run that failed."""
        for seed, count in enumerate(counts, 1):
            origin = "baseline" if of == "ft" else "grid"
            state = FAIL if count is None else more.get("state", COMPLETE)
            answers = None if count is None else right((shift, shift + count))
            point: dict[str, Any] = {"phase": "confirm", "of": of, "seed": seed, "label": f"{of} · seed {seed}"}
            cause = "diverged" if count is None else None
            predictions = more.get("predictions", True)
            made = self.trial(
                f"{of}-c{seed}", answers, origin=origin, state=state, cause=cause, predictions=predictions, **point
            )
            self.record.confirming[made.id] = self.record.trials.pop(made.id)


@pytest.fixture
def again(tmp_path: Path) -> Again:
    return Again(tmp_path)


def shown(record: Record) -> Confirmed:
    found = confirmed(record)
    assert found is not None
    return found


def test_means_and_intervals_are_scipys(again: Again) -> None:
    again.runs("ft", BASE)
    again.runs("p00", NOISY)
    found = shown(again.record)
    group = found.group("p00")
    scores = [count / ROWS for count in NOISY]
    assert (group.mean, group.deviation) == pytest.approx((statistics.mean(scores), statistics.stdev(scores)))
    wanted = stats.t.interval(0.95, 4, statistics.mean(scores), stats.sem(scores))
    assert group.interval == pytest.approx(wanted)
    assert (found.seeds, found.planned, found.best) == ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5], "p00")
    assert group.searched == 0.58


def test_pairs_at_equal_seeds(again: Again) -> None:
    again.runs("ft", BASE)
    again.runs("p00", BETTER)
    contrast = shown(again.record).contrast("p00", "ft")
    assert contrast is not None
    differences = [0.03, 0.034, 0.028, 0.032, 0.031]
    assert list(contrast.differences.values()) == pytest.approx(differences)
    wanted = stats.ttest_rel([c / ROWS for c in BETTER], [c / ROWS for c in BASE])
    assert contrast.p == pytest.approx(wanted.pvalue)
    assert (contrast.low, contrast.high) == pytest.approx(wanted.confidence_interval(0.95))
    assert (contrast.flip, contrast.wilcoxon) == (2 / 32, None)
    assert contrast.rows is not None
    # Of the rows alone: 31 of 1000 differ, all in favour of the first.
    error = math.sqrt(31 - 31**2 / ROWS) / ROWS
    assert contrast.rows.low == pytest.approx(0.031 - 1.96 * error, abs=0.003)
    assert contrast.tone == "ahead"


def test_what_the_seeds_do_not_bear_out_is_not_claimed(again: Again) -> None:
    again.runs("ft", BASE)
    again.runs("p00", NOISY)
    contrast = shown(again.record).contrast("p00", "ft")
    assert contrast is not None
    assert contrast.low < 0 < contrast.high
    assert contrast.tone == "even"
    said = confirmed_words.verdict(again.record)
    assert said is not None
    assert said.tone == "even"
    assert "the interval over seeds includes 0, so these runs do not show that distilling helped" in str(said.against)


def test_what_other_dev_rows_may_turn_is_not_claimed(again: Again) -> None:
    """Every seed agrees on +.03, but on rows of its own: 470 won and 440 lost, an error of .030."""
    again.runs("ft", BASE)
    again.runs("p00", BETTER, shift=400)
    contrast = shown(again.record).contrast("p00", "ft")
    assert contrast is not None
    assert contrast.rows is not None
    assert contrast.low > 0 > contrast.rows.low
    assert contrast.tone == "even"
    assert "other dev rows may turn it round" in str(confirmed_words.verdict(again.record).against)  # type: ignore[union-attr]


def test_what_the_search_may_have_picked_on_these_rows_is_not_claimed(again: Again) -> None:
    """61 rows lost and some 92 won: 2.5 errors, enough among 2 searched points (2.24) and not among 22 (3.05).

    Fresh seeds do not help against that: all runs answer the rows that the point was picked by.
    """
    again.runs("ft", BASE)
    again.runs("p00", BETTER, shift=61)
    assert shown(again.record).contrast("p00", "ft").tone == "ahead"  # type: ignore[union-attr]
    again.crowd(20)
    contrast = shown(again.record).contrast("p00", "ft")
    assert contrast is not None
    assert contrast.rows is not None
    assert contrast.wide is not None
    assert contrast.low > 0
    assert contrast.rows.low > 0 > contrast.wide.low
    # The normal quantile at 1 - .025 / 22 in place of that at 1 - .025.
    assert contrast.rows.value - contrast.wide.low == pytest.approx(
        (contrast.rows.value - contrast.rows.low) * stats.norm.ppf(1 - 0.025 / 22) / stats.norm.ppf(0.975)
    )
    assert contrast.tone == "even"
    said = str(confirmed_words.verdict(again.record).against)  # type: ignore[union-attr]
    assert "when widened for the choice among 22 on these rows" in said
    assert "the choice of the point on these dev rows alone may explain it, so these runs do not show" in said


def test_what_follows_stands_last(again: Again) -> None:
    for of, counts in (("ft", BASE), ("p00", BETTER), ("p01", NOISY)):
        again.runs(of, counts)
    lines = confirmed_words.caveats(again.record)
    assert "students' intervals over seeds, the teacher's over dev rows" in lines[0]
    assert "Best of 2" in str(confirmed_words.verdict(again.record).best)  # type: ignore[union-attr]
    assert [line.endswith("What follows is about the search's own trials.") for line in lines] == [False, True]


def test_several_points_are_corrected(again: Again) -> None:
    """Alone at p = .04 it would be claimed; beside others it is not."""
    again.runs("ft", (500, 500, 500))
    counts = (510, 520, 531)
    alone = float(stats.ttest_rel(counts, (500, 500, 500)).pvalue)
    assert 2 * alone > 0.05
    again.runs("p00", (520, 521, 530), shift=0)
    one = shown(again.record).contrast("p00", "ft")
    assert one is not None
    assert one.holm == one.p
    assert one.tone == "ahead"
    again.runs("p01", counts)
    two = shown(again.record)
    pair = [two.contrast(id, "ft") for id in ("p00", "p01")]
    assert all(found is not None for found in pair)
    values = [found.p for found in pair if found is not None]
    assert [found.holm for found in pair if found is not None] == pytest.approx([2 * min(values), max(values)])


def test_behind(again: Again) -> None:
    again.runs("ft", BETTER)
    again.runs("p00", BASE)
    said = confirmed_words.verdict(again.record)
    assert said is not None
    assert said.tone == "behind"
    assert "distilled is behind, outside the noise of 5 seeds and 1000 dev rows." in str(said.against)


def test_ahead_of_one_and_not_of_the_other(again: Again) -> None:
    again.runs("ft", BASE)
    again.runs("kd", NOISY)
    again.runs("p00", BETTER)
    said = confirmed_words.verdict(again.record)
    assert said is not None
    assert said.best.startswith("Run again with 5 fresh seeds: p00 (p00) with mean accuracy 0.591 (95 % interval ")
    assert said.best.endswith("; the search had scored it 0.580.")
    assert not said.constant
    assert "over the same seeds: 0.560. Difference +0.031, 95 % interval +0.028 to +0.034" in str(said.against)
    assert "distilled is ahead, outside the noise of 5 seeds and 1000 dev rows." in str(said.against)
    assert str(said.kd).startswith("Knowledge distillation over the same seeds: 0.569.")
    assert "these runs do not show that BERT-EMD is better" in str(said.kd)
    assert said.teacher == "84 % of the teacher's 0.700."
    lines = confirmed_words.networks(again.record)
    assert [line.role for line in lines or []] == ["teacher", "baseline", "kd", "best"]


def test_with_a_weak_teacher_nothing_is_said_of_distilling(again: Again) -> None:
    again.runs("ft", BASE)
    again.runs("p00", BETTER)
    again.teacher(0.5, 0.4, 0.6, weak=True)
    said = confirmed_words.verdict(again.record)
    assert said is not None
    assert said.tone == "even"
    assert "with a weak teacher this says nothing about distilling" in str(said.against)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((490, 500, 480, 505, 490), "That is worse than giving every row the same answer (0.500)."),
        # Other seeds may turn it round: a mean of .510, give or take 2.78 times .0089.
        ((500, 520, 490, 540, 500), "It is not shown to be better than giving every row the same answer (0.500)."),
        # All seeds agree, but .520 of 1000 rows has an error of .016.
        ((520, 521, 519, 522, 518), "It is not shown to be better than giving every row the same answer (0.500)."),
        (BETTER, ""),
    ],
)
def test_a_mean_that_one_answer_may_reach_is_called_that(again: Again, counts: tuple[int, ...], words: str) -> None:
    again.runs("ft", BASE)
    again.runs("p00", counts)
    said = confirmed_words.verdict(again.record)
    assert said is not None
    assert said.best.endswith(f". {words}" if words else "had scored it 0.580.")
    assert ("same answer" in said.best, said.constant) == (bool(words), bool(words))


def test_without_predictions_nothing_is_claimed(again: Again) -> None:
    again.runs("ft", BASE)
    again.runs("p00", BETTER, predictions=False)
    contrast = shown(again.record).contrast("p00", "ft")
    assert contrast is not None
    assert (contrast.rows, contrast.tone) == (None, "even")
    assert "predictions are missing: nothing is shown" in str(confirmed_words.verdict(again.record).against)  # type: ignore[union-attr]


def test_equal_differences_say_nothing_of_their_spread(again: Again) -> None:
    again.runs("ft", (560, 570))
    again.runs("p00", (600, 610))
    said = confirmed_words.verdict(again.record)
    assert said is not None
    assert said.tone == "even"
    assert "the same with every seed" in str(said.against)


def test_a_run_that_failed_leaves_its_pair_out(again: Again) -> None:
    again.runs("ft", BASE)
    again.runs("p00", (590, None, 578, 597, 586))
    found = shown(again.record)
    contrast = found.contrast("p00", "ft")
    assert contrast is not None
    assert list(contrast.differences) == [1, 3, 4, 5]
    section = confirmed_words.section(again.record)
    assert section is not None
    assert "p00-c2 failed (diverged) and does not count." in section.notes
    said = confirmed_words.verdict(again.record)
    assert said is not None
    assert said.best.startswith("Run again with 5 fresh seeds, 1 of which gave no score: p00")


def test_only_whole_seeds_count(again: Again) -> None:
    again.runs("ft", BASE)
    again.runs("p00", (590, 604))
    again.runs("p01", (580, 581))
    again.record.confirming["p01-c2"].state = RUNNING
    # One seed is whole: the search alone can judge.
    assert shown(again.record).seeds == [1]
    assert confirmed_words.verdict(again.record) is None
    assert confirmed_words.networks(again.record) is None
    again.record.confirming["p01-c2"].state = COMPLETE
    found = shown(again.record)
    assert (found.seeds, found.best) == ([1, 2], "p00")
    assert list(found.group("ft").scores) == [1, 2]
    said = confirmed_words.verdict(again.record)
    assert said is not None
    assert said.best.startswith("Best of 2 points run again with 2 of 5 fresh seeds so far: ")


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0312, ".031"), (0.0002, "< .001"), (None, "–"), (0.05, ".050"), (0.0498, ".0498"), (0.0502, ".0502")],
)
def test_probabilities_are_seen_on_their_side_of_the_limit(value: float | None, words: str) -> None:
    assert confirmed_words.probability(value) == words


def test_no_confirming_runs_no_section(sweep: Build) -> None:
    record = read(sweep())
    assert confirmed(record) is None
    assert confirmed_words.section(record) is None
    assert confirmed_words.caveats(record) == []


def test_the_report_of_a_confirmed_sweep(sweep: Build) -> None:
    folder = sweep(confirmed=4, top=2, journal=True, fail=("p02", "p03-c2"))
    assert [fault for check in verify(folder) for fault in check.faults] == []
    report.write(folder)
    record, page = read(folder), (folder / "report.html").read_text()
    markdown, made = (folder / "report.md").read_text(), pd.read_csv(folder / "confirm.csv")
    found = shown(record)
    assert list(made.columns) == ["point", "seed", "id", "score", "minus_ft", "minus_kd"]
    assert len(made) == 15
    assert made.loc[made.id == "p03-c1", "minus_ft"].item() == pytest.approx(
        float(record.confirming["p03-c1"].score or 0) - float(record.confirming["ft-c1"].score or 0)
    )
    for text in (page, markdown):
        assert "Confirmed with fresh seeds" in text
        assert "p03-c2 failed" in text
    assert 'id="figure-confirmed"' in page
    command = f"python -m trainables.confirm {folder.name} --top 2 --seeds 4"
    assert dict(facts(record))["confirmed by"] == command
    assert command in markdown
    record.header["config"]["confirm"] = "2x4"
    assert "confirmed by" not in dict(facts(record))
    # The table of trials and its CSV are the search's.
    assert "p03-c1" not in pd.read_csv(folder / "trials.csv").id.to_list()
    assert not [line for line in summarise(record, running=False).lines if "-c" in line.id]
    assert table(found).shape == made.shape


def test_best_yaml_comes_from_the_confirmation(sweep: Build) -> None:
    record = read(sweep(confirmed=3, top=2))
    found, student = shown(record), record.student_trial()
    assert found.best is not None
    assert student is not None
    text = str(best_yaml(record))
    mean = statistics.fmean(found.group(found.best).scores.values())
    assert text.startswith(f"# Best of 2 confirmed points: {found.best}, mean Matthews correlation {mean:.4f} (95 %")
    assert f"# The seed is that of its best run: {student.id}, " in text
    config = best_config(record)
    assert config is not None
    assert (
        config["seed"]
        == student.point["seed"]
        == max(record.confirmed()[found.best], key=lambda trial: trial.score or 0.0).point["seed"]
    )
    assert all(config["set"][name] == value for name, value in record.trials[found.best].params.items())
    assert "confirm" not in config
    assert yaml.safe_load(text)["seed"] == config["seed"]


def test_the_study_of_a_confirmed_sweep_is_proven(sweep: Build) -> None:
    """A value that only the second study has wrong, and a study that is missing, are both seen."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    folder = sweep(confirmed=2, top=1, journal=True)
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(folder / "study.journal")))
    optuna.delete_study(study_name="confirm", storage=storage)
    faults = [fault for check in verify(folder) for fault in check.faults]
    assert len(faults) == 1
    assert "confirm" in faults[0]


def test_scores_follow_the_predictions_of_confirming_runs(sweep: Build) -> None:
    folder = sweep(confirmed=2, top=1)
    file = next(folder.glob("trials/kd-c2/predictions-best.npz"))
    with np.load(file) as stored:
        logits, labels = stored["logits"].copy(), stored["labels"]
    np.savez(file, logits=-logits, labels=labels)
    faults = [fault for check in verify(folder) for fault in check.faults]
    assert any("kd-c2" in fault for fault in faults)


def change(folder: Path, id: str, **changes: Any) -> list[str]:
    """What the proof says when a confirming run was planned otherwise."""
    lines = (folder / "rows.jsonl").read_text().splitlines(keepends=True)
    rows = [json.loads(line) for line in lines]
    for point in next(row for row in rows if row["kind"] == "confirm")["points"]:
        if point["id"] == id:
            point |= changes
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = [fault for check in verify(folder) for fault in check.faults]
    (folder / "rows.jsonl").write_text("".join(lines))
    return found


def test_confirming_runs_are_the_points_they_name(sweep: Build) -> None:
    folder = sweep(confirmed=2, top=1)
    assert change(folder, "p03-c2") == []
    assert change(folder, "p03-c2", seed=0) == ["p03-c2 has seed 0, which a trial of the search had."]
    assert change(folder, "p03-c2", seed=1) == ["p03-c2 is p03 with seed 1 for the second time."]
    other = {**read(folder).confirming["p03-c2"].params, "lr": 1e-3}
    assert change(folder, "p03-c2", params=other) == ["p03-c2 is not p03 with another seed: it differs in params."]
    assert change(folder, "kd-c2", params=other) == ["kd-c2 is not kd with another seed: it differs in params."]
