"""Splits beside dev: students and teacher answer them for the report, and nothing that is trained changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.further import further
from analysis.report import write
from analysis.tables import evaluations
from distill.tasks import metrics
from tests.distill import tiny
from tests.trainables.test_trial import timeless, train
from trainables import plan, prepare
from trainables.config import from_namespace
from trainables.record import PREPARED, SWEEP, TRIALS, read
from trainables.recorder import write_json
from trainables.resources import Machine

SPLIT = "out-of-domain"


def sentences(count: int, shift: int = 0) -> str:
    """Rows of the corpus: a label that the verb decides, but for every seventh row."""
    lines = []
    for i in range(shift, count + shift):
        label = int((i % 5 < 2) != (i % 7 == 0))
        lines.append(f"src\t{label}\t\tthe {tiny.NOUNS[i % 6]} {tiny.VERBS[i % 5]}\n")
    return "".join(lines)


@pytest.fixture(scope="module")
def folder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two sweeps of CoLA's own files that ran their undistilled student: `with` and `without` rows beside dev."""
    import torch

    threads, place = torch.get_num_threads(), tmp_path_factory.mktemp("further")
    for name in ("without", "with"):
        rows, sweep = place / f"rows-{name}", place / name
        rows.mkdir()
        sweep.mkdir()
        (rows / "in_domain_train.tsv").write_text(sentences(40))
        (rows / "in_domain_dev.tsv").write_text(sentences(20, 3))
        if name == "with":
            (rows / "out_of_domain_dev.tsv").write_text(sentences(15, 11))
        values: dict[str, Any] = {
            **{"layers": 2, "teacher": str(tiny_encoder), "data_dir": str(rows), "epochs": 2, "trials": 1},
            **{"artifacts": str(place / "store"), "teacher_epochs": 1, "allow_weak_teacher": True, "method": "kd"},
            **{"set": ["lr=1e-3", "batch_size=16"]},
        }
        header = plan.make(from_namespace(values, []), Machine(1, 0, True))
        write_json(sweep / SWEEP, header)
        data = prepare.load_data(header["config"], header["plan"])
        write_json(sweep / PREPARED, prepare.prepare(header, data, lambda line: None, None))
    yield place
    torch.set_num_threads(threads)


def test_both_are_prepared_alike_but_for_the_rows_beside(folder: Path) -> None:
    plain, more = (json.loads((folder / name / PREPARED).read_text()) for name in ("without", "with"))
    assert "further" not in plain
    split = more.pop("further")[SPLIT]
    assert more == plain
    assert split["rows"] == 15
    assert -1 <= split["teacher"] <= 1
    plans = [json.loads((folder / name / SWEEP).read_text())["plan"] for name in ("without", "with")]
    assert [point["hash"] for point in plans[0]["points"]] == [point["hash"] for point in plans[1]["points"]]


def test_the_best_student_so_far_answers_them_and_the_report_tells_it(folder: Path) -> None:
    plain, more = (train(folder / name, "ft") for name in ("without", "with"))
    assert all("further" not in row for row in plain)
    best = None
    for row in more:
        leads = best is None or row["value"] > best
        best = row["value"] if leads else best
        assert ("further" in row) == leads
    found = [row.pop("further", None) for row in more]
    assert timeless(more) == timeless(plain)
    last = [one for one in found if one][-1]
    with np.load(folder / "with" / TRIALS / "ft" / f"predictions-{SPLIT}.npz") as saved:
        logits, labels = saved["logits"], saved["labels"]
    assert len(labels) == 15
    for name in ("mcc", "accuracy"):
        assert last[f"{SPLIT}/{name}"] == metrics.get(name).compute(logits, labels)
    rows = []
    for number, (row, there) in enumerate(zip(more, found, strict=True)):
        known = {"kind": "evaluation", "point": "ft", "seq": number, "time": "2026-01-01T00:00:00Z", "attempt": 1}
        rows.append({**row, **known, **({"further": there} if there else {})})
    (folder / "with" / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    record = read(folder / "with")
    (told,) = further(record)
    score = f"{last[f'{SPLIT}/mcc']:.3f}".replace("-", "−")
    assert told.startswith(f"On the 15 {SPLIT} rows, which decided nothing, Matthews correlation is: ")
    assert f"the undistilled student (ft) {score}, the teacher " in told
    assert f"{SPLIT}_mcc" in evaluations(record)
    assert told in (write(folder / "with").parent / "report.md").read_text()
