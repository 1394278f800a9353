"""The command line: which student, which rows, and where the answers go. Imports without torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from distill.command_line import Parser, refuse_empty
from distill.errors import UserError, error_line
from distill.output import say

FOLDER = "predictions"
# Rows of a student without a sweep, whose plan would say it.
LENGTH, BATCH = 128, 64


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = Parser(
        prog="python -m analysis.predict",
        description="Let a student answer rows, and write its answers: those to GLUE's test and diagnostic rows as the "
        "GLUE server takes them, answers out of texts as SQuAD's JSON, all others as csv with probabilities.",
    )
    root.add_argument(
        "folder", metavar="DIR", type=Path, help="a sweep (its best student), several sweeps, or a student's folder"
    )
    root.add_argument("--split", default="test", metavar="NAME", help="test, dev, train or diagnostic (default: test)")
    root.add_argument("--data-dir", metavar="DIR", help="folder with the task's files (default: the sweep's)")
    root.add_argument("--file", metavar="FILE", help="the rows of this file, labelled or not, with the task's columns")
    root.add_argument("--task", metavar="NAME", help="the task, where the folder is a student's (default: the sweep's)")
    root.add_argument("--text-column", metavar="NAME", help="column of the text, or of the first of a pair, in --file")
    root.add_argument("--pair-column", metavar="NAME", help="column of the second text of a pair in --file")
    root.add_argument("--method", metavar="NAME", help="of several sweeps one of this method (default: the best)")
    root.add_argument("--out", metavar="DIR", help=f"where the files go (default: {FOLDER} in the folder)")
    root.add_argument("--batch-size", type=int, metavar="N", help="rows at a time (default: as in the sweep, else 64)")
    root.add_argument(
        "--max-length",
        type=int,
        metavar="N",
        help="tokens of the longest row (default: as in the sweep, else 128, of SQuAD 384)",
    )
    root.add_argument("--doc-stride", type=int, metavar="N", help="SQuAD: as in a sweep (default: as in this one)")
    root.add_argument("--null-threshold", type=float, metavar="X", help="SQuAD 2.0: as in a sweep (default: as in it)")
    root.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU where there is one")
    root.add_argument(
        "--zip", action="store_true", help="pack all files for the GLUE server that --out has into submission.zip"
    )
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when the files are there, 2 on bad input."""
    asked = parser().parse_args(sys.argv[1:] if arguments is None else arguments)
    try:
        refuse_empty({name: value for name, value in vars(asked).items() if name != "folder"})
        for name in ("batch_size", "max_length"):
            if (value := getattr(asked, name)) is not None and value < 1:
                raise UserError(f"--{name.replace('_', '-')} {value} is too small; the least is 1.")
        if asked.file and asked.data_dir:
            raise UserError("--file and --data-dir both name the rows; give one of them.")
        for name in ("text_column", "pair_column"):
            if getattr(asked, name) and not asked.file:
                raise UserError(
                    f"--{name.replace('_', '-')} says what a column of --file is called; name that file too."
                )
        _run(asked)
    except UserError as error:
        print(error_line(error), file=sys.stderr)
        return 2
    return 0


def _run(asked: argparse.Namespace) -> None:
    from analysis.predict import files, place, rows

    found = place.find(asked.folder, asked.method)
    task = place.task_of(found, asked.task, asked.text_column, asked.pair_column)
    splits = rows.read(found, task, asked)
    target = files.Target(Path(asked.out).expanduser() if asked.out else found.folder / FOLDER)
    for split in splits:
        # Hours of work are not to end in a file that may not be written.
        target.refuse_taken(files.names(task, split))
    if asked.zip:
        target.refuse_unpackable([name for split in splits for name in files.names(task, split)])

    from analysis.predict import answers, words

    student = answers.load(found, task, asked)
    for line in words.student(found, task, student):
        say(line)
    for split in splits:
        made = answers.answer(student, task, split, say)
        for line in words.answered(found, task, split, made, student):
            say(line)
        for path in target.write(files.content(task, split, made), about=found.name):
            say(f"Written: {path}")
    if asked.zip:
        say(target.pack())
