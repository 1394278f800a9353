"""Pictures of what a method wanted seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis import observed
from analysis.seen import Picture, Seen
from tests.analysis.conftest import Build
from trainables.record import Record, Trial, read


def best_of(record: Record) -> Trial:
    best = record.best_trial()
    assert best is not None
    return best


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "seen.jsonl").read_text().splitlines()]


def write(folder: Path, *rows: dict[str, Any], torn: str = "") -> None:
    (folder / "seen.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + torn)


def test_flow_with_the_weights_at_its_margins(sweep: Build) -> None:
    record = read(sweep(layers=3, teacher_layers=5))
    drawn = observed.observed(record)
    best = best_of(record)
    assert best.best is not None
    row = next(row for row in rows_of(best.folder) if row["evaluation"] == best.best["evaluation"])
    for term in ("attention", "hidden"):
        figure = drawn.figures[f"flow · {term} (epoch {best.best['epoch']:g})"]
        flow, teacher, student = figure.data
        assert np.array_equal(flow.z, row["flow"][term])
        assert np.shape(flow.z) == (3, 5)
        assert list(flow.x) == [1, 2, 3, 4, 5]
        assert list(flow.y) == [1, 2, 3]
        assert list(teacher.y) == row["layer_weights"][term]["teacher"]
        assert list(student.x) == row["layer_weights"][term]["student"]
        assert student.orientation == "h"
    assert figure.layout.xaxis3.title.text == "teacher layer"
    assert figure.layout.yaxis3.title.text == "student layer"
    assert next(iter(drawn.figures)).startswith("flow")
    assert len(drawn.notes) == 2


def test_cells_say_per_cent(sweep: Build) -> None:
    record = read(sweep())
    flow = {"hidden": [[0.5, 0.004], [0.0, 0.496]]}
    write(best_of(record).folder, *({"evaluation": number, "flow": flow} for number in (1, 2, 3, 4)))
    ((_, figure),) = observed.observed(record).figures.items()
    heat, teacher, student = figure.data
    assert [list(row) for row in heat.text] == [["50", "<1"], ["", "50"]]
    # Without recorded weights the margins are the sums of the flow.
    assert list(teacher.y) == pytest.approx([0.5, 0.5])
    assert list(student.x) == pytest.approx([0.504, 0.496])


def test_weights_move_over_the_epochs(sweep: Build) -> None:
    record = read(sweep(layers=3, teacher_layers=5, epochs=2, evaluations_per_epoch=2))
    drawn = observed.observed(record).figures
    figure = drawn["layer weights · hidden"]
    seen = rows_of(best_of(record).folder)
    assert len(figure.data) == 3 + 5
    assert list(figure.data[0].x) == [0.5, 1.0, 1.5, 2.0][: len(seen)]
    for layer in range(5):
        recorded = [row["layer_weights"]["hidden"]["teacher"][layer] for row in seen]
        assert list(figure.data[3 + layer].y) == recorded
    names = [str(note.text) for note in figure.layout.annotations]
    assert sorted(names) == sorted([*"123", *"12345"])


def test_terms_that_share_their_weights_share_a_figure(sweep: Build) -> None:
    record = read(sweep())
    folder = best_of(record).folder
    rows = rows_of(folder)
    for row in rows:
        row["layer_weights"]["attention"] = row["layer_weights"]["hidden"]
    write(folder, *rows)
    titles = [title for title in observed.observed(record).figures if title.startswith("layer weights")]
    assert titles == ["layer weights · attention and hidden"]


@pytest.mark.parametrize(
    ("seen", "kinds"),
    [
        ({"gate": 0.5}, ["scatter"]),
        ({"flow": None, "names": ["a"], "ragged": [[1], [1, 2]]}, []),
        ({"gates": [0.1, 0.9], "deep": {"er": [[1.0, 2.0]]}}, ["heatmap", "heatmap"]),
        # A known key in another shape is drawn by that shape.
        ({"flow": [[0.1, 0.9]], "layer_weights": [0.2, 0.8]}, ["heatmap", "heatmap"]),
        ({"flow": {}, "layer_weights": {}}, []),
    ],
)
def test_observations_of_any_shape(sweep: Build, seen: dict[str, Any], kinds: list[str]) -> None:
    record = read(sweep())
    write(best_of(record).folder, *({"evaluation": number, **seen} for number in (1, 2)), torn='{"evaluation": 3, "ga')
    drawn = observed.observed(record)
    assert [figure.data[0].type for figure in drawn.figures.values()] == kinds
    assert drawn.notes == []


def test_a_method_may_bring_a_picture_by_key(sweep: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    def gates(found: Seen) -> dict[str, Any]:
        return {f"gates of {found.trial.id}, {len(found.rows)} rows": observed.go.Figure()}

    monkeypatch.setitem(observed.PICTURES, "gates", Picture(gates, "How to read gates."))
    record = read(sweep())
    best = best_of(record)
    write(best.folder, *({"evaluation": number, "other": 1.0, "gates": [0.5]} for number in (1, 2)))
    drawn = observed.observed(record)
    assert list(drawn.figures) == [f"gates of {best.id}, 2 rows", "other"]
    assert drawn.notes == ["How to read gates."]


def test_nothing_seen_nothing_drawn(sweep: Build) -> None:
    assert observed.observed(read(sweep(events=0))).figures == {}
    record = read(sweep())
    (best_of(record).folder / "seen.jsonl").unlink()
    assert observed.observed(record).figures == {}
