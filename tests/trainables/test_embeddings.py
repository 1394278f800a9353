"""Embeddings that a method gives its students are the same behind all doors, and after a kill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import distill
from distill.models.student import load_classifier
from distill.tasks import registry
from tests.trainables.doors import session
from tests.trainables.test_door_trial import prepare_here
from trainables import plan, prepare, trial
from trainables.config import from_namespace
from trainables.door_plan import plan_trials
from trainables.door_trial import train
from trainables.record import PREPARED, SWEEP
from trainables.recorder import write_json

NUMBERS: dict[str, Any] = {"epochs": 2, "max_train_rows": 32}
# So small a rate that what the student began with can be told from what it has become.
VALUES = {"lr": 1e-7, "gate_lr": 1e-7, "hidden": 10.0}
SHARED: dict[str, Any] = {
    **{"method": "lad", "layers": 2, "source": "local", "scheduler": "none", "trials": 1, **NUMBERS},
    **{"teacher_epochs": 1, "allow_weak_teacher": True, "baseline": False},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    threads = torch.get_num_threads()
    yield tmp_path_factory.mktemp("embeddings")
    torch.set_num_threads(threads)


def _swept(header: dict[str, Any], data: Any, folder: Path, kill: bool) -> tuple[Path, list[Any]]:
    """A trial of the only point, in two sittings where it shall be killed: its student's folder, and what it told."""
    folder.mkdir()
    write_json(folder / SWEEP, header)
    write_json(folder / PREPARED, prepare_here(header, data))
    point = header["plan"]["points"][0]
    rows: list[dict[str, Any]] = []

    def report(row: dict[str, Any]) -> None:
        rows.append(row)
        if kill and len(rows) == 1:
            raise KeyboardInterrupt

    if kill:
        with pytest.raises(KeyboardInterrupt):
            trial.train_point(folder, point["id"], 0, report)
        torch.manual_seed(99)
    trial.train_point(folder, point["id"], len(rows), rows.append)
    assert [row["failure"] for row in rows] == [None, None]
    return folder / "trials" / point["id"] / "student", [(row["metrics"], row["terms"]) for row in rows]


@pytest.mark.parametrize("whose", ["teacher", "random"])
def test_all_doors_give_the_same(whose: str, tiny_encoder: Path, tiny_data: Path, store: Path) -> None:
    named = {"teacher": str(tiny_encoder), "data_dir": str(tiny_data), "artifacts": str(store / "store")}
    values = {**VALUES, "embeddings": whose}
    asked = {**SHARED, **named, "set": [f"{name}={value}" for name, value in values.items()]}
    header = plan.make(from_namespace(asked, []))
    data = prepare.load_data(header["config"], header["plan"])
    student, straight = _swept(header, data, store / whose, kill=False)
    _, cut = _swept(header, data, store / f"{whose}-cut", kill=True)
    assert cut == straight
    result = distill.run(
        tiny_encoder,
        2,
        "lad",
        "cola",
        data_dir=tiny_data,
        params=header["plan"]["points"][0]["params"],
        teacher_settings={"epochs": 1},
        allow_weak_teacher=True,
        device="cpu",
        artifacts=store / "store",
        **NUMBERS,
    )
    assert [(e.metrics, e.terms) for e in result.evaluations] == straight
    with session(store / f"{whose}-door") as seen:
        train(plan_trials(from_namespace(asked, []), lambda line: None), dict(header["plan"]["points"][0]["params"]))
    assert [row["terms/total"] for row in seen.rows] == [terms["total"] for _, terms in straight]
    own, teacher, encoder = (
        load_classifier(path, registry.get("cola")).bert.embeddings.word_embeddings.weight
        for path in (student, prepare_here(header, data)["teacher"]["path"], tiny_encoder)
    )
    assert torch.allclose(own, teacher, atol=1e-5) == (whose == "teacher")
    assert not torch.allclose(own, encoder, atol=1e-5)
