"""Pictures of what a method itself wanted seen: layer weights, flows, gates.

A trial's `seen.jsonl` holds one nested object per evaluation. Nothing here knows a method: a list of numbers
becomes a map over evaluations, a table of numbers a map at the best evaluation, a single number a line.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import plotly.graph_objects as go

from analysis.figures import layout
from analysis.style import BLUE, GREY
from trainables.record import Record, Trial

_SCALE = [[0.0, "#f4f8fc"], [0.5, "#6aaed6"], [1.0, "#08306b"]]


def observations(trial: Trial) -> list[dict[str, Any]]:
    """Lines of the trial's `seen.jsonl`, the last of each evaluation; torn lines are passed over."""
    file = trial.folder / "seen.jsonl"
    found: dict[int, dict[str, Any]] = {}
    if not file.exists():
        return []
    for line in file.read_text().splitlines():
        try:
            row = json.loads(line)
            found[int(row["evaluation"])] = row
        except (ValueError, KeyError, TypeError):
            continue
    return [found[key] for key in sorted(found)]


def observed(record: Record) -> dict[str, go.Figure]:
    """Figures by title for the best trial; empty where its method recorded nothing."""
    best = record.best_trial()
    if best is None or best.best is None:
        return {}
    rows = observations(best)
    if not rows:
        return {}
    at = [row for row in rows if row["evaluation"] == best.best["evaluation"]] or rows[-1:]
    layers = {
        "student": (record.prepared or {}).get("student", {}).get("layers"),
        "teacher": (record.prepared or {}).get("teacher", {}).get("layers"),
    }
    found = {}
    for path, value in _leaves({key: value for key, value in at[0].items() if key != "evaluation"}):
        title = _title(path)
        steps = [(row["evaluation"], _follow(row, path)) for row in rows]
        steps = [(evaluation, step) for evaluation, step in steps if _kind(step) == _kind(value)]
        if _kind(value) == "matrix":
            found[f"{title} (evaluation {at[0]['evaluation']})"] = _matrix(value, layers)
        elif _kind(value) == "vector":
            found[title] = _vector(steps, path[-1])
        else:
            found[title] = _line(steps)
    return found


def _title(path: tuple[str, ...]) -> str:
    parts = [part.replace("_", " ") for part in path]
    if path[-1] in ("student", "teacher") and "layer_weights" not in path:
        parts[-1] = f"weights of the {path[-1]}'s layers"
    return " · ".join(parts)


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, str(key)))
    elif _kind(value):
        yield path, value


def _follow(row: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        row = row.get(key) if isinstance(row, dict) else None
    return row


def _kind(value: Any) -> str | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "number"
    if isinstance(value, list) and value:
        if all(_kind(inner) == "number" for inner in value):
            return "vector"
        if all(_kind(inner) == "vector" for inner in value) and len({len(inner) for inner in value}) == 1:
            return "matrix"
    return None


def _matrix(value: list[list[float]], layers: dict[str, int | None]) -> go.Figure:
    meets = (len(value), len(value[0])) == (layers["student"], layers["teacher"])
    names = ("teacher layer", "student layer") if meets else ("column", "row")
    return _map(value, list(range(1, len(value[0]) + 1)), list(range(1, len(value) + 1)), *names)


def _vector(steps: list[tuple[int, list[float]]], name: str) -> go.Figure:
    size = max(len(values) for _, values in steps)
    columns = [values + [float("nan")] * (size - len(values)) for _, values in steps]
    rows = [list(row) for row in zip(*columns, strict=True)]
    side = f"{name} layer" if name in ("student", "teacher") else "entry"
    return _map(rows, [evaluation for evaluation, _ in steps], list(range(1, size + 1)), "evaluation", side)


def _map(values: list[list[float]], x: list[int], y: list[int], x_title: str, y_title: str) -> go.Figure:
    figure = go.Figure(layout=layout(x_title, y_title, 120 + 28 * min(len(y), 16)))
    words = [[f"{value:.2f}".replace("0.", ".", 1) if value < 1 else f"{value:.2g}" for value in row] for row in values]
    flat = [value for row in values for value in row if not math.isnan(value)]
    figure.add_heatmap(
        z=values,
        x=x,
        y=y,
        colorscale=_SCALE,
        zmin=min(0.0, *flat),
        zmax=max(flat),
        showscale=False,
        xgap=1,
        ygap=1,
        text=words if len(x) * len(y) <= 240 and len(x) <= 16 else None,
        texttemplate="%{text}",
        textfont={"size": 11},
        hovertemplate=f"{x_title} %{{x}}, {y_title} %{{y}}: %{{z:.4f}}<extra></extra>",
    )
    figure.update_xaxes(dtick=1 if len(x) <= 16 else None, ticks="")
    figure.update_yaxes(dtick=1 if len(y) <= 24 else None, ticks="", autorange="reversed", showgrid=False)
    return figure


def _line(steps: list[tuple[int, float]]) -> go.Figure:
    figure = go.Figure(layout=layout("evaluation", "value", 240))
    figure.add_scatter(
        x=[evaluation for evaluation, _ in steps],
        y=[value for _, value in steps],
        mode="lines+markers",
        line={"color": BLUE},
        marker={"color": BLUE, "line": {"color": GREY}},
        hovertemplate="evaluation %{x}: %{y:.4g}<extra></extra>",
    )
    return figure
