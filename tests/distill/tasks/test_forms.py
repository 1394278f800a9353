"""The forms, beside GLUE's, in which files of known tasks come."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distill.errors import UserError
from distill.tasks import get, given_files
from distill.tasks.glue import load


def write(folder: Path, **files: str) -> Path:
    """Files whose names have `__` where a point stands, each ended by a line break."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content + "\n", encoding="utf-8")
    return folder


def test_cola_as_in_the_corpus(tmp_path: Path) -> None:
    rows = "gj04\t1\t\tgood\ncj99\t0\t*\tbad"
    folder = write(tmp_path / "raw", in_domain_train__tsv=rows, in_domain_dev__tsv=rows)
    assert load(get("cola"), folder).beside == ()
    write(folder, out_of_domain_dev__tsv=rows.replace("good", "fine"))
    data = load(get("cola"), folder)
    assert data.train.first == data.dev.first == ("good", "bad")
    assert [(name, split.first) for name, split in data.beside] == [("out-of-domain", ("fine", "bad"))]
    # What is shown beside dev changes nothing that is trained.
    assert (
        data.fingerprint() == load(get("cola"), write(tmp_path / "CoLA", train__tsv=rows, dev__tsv=rows)).fingerprint()
    )


def test_mrpc_as_in_the_corpus(tmp_path: Path) -> None:
    rows = '\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t1\t2\tone "a\ttwo\n0\t3\t4\tthree\tfour"'
    data = load(get("mrpc"), write(tmp_path, msr_paraphrase_train__txt=rows, msr_paraphrase_test__txt=rows))
    assert (data.train.first, data.dev.second) == (('one "a', "three"), ("two", 'four"'))
    assert data.notes == (
        "msr_paraphrase_test.txt serves as dev: GLUE's dev rows are some of msr_paraphrase_train.txt.",
    )


def test_stsb_with_quotes_and_with_tabs(tmp_path: Path) -> None:
    rows = '"A plane, taking off.",An air plane.,5.0\na,b,0.2'
    data = load(get("stsb"), write(tmp_path / "a", **{"stsb-en-train__csv": rows, "stsb-en-dev__csv": rows}))
    assert (data.train.first, data.train.second) == (("A plane, taking off.", "a"), ("An air plane.", "b"))
    assert data.train.labels.tolist() == pytest.approx([5.0, 0.2])
    rows = 'main\tMSRvid\t2012\t1\t5.0\t"A plane\tone\nmain\tx\t2012\t2\t0.2\ta\tb\tlicence\tlicence'
    data = load(get("stsb"), write(tmp_path / "b", **{"sts-train__csv": rows, "sts-dev__csv": rows}))
    assert (data.train.first, data.train.second) == (('"A plane', "a"), ("one", "b"))
    write(tmp_path / "b", **{"sts-dev__csv": rows.replace("\t5.0", "")})
    with pytest.raises(UserError, match=r"sts-dev\.csv, line 1: 6 columns found where 7"):
        load(get("stsb"), tmp_path / "b")
    write(tmp_path / "a", **{"stsb-en-dev__csv": "a,b,1\nc,d,high"})
    with pytest.raises(UserError, match=r"stsb-en-dev\.csv, line 2: the score 'high' is not a finite number"):
        load(get("stsb"), tmp_path / "a")


def test_tweets_and_labels_line_by_line(tmp_path: Path) -> None:
    folder = tmp_path / "tweet_eval" / "sentiment"
    write(folder, train_text__txt='one "\ntwo\nthree', train_labels__txt="2\n0\n1")
    write(folder, val_text__txt="four\nfive", val_labels__txt="1\n0")
    for place in (tmp_path, tmp_path / "tweet_eval", folder):
        data = load(get("tweet-sentiment"), place)
        assert (data.train.first, data.train.labels.tolist()) == (('one "', "two", "three"), [2, 0, 1])
    write(folder, val_labels__txt="1\n3")
    with pytest.raises(UserError, match=r"val_labels\.txt, line 2: unknown label '3' \(known: 0 negative, 1 neu"):
        load(get("tweet-sentiment"), tmp_path)
    write(folder, val_text__txt="four\n" + "x" * 200_001, val_labels__txt="1\n0")
    with pytest.raises(UserError, match=r"val_text\.txt, line 2: the text has 200,001 characters, and 200,000 are the"):
        load(get("tweet-sentiment"), tmp_path)
    write(folder, val_labels__txt="1")
    with pytest.raises(UserError, match=r"val_text\.txt has 2 lines and .*val_labels\.txt has 1; one label a text"):
        load(get("tweet-sentiment"), tmp_path)
    (folder / "val_labels.txt").unlink()
    with pytest.raises(UserError, match=r"tweet-sentiment needs the file .*val_labels\.txt, which is missing"):
        load(get("tweet-sentiment"), tmp_path)


@pytest.mark.parametrize(
    ("task", "stem", "dev"), [("snli", "snli_1.0", "dev"), ("mnli", "multinli_1.0", "dev_matched")]
)
def test_inference_without_the_rows_that_annotators_disagreed_on(
    tmp_path: Path, task: str, stem: str, dev: str
) -> None:
    rows = [("neutral", "a", "b"), ("-", "c", "d"), ("entailment", "e", "f")]
    records = [{"gold_label": label, "sentence1": one, "sentence2": two, "pairID": "x"} for label, one, two in rows]
    lines = ["gold_label\tpairID\tsentence1\tsentence2", *(f"{label}\tx\t{one}\t{two}" for label, one, two in rows)]
    forms = {"jsonl": "\n".join(map(json.dumps, records)), "txt": "\n".join(lines)}
    found = []
    for ending, content in forms.items():
        names = {
            f"{stem}_train.{ending}".replace(".", "__"): content,
            f"{stem}_{dev}.{ending}".replace(".", "__"): content,
        }
        data = load(get(task), write(tmp_path / ending, **names))
        assert (data.train.first, data.train.second) == (("a", "e"), ("b", "f"))
        assert data.train.labels.tolist() == [2, 1]
        assert data.notes[0].endswith(f"{stem}_train.{ending}: 1 rows without a label ('-') left out")
        found.append(data.fingerprint())
    assert found[0] == found[1]


def test_mnli_in_glues_layout_brings_its_mismatched_rows(tmp_path: Path) -> None:
    rows = "index\tsentence1\tsentence2\tgold_label\n0\ta\tb\tneutral\n1\tc\td\tentailment"
    folder = write(
        tmp_path / "MNLI", train__tsv=rows, dev_matched__tsv=rows, dev_mismatched__tsv=rows.replace("\ta\t", "\tx\t")
    )
    data = load(get("mnli"), tmp_path)
    assert [(name, split.first) for name, split in data.beside] == [("mismatched", ("x", "c"))]
    (folder / "dev_mismatched.tsv").unlink()
    assert load(get("mnli"), tmp_path).fingerprint() == data.fingerprint()


def test_files_that_are_named_one_by_one(tmp_path: Path) -> None:
    rows = '"A plane, taking off.",An air plane.,5.0\na,b,0.2'
    write(tmp_path, **{"stsb-en-train__csv": rows, "mine__csv": f"sentence2,sentence1,score\n{rows}"})
    data = given_files.load(get("stsb"), tmp_path / "stsb-en-train.csv", tmp_path / "mine.csv")
    assert (data.train.first, data.dev.second) == (("A plane, taking off.", "a"), ("A plane, taking off.", "a"))
    asked = [{"id": name, "question": "When?", "answers": [], "is_impossible": True} for name in "qr"]
    context = {"context": "Built in 1906.", "qas": asked}
    write(tmp_path, squad__json=json.dumps({"version": "v2.0", "data": [{"title": "x", "paragraphs": [context]}]}))
    with pytest.raises(UserError, match=r"none\.json: there is no such file"):
        given_files.load(get("squad2"), tmp_path / "squad.json", tmp_path / "none.json")
    found = given_files.load(get("squad2"), tmp_path / "squad.json", tmp_path / "squad.json")
    assert (found.dev.first, found.dev.ids) == (("When?", "When?"), ("q", "r"))


def test_glues_own_files_go_first_and_missing_ones_are_named(tmp_path: Path) -> None:
    rows = "gj04\t1\t\tgood\ncj99\t0\t*\tbad"
    folder = write(tmp_path / "CoLA", in_domain_train__tsv=rows)
    with pytest.raises(UserError, match=r"cola needs the file .*in_domain_dev\.tsv, which is missing"):
        load(get("cola"), tmp_path)
    write(folder, train__tsv=rows, dev__tsv=rows)
    assert "train.tsv" in load(get("cola"), tmp_path).source
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match=r"no folder CoLA with train\.tsv and dev\.tsv, nor in_domain_train\.tsv with"):
        load(get("cola"), tmp_path / "none")


def test_columns_of_other_names(tmp_path: Path) -> None:
    """They are asked for with the options that name them, also in a file that has the name of a published one."""
    task = get("snli")
    form = task.forms[0]
    rows = [{"premise": f"p{i}", "hypothesis": f"h{i}", "verdict": word} for i, word in enumerate(task.labels)]
    file = tmp_path / form.train
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError, match=r"has no column .*; name one with --label-column beside --task-file"):
        given_files.load(task, file, file)
    data = given_files.load(task, file, file, "premise", "hypothesis", "verdict")
    assert (data.train.first, data.train.second) == (("p0", "p1", "p2"), ("h0", "h1", "h2"))
    plain = tmp_path / "mine.tsv"
    plain.write_text("grade\tsentence2\tsentence1\n0\ta\tb\n")
    with pytest.raises(UserError, match=r"sentence1\); name another with --label-column beside --task-file"):
        given_files.load(get("stsb"), plain, plain)
