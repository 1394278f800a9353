"""Rows keep the names of their files, where predictions ask for these."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.tasks import given_files, glue, own, registry

MNLI = registry.get("mnli")


@pytest.mark.parametrize(
    ("column", "names"), [("id", ("r9", "r7")), ("Index", ("r9", "r7")), ("idx", ("r9", "r7")), ("other", ("0", "2"))]
)
def test_names_of_own_rows_fit_where_one_is_left_out(tmp_path: Path, column: str, names: tuple[str, ...]) -> None:
    train, dev = tmp_path / "a.csv", tmp_path / "b.csv"
    train.write_text(f"{column},text,label\n5,a,0\n6,a,1\n")
    dev.write_text(f"{column},text,label\nr9,a,0\nr8,a,-1\nr7,a,1\n")
    data = own.read(train, dev, named=True)
    assert (data.train.ids, data.dev.ids) == (("0", "1") if column == "other" else ("5", "6"), names)
    plain = own.read(train, dev)
    assert plain.dev.ids is None
    assert plain.fingerprint() == data.fingerprint()


@pytest.mark.parametrize(("column", "names"), [("index", ("r9", "r7")), ("pairID", ("0", "2"))])
@pytest.mark.parametrize("ending", ["tsv", "csv"])
def test_names_in_files_of_a_known_task(tmp_path: Path, column: str, names: tuple[str, ...], ending: str) -> None:
    header = [column, MNLI.first_column, MNLI.second_column or "", MNLI.label_column]
    rows = [header, ["r9", "a", "b", "neutral"], ["r8", "a", "b", "-"], ["r7", "a", "b", "entailment"]]
    file = tmp_path / f"a.{ending}"
    file.write_text("".join(("\t" if ending == "tsv" else ",").join(row) + "\n" for row in rows))
    data = given_files.load(MNLI, file, file, named=True)
    assert (data.train.ids, data.dev.ids) == (names, names)
    plain = given_files.load(MNLI, file, file)
    assert plain.dev.ids is None
    assert plain.fingerprint() == data.fingerprint()


def test_names_in_a_folder_are_those_of_each_file(tmp_path: Path) -> None:
    header = f"index\t{MNLI.first_column}\t{MNLI.second_column}\t{MNLI.label_column}\n"
    files = [MNLI.train_file, MNLI.dev_file, *dict(MNLI.beside).values()]
    for number, file in enumerate(files):
        (tmp_path / file).write_text(f"{header}{number}1\ta\tb\tneutral\n{number}0\ta\tb\tentailment\n")
    data = glue.load(MNLI, tmp_path, named=True)
    found = [data.train.ids, data.dev.ids, *(rows.ids for _, rows in data.beside)]
    assert found == [(f"{number}1", f"{number}0") for number in range(len(files))]
    assert glue.load(MNLI, tmp_path).dev.ids is None
