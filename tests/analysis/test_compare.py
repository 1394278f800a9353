"""The comparison of methods: its numbers against the sweeps' files, its claims, states, copies and refusals."""

from __future__ import annotations

import csv
import json
import re
import shutil
import statistics
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from analysis import compare, compare_words, family, report
from analysis.compare_words import caveats, shown, verdict
from analysis.contenders import Contender, gather
from analysis.pairs import Pair, pair, pairs
from analysis.style import ROLES
from distill.errors import UserError
from tests.fake_family import build_family, build_methods
from trainables.record import read
from trainables.spending import used
from trainables.statistics import Difference

ROWS = 300


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Undistilled, kd and emd, all finished; only to be read."""
    folder = build_methods(tmp_path_factory.mktemp("methods") / "p", dev_rows=ROWS)
    compare.write([folder])
    return folder


def table(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / compare.TABLE).open() as stream:
        return {row["name"]: row for row in csv.DictReader(stream)}


def text(folder: Path) -> str:
    """Words of the page, without scripts and tags."""
    html = re.sub(r"<script.*?</script>", "", (folder / compare.HTML).read_text(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def best_of(child: Path) -> tuple[float, np.ndarray, np.ndarray]:
    """Highest score of a sweep from the raw files, with its answers and the labels."""
    found = []
    for file in sorted(child.glob("trials/*/predictions-best.npz")):
        with np.load(file) as stored:
            said, labels = stored["logits"].argmax(axis=1), stored["labels"]
        found.append((float(np.corrcoef(said, labels)[0, 1]), said, labels))
    return max(found, key=lambda one: one[0])


def both(found: list[Contender], one: str, other: str) -> Pair:
    return next(p for p in pairs(found) if (p.one.name, p.other.name) == (one, other))


def test_numbers_follow_from_the_sweeps_files(parent: Path) -> None:
    rows = table(parent)
    assert list(rows) == ["ft", "kd", "emd"]
    for name, row in rows.items():
        score, _, _ = best_of(parent / name)
        record = read(parent / name)
        assert record.prepared is not None
        assert float(row["score"]) == pytest.approx(score, abs=1e-9)
        assert float(row["low"]) < score < float(row["high"])
        assert row["best_trial"] == row["score"]
        assert float(row["of_teacher"]) == pytest.approx(score / record.prepared["teacher"]["score"])
        seconds = [e["seconds"] for t in record.trials.values() for e in t.evaluations.values()]
        assert float(row["device_seconds"]) == pytest.approx(sum(seconds))
        assert (row["over"], row["state"], int(row["trials"])) == ("one seed", "complete", len(record.trials))


def test_every_pair_is_compared_on_the_same_rows(parent: Path) -> None:
    found = gather([parent])
    assert [(one.one.name, one.other.name) for one in pairs(found)] == [("kd", "ft"), ("emd", "ft"), ("emd", "kd")]
    told = both(found, "emd", "kd")
    (emd, said, labels), (kd, other, _) = (best_of(parent / name) for name in ("emd", "kd"))
    assert told.found is not None
    assert told.found.value == pytest.approx(emd - kd, abs=1e-9)
    draws = np.random.default_rng(5).integers(0, ROWS, size=(4000, ROWS))
    spread = [np.corrcoef(said[d], labels[d])[0, 1] - np.corrcoef(other[d], labels[d])[0, 1] for d in draws]
    assert (told.found.low, told.found.high) == pytest.approx(tuple(np.quantile(spread, (0.025, 0.975))), abs=0.02)
    # Widened for three pairs and for the choice of the one ahead among its eight trials.
    assert told.wide is not None
    factor = stats.norm.ppf(1 - 0.025 / 24) / stats.norm.ppf(0.975)
    assert (told.found.value - told.wide.low) / (told.found.value - told.found.low) == pytest.approx(factor)


def test_a_difference_inside_the_noise_is_no_finding(tmp_path: Path) -> None:
    own: dict[str, Any] = {"ft": {"gain": -0.6}, "kd": {"gain": 0.2}, "emd": {"gain": 0.22}}
    folder = build_methods(tmp_path / "p", own=own, dev_rows=150)
    found = gather([folder])
    told = verdict(found, pairs(found))
    assert both(found, "emd", "kd").tone == "even"
    assert "emd from kd" in next(line for line in told if line.startswith("Not told apart"))
    equal = gather([build_methods(tmp_path / "q", own={n: {"gain": 0.2} for n in ("ft", "kd", "emd")}, dev_rows=120)])
    told = verdict(equal, pairs(equal))
    assert told[1] == "Of no two is it shown that one is ahead of the other: every difference may be noise."


@pytest.mark.parametrize(("other", "lead"), [(-0.03, "Highest: ft with MCC 0.000"), (0.08, "; undistilled 0.000.")])
def test_a_score_of_zero_is_a_score(other: float, lead: str) -> None:
    def one(name: str, score: float) -> Any:
        plan = {"metric_title": "MCC", "data": {}}
        own = {"undistilled": name == "ft", "over": "one seed", "runs": {0: None}, "record": SimpleNamespace(plan=plan)}
        return SimpleNamespace(name=name, score=score, **own)

    assert lead in compare_words._lead([one("ft", 0.0), one("kd", other)], True)


def test_a_difference_that_only_the_choice_explains_is_not_claimed(parent: Path) -> None:
    found = gather([parent])
    told = both(found, "emd", "ft")
    assert (told.tone, told.one.rivals, told.other.rivals) == ("ahead", 8, 3)
    # With very many pairs to look at, the same interval is widened until it holds 0.
    wide = pair(found[2], found[0], 10**9)
    assert wide.found == told.found
    assert wide.tone == "even"


def test_the_page_carries_verdict_tables_and_both_figures(parent: Path) -> None:
    page, words = (parent / compare.HTML).read_text(), text(parent)
    rows = table(parent)
    lead = f"Highest: emd with Matthews correlation {float(rows['emd']['score']):.3f} (one seed); undistilled"
    assert lead in words
    assert "Shown, outside the noise of the dev rows, with one seed each: kd ahead of ft by +0." in words
    assert "Device-seconds differ: ft " in words
    assert "kd − ft" in words
    assert 'id="figure-trials"' in page
    assert 'id="figure-cost"' in page
    assert "http://" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert re.search(r"state ft 0\.\d{3} .* kd 0\.\d{3} .* emd 0\.\d{3}", words)


def test_the_curves_are_expected_bests_and_end_at_the_best(parent: Path) -> None:
    from analysis.compare_figure import by_cost, by_trials

    found = gather([parent])
    trials, cost = by_trials(found), by_cost(found)
    assert trials is not None
    assert cost is not None
    for one, line, spent in zip(found, trials.data, cost.data, strict=True):
        scores = [trial.score for trial in one.record.trials.values()]
        assert list(line.x) == list(range(1, len(scores) + 1))
        assert line.y[0] == pytest.approx(statistics.fmean(s for s in scores if s is not None))
        assert line.y[-1] == one.score
        assert list(spent.y) == list(line.y)
        assert spent.x[-1] == pytest.approx(used(one.record))


def test_confirmed_methods_are_compared_seed_by_seed(tmp_path: Path) -> None:
    folder = build_methods(tmp_path / "p", dev_rows=ROWS, confirmed=4, top=1)
    compare.write([folder])
    found = gather([folder])
    for one in found:
        runs = read(folder / one.name).confirming.values()
        scores = [trial.score for trial in runs if trial.score is not None]
        assert (len(scores), one.over) == (4, "4 fresh seeds")
        assert one.score == pytest.approx(statistics.fmean(scores))
        wanted = stats.t.interval(0.95, 3, np.mean(scores), stats.sem(scores))
        assert one.interval is not None
        assert (one.interval.low, one.interval.high) == pytest.approx(wanted)
        assert float(table(folder)[one.name]["score"]) == pytest.approx(one.score)
    told = both(found, "emd", "ft")
    differences = [found[2].runs[s].reported - found[0].runs[s].reported for s in (1, 2, 3, 4)]  # type: ignore[operator]
    low, high = stats.t.interval(0.95, 3, np.mean(differences), stats.sem(differences))
    assert told.found is not None
    assert told.found.value == pytest.approx(np.mean(differences))
    assert told.found.low <= low + 1e-9
    assert told.found.high >= high - 1e-9
    assert (told.seeds, told.tone) == (4, "ahead")
    words = text(folder)
    assert "outside the noise of seeds and dev rows" in words
    assert "(mean of 4 fresh seeds); undistilled" in words
    # The figures are of single trials, and so is a column beside the means.
    assert "The last point of a line is the best single trial, not the mean over seeds in the table." in words
    for one in found:
        searched = read(folder / one.name).best_trial()
        assert searched is not None
        assert float(table(folder)[one.name]["best_trial"]) == pytest.approx(searched.reported) == one.curve[-1]


def test_without_a_sweep_of_them_undistilled_students_come_from_beside_the_methods(tmp_path: Path) -> None:
    folder = build_methods(tmp_path / "p", ("kd", "emd"), dev_rows=120)
    found = gather([folder])
    assert [one.name for one in found] == ["undistilled", "kd", "emd"]
    assert found[0].undistilled
    assert found[0].spent == sum(read(folder / "kd").trials["ft"].evaluations[i]["seconds"] for i in (1, 2, 3, 4))
    # Baselines that are not the same run stay apart.
    file = folder / "emd" / "sweep.json"
    file.write_text(file.read_text().replace("f7f7f7f7f7", "0123456789"))
    assert [one.name for one in gather([folder])][:2] == ["undistilled (kd)", "undistilled (emd)"]


@pytest.mark.parametrize(
    ("own", "word", "said"),
    [
        ({"emd": {"events": 9}}, "Interrupted", "Which is ahead is open before the sweeps have ended."),
        ({"emd": None}, "Interrupted", "Not written yet: emd."),
        (
            {name: {"events": 0, "prepared": False} for name in ("ft", "kd", "emd")},
            "Interrupted",
            "Nothing to compare yet",
        ),
        ({"kd": {"fail_all": True}}, "Complete", "Highest: emd"),
        ({"kd": {"events": 0}}, "Interrupted", "kd has no score yet."),
        ({"kd": {"predictions": False}}, "Complete", "predictions are missing"),
        ({"emd": {"confirmed": 3}}, "Complete", "fewer than two seeds in common"),
        ({name: {"weak": True} for name in ("ft", "kd", "emd")}, "Complete", "The teacher is weak"),
        ({name: {"gain": -0.9} for name in ("ft", "kd", "emd")}, "Complete", "giving every row the same answer"),
    ],
)
def test_every_state_has_a_page(tmp_path: Path, own: dict[str, Any], word: str, said: str) -> None:
    folder = build_methods(tmp_path / "p", own=own, dev_rows=60, points=3)
    assert compare.main([str(folder)]) == 0
    words = text(folder)
    assert f"{word}: " in words
    assert said in words, words
    assert ("--resume" in words) == (word == "Interrupted")


def test_a_copy_gives_the_same_page_and_no_more_than_its_folder_is_read(parent: Path, tmp_path: Path) -> None:
    copy = tmp_path / "p"
    shutil.copytree(parent, copy)
    compare.write([copy])
    assert text(copy).replace(str(copy), str(parent)) == text(parent)


def test_several_folders_and_a_parent_are_compared_alike(parent: Path, tmp_path: Path) -> None:
    folders = [parent / name for name in ("emd", "ft", "kd")]
    page = compare.write(folders, tmp_path)
    assert page == tmp_path / compare.HTML
    mine, other = table(tmp_path), table(parent)
    assert list(mine) == ["ft", "emd", "kd"]
    assert {name: row["score"] for name, row in mine.items()} == {name: row["score"] for name, row in other.items()}
    assert [one.name for one in gather([parent, parent / "kd"])] == ["ft", "kd", "emd"]
    twice = gather([parent / "kd", build_methods(tmp_path / "q", ("kd", "emd"), dev_rows=ROWS) / "kd"])
    assert [one.name for one in twice if not one.undistilled] == ["kd", "q/kd"]


def test_sizes_of_one_method_can_be_compared_too(tmp_path: Path) -> None:
    folder = build_family(tmp_path / "p", (2, 4), dev_rows=120, points=3)
    found = gather([folder])
    assert [one.name for one in found] == ["undistilled", "2L", "4L"]
    assert any(line == "The layers differ: undistilled 2, 2L 2 and 4L 4." for line in caveats(found, pairs(found)))


def test_what_cannot_be_compared_is_refused_in_one_sentence(
    parent: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = build_methods(tmp_path / "q", ("kd", "emd"), dev_rows=90, points=2)

    def refused(*folders: Path) -> str:
        assert compare.main([*map(str, folders), "--out", str(tmp_path)]) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert said.count("\n") == 1
        return said

    change(other / "emd", "fingerprint", "data", "another")
    assert "do not answer the same dev rows" in refused(parent / "kd", other / "emd")
    change(other / "kd", "plan", "task", "rte")
    assert "kd is on rte and ft on cola-made-up; compare sweeps of one task" in refused(parent, other / "kd")
    assert "holds no sweep" in refused(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    assert compare.main([str(parent), "--out", str(tmp_path / "file" / "in")]) == 2
    assert "name another folder" in capsys.readouterr().err
    assert compare.main([str(parent), "--out", str(tmp_path / "made" / "for it")]) == 0
    assert (tmp_path / "made" / "for it" / "compare.html").is_file()


def change(folder: Path, part: str, name: str, value: str) -> None:
    header = json.loads((folder / "sweep.json").read_text())
    header[part][name] = value
    (folder / "sweep.json").write_text(json.dumps(header))


def test_rows_that_are_the_same_may_be_trained_on_otherwise(parent: Path, tmp_path: Path) -> None:
    other = build_methods(tmp_path / "q", ("kd", "emd"), dev_rows=ROWS, points=2)
    change(other / "emd", "fingerprint", "data", "another")
    found = gather([parent / "kd", other / "emd"])
    assert "The sweeps were trained on different rows." in caveats(found, pairs(found))


def test_of_many_pairs_that_are_not_told_apart_those_with_the_undistilled_are_named(parent: Path) -> None:
    plain, *others = gather([parent])
    names = ["kd", "emd", "pkd", "tinybert"]
    many = [plain, *(replace(others[i % 2], name=name) for i, name in enumerate(names))]
    nought = Difference(0.0, -0.1, 0.1, 0.5, ROWS)
    even = [replace(p, tone="even", found=nought) for p in pairs(many)]
    claim = replace(even[0], tone="ahead")
    wanted = "Not told apart: kd, emd, pkd and tinybert from ft; 6 pairs of distilled students."
    assert verdict(many, [*even, claim])[-1] == wanted


def test_an_interval_that_holds_only_by_itself_is_said_to(parent: Path) -> None:
    found = gather([parent])
    one = pair(found[2], found[0], 10**9)
    assert shown(one) == "not told apart once widened"
    assert verdict(found, [one, one])[-1] == (
        "Not told apart once intervals are widened for 2 pairs and the choice of the best, though their own exclude 0: "
        "emd from ft and emd from ft."
    )


def test_equal_scores_lead_together(parent: Path) -> None:
    found = gather([parent])
    twice = [*found, replace(found[-1], name="again")]
    assert verdict(twice, pairs(twice))[0].startswith("Highest: emd and again with ")


def test_names_of_lines_that_end_close_together_stand_in_one_column(tmp_path: Path) -> None:
    from analysis.compare_figure import by_cost

    # Equal shares of the devices lead to ends side by side.
    own = {name: {"gain": 0.3, "pace": pace} for name, pace in (("ft", 0.2), ("kd", 1.45), ("emd", 1.5))}
    found = gather([build_methods(tmp_path / "p", own=own, dev_rows=120)])
    figure = by_cost(found)
    assert figure is not None
    notes = {one.name: n for one in found for n in figure.layout.annotations if f"<b>{one.name} " in n.text}
    assert notes["kd"].x == notes["emd"].x == pytest.approx(used(found[2].record))
    assert abs(notes["kd"].yshift - notes["emd"].yshift) > 13
    assert notes["ft"].x == pytest.approx(used(found[0].record))


def test_many_methods_look_different_and_none_like_the_teacher(parent: Path) -> None:
    from analysis.compare_figure import looks

    one = gather([parent])[-1]
    found = looks([replace(one, name=f"m{i}") for i in range(10)])
    assert len(set(found.values())) == 10
    assert ROLES["teacher"][0] not in {color for color, _ in found.values()}


def test_what_else_differs_is_said(parent: Path, tmp_path: Path) -> None:
    other = build_methods(tmp_path / "q", ("kd", "emd"), own={"emd": {"held_out": 90}}, dev_rows=ROWS)
    change(other / "kd", "plan", "recipe", "published")
    found = gather([parent / "ft", other / "kd", other / "emd"])
    said = caveats(found, pairs(found))
    assert any(line.startswith("The recipes differ: ") for line in said)
    assert "same dev rows that score it" in said[0]
    assert "Not so emd: held-out training rows chose there" in said[0]


def test_the_report_of_a_parent_of_methods_is_the_comparison(parent: Path, tmp_path: Path) -> None:
    copy = tmp_path / "p"
    shutil.copytree(parent, copy)
    (copy / compare.HTML).unlink()
    assert report.main([str(copy)]) == 0
    assert (copy / compare.HTML).exists()
    assert (copy / "kd" / report.HTML).exists()
    assert not (copy / report.HTML).exists()
    assert family.write(copy) == copy / compare.HTML
    assert "a sweep of their own beside this one" in (copy / "kd" / report.MARKDOWN).read_text()
    assert "These are undistilled students themselves" in (copy / "ft" / report.MARKDOWN).read_text()


def test_no_such_folder_holds_no_sweep(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no sweep"):
        gather([tmp_path])
