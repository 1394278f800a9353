"""The report over several sweeps: its numbers against the children's files, its sentences, states and copies."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from analysis import family, report, verify
from analysis.family_figure import scores
from analysis.state import Progress
from analysis.verdict import Network
from distill.errors import UserError
from tests.analysis.test_confirmed import Again
from tests.fake_family import PARAMETERS, build_family
from trainables.families import read_family, refuse_family
from trainables.record import read
from trainables.statistics import over_seeds

ROWS = 300
SIZES = (2, 4, 6)


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three finished sizes with their reports; only to be read."""
    folder = build_family(tmp_path_factory.mktemp("family") / "p", SIZES, dev_rows=ROWS)
    family.write(folder, children=True)
    return folder


def mcc(logits: np.ndarray, labels: np.ndarray) -> float:
    """Matthews correlation as the correlation of two columns of zeros and ones."""
    return float(np.corrcoef(logits.argmax(axis=1), labels)[0, 1])


def best_of(child: Path, baseline: bool) -> tuple[str, float, np.ndarray]:
    """The best point from the raw files: its id, score and predicted labels."""
    points = json.loads((child / "sweep.json").read_text())["plan"]["points"]
    found = []
    for point in points:
        file = child / "trials" / point["id"] / "predictions-best.npz"
        if (point["origin"] == "baseline") == baseline and file.exists():
            with np.load(file) as stored:
                found.append((mcc(stored["logits"], stored["labels"]), point["id"], stored["logits"].argmax(axis=1)))
    score, name, said = max(found, key=lambda one: one[0])
    return name, score, said


def table(parent: Path) -> list[dict[str, str]]:
    with (parent / family.TABLE).open() as stream:
        return list(csv.DictReader(stream))


def test_numbers_follow_from_the_childrens_files(parent: Path) -> None:
    rows = table(parent)
    assert [row["sweep"] for row in rows] == ["2L", "4L", "6L"]
    for row, size in zip(rows, SIZES, strict=True):
        child = parent / row["sweep"]
        name, score, _ = best_of(child, baseline=False)
        _, undistilled, _ = best_of(child, baseline=True)
        teacher = json.loads((child / "prepared.json").read_text())["teacher"]["score"]
        assert (row["best_point"], int(row["layers"]), int(row["parameters"])) == (name, size, PARAMETERS[size])
        assert float(row["score"]) == pytest.approx(score, abs=1e-9)
        assert float(row["undistilled"]) == pytest.approx(undistilled, abs=1e-9)
        assert float(row["difference"]) == pytest.approx(score - undistilled, abs=1e-9)
        assert float(row["of_teacher"]) == pytest.approx(score / teacher, abs=1e-9)
        assert float(row["score_low"]) < score < float(row["score_high"])
        assert float(row["difference_low"]) < score - undistilled < float(row["difference_high"])
        assert (row["state"], row["trials"], row["finished"]) == ("complete", "9", "9")


def test_sizes_are_compared_on_the_same_rows_with_a_widened_interval(parent: Path) -> None:
    children = {child.name: child for child in family.gather(read_family(parent))}
    with np.load(parent / "6L" / "trials" / "ft" / "predictions-best.npz") as stored:
        labels = stored["labels"]
    (_, top, said), (_, small, other) = (best_of(parent / name, baseline=False) for name in ("6L", "2L"))
    one, three = (family.between(children["2L"], children["6L"], count) for count in (1, 3))
    assert one is not None
    assert three is not None
    assert one.value == pytest.approx(top - small, abs=1e-9)
    # A bootstrap of its own over the rows that both answered.
    rng = np.random.default_rng(5)
    draws = rng.integers(0, len(labels), size=(4000, len(labels)))
    spread = [np.corrcoef(said[d], labels[d])[0, 1] - np.corrcoef(other[d], labels[d])[0, 1] for d in draws]
    assert (one.low, one.high) == pytest.approx(tuple(np.quantile(spread, (0.025, 0.975))), abs=0.02)
    # 97.5 % over 95 % in units of the normal distribution, for two of the three comparisons' worth of doubt.
    assert (one.value - three.low) / (one.value - one.low) == pytest.approx(2.394 / 1.960, rel=1e-3)


def test_the_verdict_leads_with_what_each_size_keeps(parent: Path) -> None:
    lines = (parent / report.MARKDOWN).read_text().splitlines()
    rows = table(parent)
    kept = [f"{100 * float(row['of_teacher']):.0f}\u00a0%" for row in rows]
    teacher = float(rows[0]["teacher"])
    assert f"**Of the teacher's {teacher:.3f}, 2L keeps {kept[0]}, 4L {kept[1]} and 6L {kept[2]}.**" in lines
    assert any(
        line.startswith("The best of all is 6L. The smallest that the 300 dev rows do not show") for line in lines
    )
    ahead = [row["sweep"] for row in rows if row["shown"] == "ahead"]
    assert ahead == ["4L", "6L"]
    assert (
        "Against the undistilled student of the same size, distilled is ahead at 4L and 6L; at 2L nothing is shown."
    ) in lines


def test_page_and_markdown_carry_the_table_and_the_links(parent: Path) -> None:
    html, markdown = ((parent / name).read_text() for name in (report.HTML, report.MARKDOWN))
    for row in table(parent):
        name, score = row["sweep"], f"{float(row['score']):.3f}"
        assert f'<a href="{name}/report.html">{name}</a>' in html
        assert f"<b>{score}</b>" in html
        assert f"[{name}]({name}/report.md)" in markdown
        assert (parent / name / "report.html").exists()
    assert "15.6 M" in html
    assert "--layers 2,4,6" in re.sub(r"<[^>]+>", "", html)
    assert "http://" not in re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)


def figure_of(folder: Path) -> Any:
    figure = scores(family.gather(read_family(folder)))
    assert figure is not None
    return figure


def test_the_figure_draws_both_students_over_their_parameters(parent: Path) -> None:
    figure = figure_of(parent)
    rows = {trace.name: trace for trace in figure.data}
    assert set(rows) == {"distilled", "undistilled"}
    for name, column in (("distilled", "score"), ("undistilled", "undistilled")):
        trace = rows[name]
        assert list(trace.y) == pytest.approx([float(row[column]) for row in table(parent)])
        assert list(trace.x) == pytest.approx([PARAMETERS[size] for size in SIZES], rel=0.01)
        highs = [y + up for y, up in zip(trace.y, trace.error_y.array, strict=True)]
        assert highs == pytest.approx([float(row[f"{column}_high"]) for row in table(parent)])
        low, high = figure.layout.yaxis.range
        assert low < min(y - down for y, down in zip(trace.y, trace.error_y.arrayminus, strict=True))
        assert high > max(highs)
    assert figure.layout.annotations[0].text.startswith("teacher 0.")


@pytest.mark.parametrize(
    ("own", "word", "said"),
    [
        ({2: {"events": 20}}, "Interrupted", "So far, of the teacher's"),
        ({4: None}, "Interrupted", "Not written yet: 4L"),
        ({2: {"events": 0, "prepared": False}, 4: {"events": 0, "prepared": False}}, "Interrupted", "Nothing to judge"),
        ({2: {"weak": True}, 4: {"weak": True}}, "Complete", "Best Matthews correlation: 2L"),
        ({2: {"fail_all": True}}, "Complete", "No configuration of 2L has a score."),
        ({2: {"baseline": False}, 4: {"baseline": False}}, "Complete", "Of the teacher's"),
        ({2: {"predictions": False}}, "Complete", "predictions are missing"),
        ({4: {"gain": -0.6}}, "Complete", "The best of all is"),
    ],
)
def test_every_state_has_a_page(tmp_path: Path, own: dict[int, Any], word: str, said: str) -> None:
    folder = build_family(tmp_path / "p", (2, 4), own, dev_rows=120, points=3)
    page = family.write(folder)
    text = (folder / report.MARKDOWN).read_text()
    assert f"{word}: " in text
    assert said in text, text
    assert ("--resume" in text) == (word == "Interrupted")
    assert page.read_text().endswith("</html>\n")
    # Without its own report a child is not linked.
    assert "](2L/report.md)" not in text


@pytest.mark.parametrize("confirmed", [0, 3])
def test_sizes_that_one_answer_reaches_are_called_that_first(tmp_path: Path, confirmed: int) -> None:
    poor = {"gain": -0.9, "confirmed": confirmed, "top": 1}
    folder = build_family(tmp_path / "p", (2, 4), {2: poor, 4: poor}, dev_rows=60, points=2)
    lead, *rest = family.verdict(family.gather(read_family(folder)))
    assert lead == "No size is shown to be better than giving every row the same answer (0.000)."
    assert "The best of all" not in " ".join(rest)
    one = build_family(tmp_path / "one", (2, 4), {2: poor, 4: {"gain": 0.3}}, dev_rows=60, points=2)
    lead, constant, *_ = family.verdict(family.gather(read_family(one)))
    assert lead.startswith("Of the teacher's")
    assert constant == "2L is not shown to be better than giving every row the same answer (0.000)."


def test_a_smaller_best_is_called_the_smallest(tmp_path: Path) -> None:
    folder = build_family(tmp_path / "p", (2, 4), {2: {"gain": 0.16}, 4: {"gain": -0.3}}, dev_rows=ROWS, points=3)
    (_, line, _) = family.verdict(family.gather(read_family(folder)))
    assert line == "The best of all is 2L, which is also the smallest."


def test_where_held_out_rows_choose_the_figure_is_of_dev(tmp_path: Path) -> None:
    folder = build_family(tmp_path / "p", (2, 4), dev_rows=120, held_out=90, points=2)
    family.write(folder)
    figure, rows = figure_of(folder), table(folder)
    record = read(folder / "2L")
    assert record.prepared is not None
    teacher = record.prepared["teacher"]
    assert teacher["score"] != teacher["report"]["score"]
    (line,) = [shape for shape in figure.layout.shapes if shape.type == "line"]
    assert line.y0 == teacher["report"]["score"] == pytest.approx(float(rows[0]["teacher"]))
    (drawn,) = [trace for trace in figure.data if trace.name == "distilled"]
    assert list(drawn.y) == pytest.approx([float(row["score"]) for row in rows])
    best = record.best_trial()
    assert best is not None
    assert drawn.y[0] == best.reported != best.score


def test_sizes_behind_the_best_are_told_as_such(tmp_path: Path) -> None:
    folder = build_family(tmp_path / "p", (2, 4), {2: {"gain": -0.6}, 4: {"gain": 0.16}}, dev_rows=ROWS, points=3)
    (_, line, _) = family.verdict(family.gather(read_family(folder)))
    assert line == "The best of all is 4L; 2L is behind it, outside the noise of the dev rows."


def test_confirmed_sizes_are_judged_by_their_fresh_seeds(tmp_path: Path) -> None:
    folder = build_family(tmp_path / "p", (2, 4), {4: {"gain": 0.3}}, dev_rows=ROWS, points=3, confirmed=3, top=1)
    family.write(folder)
    means = {}
    for row in table(folder):
        runs = read(folder / row["sweep"]).confirmed()
        for column, point in (("score", row["best_point"]), ("undistilled", "ft"), ("kd", "kd")):
            scored = [trial.score for trial in runs[point] if trial.score is not None]
            assert len(scored) == 3
            assert float(row[column]) == pytest.approx(np.mean(scored), abs=1e-9)
        means[row["sweep"]] = float(row["score"])
    children = {child.name: child for child in family.gather(read_family(folder))}
    found = family.between(children["2L"], children["4L"], 1)
    assert found is not None
    assert found.value == pytest.approx(means["4L"] - means["2L"], abs=1e-9)
    text = (folder / report.MARKDOWN).read_text()
    assert "| undistilled | KD | difference" in text
    assert "Scores of 2L and 4L are means over fresh seeds of the confirming runs" in text
    assert {trace.name for trace in figure_of(folder).data} == {"distilled", "undistilled", "KD"}


def posed(folder: Path, counts: tuple[int, ...], parameters: int) -> family.Child:
    """A size whose one confirmed point answers so many of 1000 rows right, by seed."""
    again = Again(folder)
    again.runs("p00", counts)
    again.record.prepared = {"teacher": {}, "student": {"parameters": parameters}, "data": {}}
    network = Network("best", "best", 2, 16, parameters, counts[0] / 1000, None, None)
    return family.Child(folder.name, again.record, Progress("complete", "", None), None, {"best": network}, None)  # type: ignore[arg-type]


def test_few_seeds_that_disagree_show_no_size_behind(tmp_path: Path) -> None:
    """Differences of .060, .005 and .068: a draw among three is hardly ever below 0, Student's interval is."""
    top, one = posed(tmp_path / "a", (620, 563, 640), 9), posed(tmp_path / "b", (560, 558, 572), 5)
    alone = over_seeds(top.record, family._pairs(top.record, one.record))
    assert alone is not None
    assert alone.low > 0
    wanted = stats.ttest_1samp([0.06, 0.005, 0.068], 0.0).confidence_interval(0.95)
    found = family.between(one, top, 1)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))
    said = str(family._smallest([one, top]))
    assert "smallest that the 3 seeds and 1000 dev rows do not show to be behind it is b" in said
    # Three comparisons: 1 - .05 / 3.
    wanted = stats.ttest_1samp([0.06, 0.005, 0.068], 0.0).confidence_interval(1 - 0.05 / 3)
    found = family.between(one, top, 3)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))


def test_sizes_that_differ_alike_with_every_seed(tmp_path: Path) -> None:
    top, one = posed(tmp_path / "a", (620, 630), 9), posed(tmp_path / "b", (560, 570), 5)
    assert family._smallest([one, top]) == (
        "The best of all is a; its difference from b is +0.060 with every seed, so nothing is known of its spread and "
        "nothing is shown."
    )


def test_a_confirmed_size_is_not_compared_with_one_that_is_not(tmp_path: Path) -> None:
    own = {2: {"confirmed": 2, "top": 1}}
    folder = build_family(tmp_path / "p", (2, 4), own, dev_rows=120, points=3)
    family.write(folder)
    assert [bool(row["kd"]) for row in table(folder)] == [True, False]
    lines = family.verdict(family.gather(read_family(folder)))
    assert any("runs or predictions are missing, so it cannot be compared with 2L." in line for line in lines)


def test_a_copied_parent_gives_the_same_page(parent: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(parent, copy)
    for name in (report.HTML, report.MARKDOWN, family.TABLE):
        (copy / name).unlink()
    family.write(copy)
    for name in (report.HTML, report.MARKDOWN, family.TABLE):
        assert (copy / name).read_bytes() == (parent / name).read_bytes()


def test_commands_take_the_parent(parent: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "p"
    shutil.copytree(parent, copy)
    (copy / "4L" / report.HTML).unlink()
    assert report.main([str(copy)]) == 0
    assert capsys.readouterr().out.strip() == str(copy / report.HTML)
    assert (copy / "4L" / report.HTML).exists()
    assert verify.main([str(copy)]) == 0
    told = capsys.readouterr().out
    assert [line for line in told.splitlines() if line.endswith("L:")] == ["2L:", "4L:", "6L:"]
    rows = copy / "4L" / "rows.jsonl"
    rows.write_text(rows.read_text().replace('"value": 0.', '"value": 0.1', 1))
    assert verify.main([str(copy)]) == 1


def test_what_is_no_parent_is_refused_in_one_sentence(parent: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no family of sweeps"):
        family.write(tmp_path)
    with pytest.raises(UserError, match=r"p holds several sweeps; extend takes one of them: 2L, 4L or 6L\."):
        refuse_family(parent, "extend")
    refuse_family(parent / "2L", "extend")
    (tmp_path / "family.json").write_text('{"schema": 9}')
    with pytest.raises(UserError, match="schema 9"):
        read_family(tmp_path)
    (tmp_path / "family.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        read_family(tmp_path)
    assert read(parent / "2L").plan["layers"] == 2
