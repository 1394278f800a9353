"""The report of finished, stopped, failed, running, killed and empty sweeps."""

from __future__ import annotations

import csv
import fcntl
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from plotly.offline import get_plotlyjs

from analysis import report, verdict
from tests.analysis.conftest import Build
from trainables.record import read


def written(folder: Path) -> tuple[str, str]:
    """HTML without plotly.js, and Markdown, of a fresh report."""
    page = report.write(folder)
    assert page == folder / "report.html"
    html = page.read_text(encoding="utf-8")
    library = get_plotlyjs()
    assert html.count(library) == 1
    return html.replace(library, ""), (folder / "report.md").read_text(encoding="utf-8")


class Loads(HTMLParser):
    """Everything a page would fetch, and whether its tags close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [f"{tag} {k}={v}" for k, v in attrs if k in ("src", "href", "data", "srcset", "action")]
        if tag not in ("meta", "link", "img", "br", "hr", "input", "wbr"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Closes itself."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag


STATES: dict[str, dict[str, Any]] = {
    "finished": {},
    "no stopping": {"scheduler": "none"},
    "published": {"embedded": False},
    "killed": {"events": 20},
    "first evaluation": {"events": 3},
    "nothing ran": {"events": 0},
    "preparing": {"events": 0, "prepared": False},
    "all failed": {"fail_all": True},
    "weak teacher": {"weak": True},
    "no predictions": {"predictions": False},
    "no baseline": {"baseline": False},
    "one point": {"points": 1},
    "one epoch": {"epochs": 1, "scheduler": "none"},
}


@pytest.mark.parametrize("state", STATES)
def test_every_state_gives_a_whole_page_without_network(sweep: Build, state: str) -> None:
    folder = sweep(**STATES[state])
    html, markdown = written(folder)
    assert re.findall(r"\w+://[^\s\"'<]+|url\(|@import", html) == []
    parser = Loads()
    parser.feed(html)
    assert parser.found == []
    assert parser.open == []
    for text in (html, markdown):
        assert "None" not in re.sub(r"<script.*?</script>", "", text, flags=re.S)
        assert "nan" not in re.sub(r"<script.*?</script>", "", text, flags=re.S).lower().split()
    assert markdown.startswith("# BERT-EMD on cola")
    assert "How to reproduce" in markdown
    with (folder / "trials.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(read(folder).trials)
    left = {path.name for path in folder.iterdir()}
    assert not [name for name in left if name.startswith(".")]


def test_verdict_of_a_real_gain(sweep: Build) -> None:
    folder = sweep(gain=0.3, dev_rows=1000)
    html, markdown = written(folder)
    found = verdict.judge(read(folder), finished=True)
    assert found.tone == "ahead"
    assert found.difference is not None
    assert found.difference.low > 0
    for sentence in (found.best, found.against, found.teacher):
        assert sentence
        assert sentence in markdown
        assert sentence.replace("'", "&#39;") in html
    best = read(folder).best_trial()
    assert best is not None
    assert f"({best.id}, epoch" in found.best
    assert f"{best.score:.3f}" in found.best
    assert "95 % interval" in found.best
    assert "% of the teacher's" in (found.teacher or "")
    assert "widened for the choice of the best of 8" in (found.against or "")
    assert '<section class="verdict ahead">' in html


def test_made_up_data_is_stamped_and_stands_beside_nothing(sweep: Build) -> None:
    html, markdown = written(sweep())
    assert "Made-up data." in html
    assert "**Made-up data**" in markdown
    assert "so no published values stand beside it" in markdown
    assert "| hyper-parameter |" not in markdown
    assert "No hub can be reached" in html


def test_published_values_stand_beside_the_best(sweep: Build) -> None:
    html, markdown = written(sweep(embedded=False))
    assert "Made-up" not in html
    assert "| beta | 0.005 | 0.001 | published |" in markdown
    assert "| T_emd | – | 5 | inert here |" in markdown
    assert "The published point (p00) scored" in markdown


def test_stops_and_failures_are_told(sweep: Build) -> None:
    folder = sweep()
    html, markdown = written(folder)
    for trial in read(folder).trials.values():
        if trial.stop is not None and trial.last is not None:
            rung, cutoff = trial.stop["rung"], trial.stop["cutoff"]
            value = trial.last["value"]
            digits = next(n for n in range(3, 18) if f"{value:.{n}f}" != f"{cutoff:.{n}f}")
            assert f"rung {rung:g}: {value:.{digits}f} < {cutoff:.{digits}f}" in markdown
    assert "| RuntimeError: CUDA out of memory <2 GiB> | 1 | p02 | trials/p02/failure.txt |" in markdown
    assert "CUDA out of memory &lt;2 GiB&gt;" in html
    assert "Traceback" in html
    assert "<2 GiB>" not in html


def test_a_killed_sweep_says_how_to_go_on(sweep: Build) -> None:
    folder = sweep(events=20)
    html, markdown = written(folder)
    assert "Interrupted: " in markdown
    assert f"python -m trainables.sweep --resume {folder.resolve()}" in re.sub("</?span[^>]*>", "", html)
    assert "so far" in markdown


def test_a_running_sweep_is_told_by_its_lock(sweep: Build) -> None:
    folder = sweep(events=20)
    with (folder / "lock").open("w") as lock:
        # Another process: its number is not ours.
        json.dump({"host": "elsewhere", "pid": 1}, lock)
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        at_work = written(folder)[1]
        assert "Running: " in at_work
        assert "| running |" in at_work
        assert "--resume" not in at_work
    cut = written(folder)[1]
    assert "Interrupted: " in cut
    assert "| running |" not in cut
    assert "| cut while running |" in cut


def test_a_finished_sweep_is_complete(sweep: Build) -> None:
    folder = sweep()
    assert "Complete: all 9 trials are finished" in written(folder)[1]
    assert "so far:" not in written(folder)[1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"events": 0, "prepared": False}, "are being prepared"),
        ({"events": 0}, "no distilled trial has been evaluated"),
        ({"fail_all": True}, "No configuration has a score: 8 of 8 trials failed"),
        ({"events": 3}, "has no score yet, so whether distillation helped is open"),
        ({"baseline": False}, "No undistilled student was trained"),
        ({"predictions": False}, "without an interval"),
    ],
    ids=str,
)
def test_what_cannot_be_judged_is_said(sweep: Build, changes: dict[str, Any], words: str) -> None:
    html, markdown = written(sweep(**changes))
    assert words in markdown
    assert words in html
    assert "outside the noise" not in markdown


def test_a_weak_teacher_is_stamped(sweep: Build) -> None:
    html, markdown = written(sweep(weak=True))
    assert "Weak teacher." in html
    assert "**Weak teacher**" in markdown
    assert "% of the teacher's" not in markdown
    assert "Weak teacher" not in written(sweep(weak=False))[1]


def test_a_copy_gives_the_same_report(sweep: Build, tmp_path: Path) -> None:
    folder = sweep(journal=False)
    written(folder)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for name in ("report.html", "report.md", "trials.csv", "best.yaml"):
        (copy / name).unlink()
    report.write(copy)
    for name in ("report.html", "report.md", "trials.csv", "best.yaml"):
        assert (copy / name).read_bytes() == (folder / name).read_bytes()


def test_a_determinism_fault_is_shown(sweep: Build) -> None:
    folder = sweep()
    file = folder / "rows.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    again = next(row for row in rows if row["kind"] == "evaluation")
    file.write_text(file.read_text() + json.dumps({**again, "seq": len(rows), "value": 0.5}) + "\n")
    html, markdown = written(folder)
    assert "Not deterministic" in html
    assert "Not deterministic" in markdown


def test_a_torn_last_line_is_passed_over(sweep: Build) -> None:
    folder = sweep(events=20)
    before = written(folder)[1]
    with (folder / "rows.jsonl").open("a") as file:
        file.write('{"seq": 99, "kind": "eval')
    assert written(folder)[1] == before


def test_best_yaml_is_read_back_by_the_command(sweep: Build) -> None:
    config = pytest.importorskip("trainables.config")
    folder = sweep()
    report.write(folder)
    best = read(folder).best_trial()
    assert best is not None
    content = yaml.safe_load((folder / "best.yaml").read_text())
    assert content["schema"] == 1
    assert content["set"] == {"batch_size": 32, **best.params}
    assert content["epochs"] == 4
    asked = config.from_namespace({"config": str(folder / "best.yaml")}, [])
    assert asked.method == "emd"
    assert asked.task == "cola-made-up"
    assert asked.source == "embedded"
    assert asked.layers == 4
    assert asked.settings == {name: [value] for name, value in content["set"].items()}
    assert asked.trials is None
    assert asked.out is None


def test_best_yaml_names_the_commit_of_a_model_from_the_hub(sweep: Build) -> None:
    folder = sweep(hub=True)
    report.write(folder)
    found = read(folder).plan["teacher"]["hub"]
    assert yaml.safe_load((folder / "best.yaml").read_text())["teacher"] == f"{found['id']}@{found['revision']}"


def test_an_exported_student_is_shown(sweep: Build) -> None:
    folder = sweep()
    assert "from_pretrained" not in written(folder)[1]
    (folder / "student").mkdir()
    html, markdown = written(folder)
    for text in (html, markdown):
        assert 'AutoModelForSequenceClassification.from_pretrained("student")' in text


def test_a_student_that_points_to_answers_is_loaded_as_one(sweep: Build) -> None:
    folder = sweep()
    (folder / "student").mkdir()
    (folder / "student" / "config.json").write_text('{"architectures": ["BertForQuestionAnswering"]}')
    for text in written(folder):
        assert 'AutoModelForQuestionAnswering.from_pretrained("student")' in text
        assert "SequenceClassification" not in text


def test_a_student_with_code_of_its_own_is_shown_with_the_consent_it_needs(sweep: Build) -> None:
    folder = sweep()
    (folder / "student").mkdir()
    (folder / "student" / "config.json").write_text('{"auto_map": {"AutoConfig": "x.Y"}}')
    for text in written(folder):
        assert 'from_pretrained("student", trust_remote_code=True)' in text
        assert "carries the few lines of code" in text


def test_no_best_yaml_without_a_score(sweep: Build) -> None:
    folder = sweep(fail_all=True)
    report.write(folder)
    assert not (folder / "best.yaml").exists()


def test_command(sweep: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = sweep()
    assert report.main([str(folder)]) == 0
    assert capsys.readouterr().out.strip() == str(folder / "report.html")
    assert report.main([str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
