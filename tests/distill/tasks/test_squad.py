"""SQuAD's files: read as they come, and each malformed thing one sentence with file and question."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.errors import UserError
from distill.tasks import given_files, hub, registry, squad
from distill.tasks.base import Answer, Task
from distill.tasks.holdout import hold_out
from distill.tasks.rows import read

SQUAD2, SQUAD = registry.get("SQuAD2"), registry.get("squad")
CONTEXT = "Die Brücke – built in 1906 – leads to the old town."


def question(name: str, text: str | None = "1906", **more: Any) -> dict[str, Any]:
    answers = [] if text is None else [{"text": text, "answer_start": CONTEXT.index(text)}]
    return {"id": name, "question": " When? ", "answers": answers, "is_impossible": text is None, **more}


def content(*questions: dict[str, Any]) -> dict[str, Any]:
    return {"version": "v2.0", "data": [{"title": "Bridge", "paragraphs": [{"context": CONTEXT, "qas": [*questions]}]}]}


def written(file: Path, found: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")
    return file


def test_rows_are_read_as_they_come(tmp_path: Path) -> None:
    twice = question("b", "old town")
    twice["answers"].append({"text": "the old town", "answer_start": CONTEXT.index("the old")})
    impossible = question("c", None, plausible_answers=[{"text": "Die", "answer_start": 0}])

    rows = squad.read(written(tmp_path / "dev.json", content(question("a"), twice, impossible)), SQUAD2)

    assert rows.ids == ("a", "b", "c")
    assert rows.first == ("When?",) * 3
    assert rows.second == (CONTEXT,) * 3
    assert rows.answers == (
        (Answer("1906", CONTEXT.index("1906")),),
        (Answer("old town", CONTEXT.index("old")), Answer("the old town", CONTEXT.index("the old"))),
        (),
    )
    np.testing.assert_array_equal(rows.labels, [1, 1, 0])


def test_files_of_the_first_version_have_no_mark(tmp_path: Path) -> None:
    one, two = question("a"), question("b")
    for qa in (one, two):
        del qa["is_impossible"]
    assert len(squad.read(written(tmp_path / "dev.json", content(one, two)), SQUAD)) == 2


def changed(path: tuple[Any, ...], value: Any) -> Any:
    """Two sound questions with something else at one place; None takes it out."""
    found = copy.deepcopy(content(question("a"), question("b")))
    holder: Any = found
    for step in path[:-1]:
        holder = holder[step]
    if value is None:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return found


QAS = ("data", 0, "paragraphs", 0, "qas")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("data",), None, "'data' is missing"),
        (("data",), {"a": 1}, "'data' must be a list"),
        (("data", 0), "text", "article 1: an object with 'paragraphs' is expected, not 'text'"),
        (("data", 0, "paragraphs", 0, "context"), None, "article 1, paragraph 1: 'context' is missing"),
        (("data", 0, "paragraphs", 0, "context"), "  ", "article 1, paragraph 1: 'context' is empty"),
        ((*QAS, 1, "id"), None, "question 2 of article 1, paragraph 1: 'id' is missing"),
        ((*QAS, 1, "id"), 7, "question 2 of article 1, paragraph 1: 'id' must be a text"),
        ((*QAS, 1, "id"), "a", "two questions have the id a"),
        ((*QAS, 1, "question"), "", "question b: 'question' is empty"),
        ((*QAS, 1, "answers"), None, "question b: 'answers' is missing"),
        ((*QAS, 1, "answers"), [], "question b: it has no answer, and it is not marked is_impossible"),
        ((*QAS, 1, "is_impossible"), True, "question b: it is marked is_impossible, but has answers"),
        ((*QAS, 1, "is_impossible"), "no", "question b: is_impossible is 'no'"),
        ((*QAS, 1, "answers", 0, "answer_start"), None, "question b: 'answer_start' is missing"),
        ((*QAS, 1, "answers", 0, "answer_start"), "3", "question b: 'answer_start' must be a whole number"),
        ((*QAS, 1, "answers", 0, "answer_start"), 3, "question b: the answer '1906' does not stand .* at character 3"),
        ((*QAS, 1, "answers", 0, "answer_start"), -5, "question b: the answer '1906' does not stand"),
        ((*QAS, 1, "answers", 0, "answer_start"), True, "question b: the answer '1906' does not stand"),
        ((*QAS, 1, "answers", 0, "text"), "x" * 200, "question b: the answer 'x{60}' does not stand"),
        ((*QAS, 1, "answers", 0), 5, "question b: an object with 'text' is expected, not 5"),
        (QAS, [question("a")], "has 1 question; at least 2 are needed"),
        (QAS, [], "has no questions; at least 2 are needed"),
    ],
)
def test_what_is_malformed_is_named(tmp_path: Path, path: tuple[Any, ...], value: Any, words: str) -> None:
    file = written(tmp_path / "dev.json", changed(path, value))
    with pytest.raises(UserError, match=words) as caught:
        squad.read(file, SQUAD2)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "is empty"),
        (b" \n ", "is empty"),
        ('{"data": []}'.encode("utf-16"), "is not UTF-8 text .it looks like UTF-16"),
        (b'{"data": [\n {"a" 5}]}', r"line 2, column 7: not JSON"),
        (b'{"data": "caf\xe9"}', "line 1: not UTF-8"),
        (b'{"data": [' + b'"word ' * 200_000, "line 1, column .*: not JSON"),
        (b"[" * 100_000, "nested too deeply|not JSON"),
    ],
)
def test_what_is_no_json_is_named(tmp_path: Path, raw: bytes, words: str) -> None:
    file = tmp_path / "train.json"
    file.write_bytes(raw)
    with pytest.raises(UserError, match=words) as caught:
        squad.read(file, SQUAD2)
    assert len(str(caught.value)) < 300


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.json can't be read: No such file"):
        squad.read(tmp_path / "none.json", SQUAD2)


def test_a_question_without_an_answer_is_refused_by_the_first_version(tmp_path: Path) -> None:
    file = written(tmp_path / "dev.json", content(question("a"), question("b", None)))
    with pytest.raises(UserError, match=r"question b: it has no answer, but squad .* --task squad2"):
        squad.read(file, SQUAD)


@pytest.mark.parametrize(("text", "shift"), [(" 1906", 0), (" 1906", 1), ("1906 ", -1), (" the old ", 2)])
def test_white_space_around_an_answer_may_move_it_a_little(tmp_path: Path, text: str, shift: int) -> None:
    one, two = question("a"), question("b")
    place = CONTEXT.index(text.strip())
    one["answers"] = [{"text": text, "answer_start": place + shift - (text[0] == " ")}]

    rows = squad.read(written(tmp_path / "dev.json", content(one, two)), SQUAD2)

    assert rows.answers is not None
    assert rows.answers[0] == (Answer(text.strip(), place),)
    one["answers"][0]["answer_start"] += 5
    with pytest.raises(UserError, match="does not stand"):
        squad.read(written(tmp_path / "dev.json", content(one, two)), SQUAD2)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    file = tmp_path / "dev.json"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(content(question("a"), question("b"))).encode())
    assert len(squad.read(file, SQUAD2)) == 2


@pytest.mark.parametrize(
    ("folder", "names"),
    [
        ("SQuAD2", ("train-v2.0.json", "dev-v2.0.json")),
        ("squad-2.0", ("train.json", "dev-v2.json")),
        (".", ("train-part.json", "dev-v2.0.json")),
    ],
)
def test_both_files_are_found(tmp_path: Path, folder: str, names: tuple[str, str]) -> None:
    if folder == "squad-2.0":
        folder = "squad_2"
    for name in names:
        written(tmp_path / folder / name, content(question("a"), question(name)))

    data = read(SQUAD2, "local", tmp_path)

    assert data.train.ids == ("a", names[0])
    assert data.dev.ids == ("a", names[1])
    assert names[0] in data.source


@pytest.mark.parametrize(
    ("task", "folder"),
    [(SQUAD2, name) for name in ("SQuAD2.0", "squad_v2", "SQuAD-2.0", "squad_v2.0")]
    + [(SQUAD, name) for name in ("SQuAD1.1", "squad_v1.1", "squad")],
)  # fmt: skip
def test_folders_go_by_their_usual_names(tmp_path: Path, task: Task, folder: str) -> None:
    for name in ("train.json", "dev.json"):
        written(tmp_path / folder / name, content(question("a"), question("b", None if task is SQUAD2 else "1906")))
    for named in (tmp_path, tmp_path / folder):
        assert squad.load(task, named).source.startswith(str(tmp_path / folder))
    other = SQUAD if task is SQUAD2 else SQUAD2
    with pytest.raises(UserError, match=f"{folder} holds {task.name}, but the task is {other.name}"):
        squad.load(other, tmp_path / folder)


def test_a_folder_with_both_sets_gives_each_task_its_own(tmp_path: Path) -> None:
    for version in ("1.1", "2.0"):
        for split in ("train", "dev"):
            more = question("b", None if version == "2.0" else "old town")
            written(tmp_path / "SQuAD" / f"{split}-v{version}.json", content(question(version), more))
    for task, version in ((SQUAD, "1.1"), (SQUAD2, "2.0")):
        assert squad.load(task, tmp_path / "SQuAD").train.ids == (version, "b")


def test_several_folders_of_a_task_are_named_unless_one_has_its_very_name(tmp_path: Path) -> None:
    for folder in ("squad_v2", "SQuAD2.0"):
        for name in ("train.json", "dev.json"):
            written(tmp_path / folder / name, content(question(folder), question("b", None)))
    with pytest.raises(UserError, match=r"holds SQuAD2\.0 and squad_v2; keep one of them"):
        squad.load(SQUAD2, tmp_path)
    (tmp_path / "squad_v2").rename(tmp_path / "SQuAD2")
    assert squad.load(SQUAD2, tmp_path).train.ids == ("squad_v2", "b")


@pytest.mark.parametrize("version", ["1.1", "v1.1", 1.1])
def test_a_training_file_of_the_first_version_is_none_of_the_second(tmp_path: Path, version: Any) -> None:
    both = {**content(question("a"), question("b")), "version": version}
    train, dev = written(tmp_path / "train-v1.1.json", both), written(tmp_path / "dev-v2.0.json", both)
    wanted = f"{train} is of SQuAD 1.1, where every question has an answer; take --task squad, or a training file"
    for load in (lambda: squad.load(SQUAD2, tmp_path), lambda: given_files.load(SQUAD2, train, dev)):
        with pytest.raises(UserError) as refused:
            load()
        assert str(refused.value) == f"{wanted} for squad2"
    assert len(given_files.load(SQUAD, train, dev).train) == 2
    # What such a file says of itself plays no part where one of its rows has no answer.
    written(train, {**content(question("a"), question("b", None)), "version": version})
    assert squad.load(SQUAD2, tmp_path).notes == ()


def test_a_training_file_without_version_whose_rows_all_have_answers_is_told(tmp_path: Path) -> None:
    rows = content(question("a"), question("b"))
    del rows["version"]
    train, dev = written(tmp_path / "train-v2.0.json", rows), written(tmp_path / "dev-v2.0.json", rows)
    told = (f"{train}: every question has an answer, so nothing teaches when one of squad2 has none.",)
    assert squad.load(SQUAD2, tmp_path).notes == given_files.load(SQUAD2, train, dev).notes == told
    assert given_files.load(SQUAD, train, dev).notes == ()


def test_columns_of_files_that_have_none_are_refused(tmp_path: Path) -> None:
    file = written(tmp_path / "rows.json", content(question("a"), question("b", None)))
    for name in ("text", "pair", "label"):
        named: dict[str, Any] = {f"{name}_column": "x"}
        with pytest.raises(UserError, match=f"^--{name}-column x: files of squad2 are in SQuAD's form, which has no"):
            given_files.load(SQUAD2, file, file, **named)


def test_one_question_is_enough_to_be_asked(tmp_path: Path) -> None:
    file = written(tmp_path / "ask.json", content({"id": "a", "question": "When?"}))
    assert squad.questions(file, SQUAD).ids == ("a",)
    with pytest.raises(UserError, match=r"has no questions; at least 1 is needed"):
        squad.questions(written(file, content()), SQUAD)


def test_files_that_could_be_meant_or_are_missing_are_named(tmp_path: Path) -> None:
    for name in ("dev-part1.json", "dev-part2.json", "train-v2.0.json"):
        written(tmp_path / name, content(question("a"), question("b")))
    with pytest.raises(UserError, match=r"dev-part1\.json, dev-part2\.json could each be meant"):
        squad.load(SQUAD2, tmp_path)
    for name in ("dev-part1.json", "dev-part2.json"):
        (tmp_path / name).unlink()
    with pytest.raises(UserError, match=r"squad2 needs the file .*dev-v2\.0\.json, which is missing"):
        squad.load(SQUAD2, tmp_path)
    with pytest.raises(UserError, match="there is no folder"):
        squad.load(SQUAD2, tmp_path / "none")


def test_rows_of_the_hub_are_those_of_the_files(tmp_path: Path) -> None:
    file = written(tmp_path / "dev.json", content(question("a"), question("b", "old town"), question("c", None)))
    rows = squad.read(file, SQUAD2)
    assert rows.answers is not None
    columns: dict[str, Any] = {
        "id": ["a", "b", "c"],
        "question": [" When?"] * 3,
        "context": [CONTEXT] * 3,
        "answers": [{"text": [x.text for x in a], "answer_start": [x.start for x in a]} for a in rows.answers],
    }

    again = squad.from_columns(SQUAD2, columns, "somewhere")

    assert (again.first, again.second, again.answers, again.ids) == (rows.first, rows.second, rows.answers, rows.ids)
    columns["answers"][1]["answer_start"] = [3]
    with pytest.raises(UserError, match="somewhere, question b: the answer 'old town' does not stand"):
        squad.from_columns(SQUAD2, columns, "somewhere")
    columns["answers"][1] = {"text": ["a", "b"], "answer_start": [3]}
    with pytest.raises(UserError, match="question b: 2 texts of answers have 1 places"):
        squad.from_columns(SQUAD2, columns, "somewhere")


def test_both_splits_come_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets import Dataset, DatasetDict, Features, Value

    columns: dict[str, list[Any]] = {
        "id": ["a", "b"],
        "title": ["Bridge"] * 2,
        "context": [CONTEXT] * 2,
        "question": ["When?"] * 2,
        "answers": [{"text": ["1906"], "answer_start": [CONTEXT.index("1906")]}, {"text": [], "answer_start": []}],
    }
    text, answers = Value("string"), {"text": [Value("string")], "answer_start": [Value("int32")]}
    features = Features({"id": text, "title": text, "context": text, "question": text, "answers": answers})
    split = Dataset.from_dict(columns, features=features)
    monkeypatch.setattr(hub, "splits", lambda *_: (DatasetDict(train=split, validation=split), "0123456789"))

    data = hub.load(SQUAD2)

    assert data.train.answers == ((Answer("1906", CONTEXT.index("1906")),), ())
    assert data.dev.ids == ("a", "b")
    assert data.source == "rajpurkar/squad_v2, squad_v2, at 01234567 (hub)"
    with pytest.raises(UserError, match="question b: it has no answer, but squad knows only"):
        hub.load(SQUAD)


def test_rows_are_held_out_and_drawn_with_their_answers(tmp_path: Path) -> None:
    many = [question(f"q{i}", "1906" if i % 2 else None) for i in range(20)]
    texts = [{"context": f"{CONTEXT} No. {number}", "qas": [qa]} for number, qa in enumerate(many)]
    for name in ("train-v2.0.json", "dev-v2.0.json"):
        written(tmp_path / name, {"data": [{"paragraphs": texts}]})
    data = squad.load(SQUAD2, tmp_path)

    held = hold_out(data.limit_train(10, seed=1), 0.3, seed=0)

    assert (len(held.train), len(held.dev), len(held.reported)) == (7, 3, 20)
    for split in (held.train, held.dev):
        assert split.ids is not None
        assert split.answers is not None
        for name, answers in zip(split.ids, split.answers, strict=True):
            assert bool(answers) == bool(int(name[1:]) % 2)
