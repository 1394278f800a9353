"""The forms that predictions are written in, and the folder they go to. Imports without torch."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path

from analysis.predict.rows import Split
from analysis.predict.said import Answers, Texts
from distill.errors import UserError
from distill.tasks.base import Task

# What the GLUE server calls the answers to a split of a task.
SERVER = {
    ("cola", "test"): "CoLA.tsv",
    ("sst2", "test"): "SST-2.tsv",
    ("mrpc", "test"): "MRPC.tsv",
    ("stsb", "test"): "STS-B.tsv",
    ("qqp", "test"): "QQP.tsv",
    ("mnli", "test_matched"): "MNLI-m.tsv",
    ("mnli", "test_mismatched"): "MNLI-mm.tsv",
    ("qnli", "test"): "QNLI.tsv",
    ("rte", "test"): "RTE.tsv",
    ("wnli", "test"): "WNLI.tsv",
    ("mnli", "diagnostic"): "AX.tsv",
}
# Before the probabilities.
_FIRST = ("id", "label")
MADE, ARCHIVE = "predictions-made.json", "submission.zip"
# Scores of STS-B; the server is given none outside.
_LOWEST, _HIGHEST = 0.0, 5.0


def names(task: Task, split: Split) -> list[str]:
    """The files that answers to a split go to."""
    if task.kind == "span":
        ends = (".json", "-null-odds.json") if task.unanswerable else (".json",)
        return [f"{task.name}-{split.name}{end}" for end in ends]
    plain = f"{task.name}-{split.name}.csv"
    return [SERVER.get((task.name, split.name), plain) if split.public else plain]


def content(task: Task, split: Split, made: Answers | Texts) -> dict[str, str]:
    """What the files hold, by name; of spans, as SQuAD's own program reads them."""
    if isinstance(made, Texts):
        found = (json.dumps(said, ensure_ascii=False, indent=0) + "\n" for said in (made.texts, made.ahead))
        return dict(zip(names(task, split), found, strict=False))
    (name,) = names(task, split)
    ids = split.examples.ids or tuple(map(str, range(len(split.examples))))
    write = _server if name in SERVER.values() else _table
    return {name: write(task, ids, made)}


def _server(task: Task, ids: Iterable[str], made: Answers) -> str:
    """`index` and `prediction`, separated by tabs, one row of the test file a line."""
    if task.kind == "regression":
        said = [_number(min(max(float(value), _LOWEST), _HIGHEST)) for value in made.logits[:, 0]]
    else:
        said = [task.labels[label] for label in made.chosen]
    lines = [f"{id}\t{word}" for id, word in zip(ids, said, strict=True)]
    return "\n".join(["index\tprediction", *lines]) + "\n"


def _table(task: Task, ids: Iterable[str], made: Answers) -> str:
    """The row's name, the label and the probability of each; of scores the score."""
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    if task.kind == "regression":
        table.writerow(["id", "score"])
        table.writerows([id, _number(float(value))] for id, value in zip(ids, made.logits[:, 0], strict=True))
        return stream.getvalue()
    # A class may be called like one of the first two columns.
    before = "p_" if {*_FIRST} & {*task.labels} else ""
    table.writerow([*_FIRST, *(f"{before}{word}" for word in task.labels)])
    for id, label, shares in zip(ids, made.chosen, made.probabilities, strict=True):
        table.writerow([id, task.labels[label], *(f"{share:.6f}" for share in shares)])
    return stream.getvalue()


def _number(value: float) -> str:
    """With as many digits as float32 has."""
    return f"{value:.9g}"


class Target:
    """The folder of predictions, and what of it this command wrote: that may be written anew, a person's files not.

    Raises:
        UserError: It is no folder, or what it says of its files cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        if folder.exists() and not folder.is_dir():
            raise UserError(f"--out {folder} is a file; name a folder.")
        self._made = self._read()

    def _read(self) -> dict[str, dict[str, str]]:
        try:
            made: dict[str, dict[str, str]] = json.loads((self.folder / MADE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise UserError(f"{self.folder / MADE} cannot be read; remove it, or name another --out.") from error
        return made

    def refuse_taken(self, names: Iterable[str]) -> None:
        """Raise UserError where a file of one of these names is there that this command did not write, or not so."""
        for name in names:
            file = self.folder / name
            if file.exists() and _hash(file.read_bytes()) not in self._made.get(name, {}).values():
                raise UserError(
                    f"{file} is there and was not written by this command, or changed since; name another --out, or "
                    "move it away."
                )

    def write(self, content: dict[str, str], about: str) -> list[Path]:
        """Write files, each whole or not at all, and note that they are ours.

        Args:
            content: By name.
            about: Whose answers they are.

        Raises:
            UserError: The folder cannot be written.
        """
        for name, text in content.items():
            self._put(name, text.encode("utf-8"), about)
        return [self.folder / name for name in content]

    def refuse_unpackable(self, coming: Iterable[str]) -> None:
        """Raise UserError where there will be nothing for the server to pack, or the archive may not be written.

        Args:
            coming: Files that are about to be written.
        """
        every = list(SERVER.values())
        if not any(name in coming or (self.folder / name).is_file() for name in every):
            raise UserError(f"--zip: {self.folder} has none of {', '.join(every)}; predict GLUE's test rows first.")
        self.refuse_taken([ARCHIVE])

    def pack(self) -> str:
        """Write what the folder has of the server's files as one archive; a line that tells which it has and lacks.

        Raises:
            UserError: It has none.
        """
        self.refuse_unpackable(())
        every = list(SERVER.values())
        here = [name for name in every if (self.folder / name).is_file()]
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in here:
                # Without the time of day: equal answers give equal archives.
                archive.writestr(zipfile.ZipInfo(name), (self.folder / name).read_bytes(), zipfile.ZIP_DEFLATED)
        self._put(ARCHIVE, packed.getvalue(), ", ".join(here))
        lacking = [name for name in every if name not in here]
        tail = f"; the server also asks for {', '.join(lacking)}" if lacking else ""
        return f"Written: {self.folder / ARCHIVE} with {', '.join(here)}{tail}."

    def _put(self, name: str, content: bytes, about: str) -> None:
        # Noted before it is there, with what it replaces: whatever a kill in between leaves is ours.
        before = self._made.get(name, {}).get("sha256", "")
        self._made[name] = {"of": about, "sha256": _hash(content), "before": before}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for place, text in ((MADE, json.dumps(self._made, indent=1).encode()), (name, content)):
                staging = self.folder / f".{place}.{os.getpid()}"
                staging.write_bytes(text)
                staging.replace(self.folder / place)
        except OSError as error:
            raise UserError(f"{self.folder} cannot be written: {error.strerror}; name another --out.") from error


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
