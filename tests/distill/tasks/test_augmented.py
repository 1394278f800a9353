"""Augmented rows beside a task's own: who reads which, what is counted, what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from distill.errors import UserError
from distill.tasks import registry
from distill.tasks.augmented import counted, with_augmented
from distill.tasks.base import Examples
from distill.tasks.holdout import hold_out
from tests.distill import tiny

ROW = tiny.data().train.first[0]


def file(folder: Path, lines: str = f"{ROW}\t1\nthe dog runs\t0\n") -> Path:
    path = folder / "aug.tsv"
    path.write_text("sentence\tlabel\n" + lines)
    return path


def test_students_read_the_file_and_teachers_their_own(tmp_path: Path) -> None:
    data = tiny.data()
    both = with_augmented(data, file(tmp_path))
    student, teacher = both.of_student(), both.of_teacher()
    assert student.train.first == (ROW, "the dog runs")
    assert student.train.labels.tolist() == [1, 0]
    assert student.dev is teacher.dev is data.dev
    assert teacher.train is data.train
    assert teacher.fingerprint() == data.fingerprint()
    assert len({data.fingerprint(), student.fingerprint(), both.fingerprint()}) == 3
    assert (data.of_student(), data.of_teacher()) == (data, data)


def test_every_text_and_label_is_in_the_fingerprint(tmp_path: Path) -> None:
    data = tiny.data()
    texts = [
        f"{ROW}\t1\nthe dog runs\t0\n",
        f"{ROW}\t0\nthe dog runs\t1\n",
        f"{ROW}\t1\nthe dog sings\t0\n",
    ]
    assert len({with_augmented(data, file(tmp_path, lines)).fingerprint() for lines in texts}) == 3
    # Rows that only the report sees are another thing than augmented ones.
    other = dataclasses.replace(data, report=with_augmented(data, file(tmp_path)).augmented)
    assert other.fingerprint() != with_augmented(data, file(tmp_path)).fingerprint()


def test_fewer_rows_are_the_teacher_s(tmp_path: Path) -> None:
    both = with_augmented(tiny.data(), file(tmp_path)).limit_train(10, 0)
    assert len(both.of_teacher().train) == 10
    assert len(both.of_student().train) == 2


def test_what_is_counted(tmp_path: Path) -> None:
    data = tiny.data(train=6, dev=4)
    lines = "".join(f"{text}\t1\n" for text in (*data.train.first[:3], data.dev.first[0], "the boat")) + "a boat\t0\n"
    held = set(data.train.first[:3]) | {data.dev.first[0], "the boat", "a boat"}
    assert counted(with_augmented(data, file(tmp_path, lines)), "aug.tsv") == {
        "file": "aug.tsv",
        "rows": 6,
        "own_rows": 6,
        "originals": sum(text in held for text in data.train.first),
        "dev_doubles": sum(text in held for text in data.dev.first),
    }


def test_pairs_and_scores(tmp_path: Path) -> None:
    task = registry.get("stsb")
    pair = Examples(("a cat", "a dog"), ("the cat", "the dog"), np.array([1.5, 3.8], dtype=np.float32))
    own = Examples(("a cat", "a bird"), ("the cat", "the bird"), pair.labels)
    path = tmp_path / "aug.tsv"
    path.write_text("sentence1\tsentence2\tscore\na cat\tthe cat\t1.5\na dog\tthe dog\t3.8\n")
    found = with_augmented(dataclasses.replace(tiny.data("stsb"), task=task, train=own), path).augmented
    assert found is not None
    assert (found.first, found.second) == (pair.first, pair.second)
    assert np.array_equal(found.labels, pair.labels)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("the cat\t1\nthe dog\n", "line 3: 1 column found"),
        ("the cat\t1\n\t0\n", "line 3: the text in column 'sentence' is empty"),
        ("the cat\t1\nthe dog\t2\n", "line 3: unknown label '2'"),
        ("the cat\t1\nthe dog\t1\n", "every row has the label '1'"),
    ],
)
def test_malformed_files_name_the_line(tmp_path: Path, lines: str, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        with_augmented(tiny.data(), file(tmp_path, lines))
    assert sentence in str(error.value)
    assert str(error.value).startswith("--augmented ")
    assert "aug.tsv" in str(error.value)
    assert str(error.value).endswith("; make it anew with python -m distill.augment, or name another file.")


def test_no_line_of_it_may_be_torn(tmp_path: Path) -> None:
    path = tmp_path / "aug.tsv"
    rows = "".join(f"a cat {i}\ta dog\t{i % 2}\n" for i in range(20_000))
    path.write_text(f"question1\tquestion2\tis_duplicate\n{rows}torn\n")
    with pytest.raises(UserError, match="line 20002"):
        with_augmented(dataclasses.replace(tiny.data("qqp")), path)


def test_a_file_of_another_task(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--augmented .*aug\.tsv holds none of the training rows of cola"):
        with_augmented(tiny.data(), file(tmp_path, "nobody said this\t1\nnor that\t0\n"))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--augmented .*none\.tsv is no file; python -m distill.augment makes one"):
        with_augmented(tiny.data(), tmp_path / "none.tsv")


def test_rows_are_not_held_out_of_what_was_augmented(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--select-on train-holdout:0\.25 does not go with augmented rows, which hold"):
        hold_out(with_augmented(tiny.data(), file(tmp_path)), 0.25, 0)


def test_texts_with_answers_in_them_are_not_augmented(capsys: pytest.CaptureFixture[str]) -> None:
    from distill.augment.command import main

    assert main(["--task", "squad2", "--model", "none", "--out", "out.tsv"]) == 2
    assert "augmenting does not go with squad2, whose answers are places in a text" in capsys.readouterr().err
