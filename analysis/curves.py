"""Learning curves with rungs and stops, and the best score after each finished trial."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from analysis.called import roles
from analysis.drawing import End, baseline_line, epochs, layout, name_ends, safe, teacher_line
from analysis.marks import marks
from analysis.seeds import seeds_differ
from analysis.style import GREY, INK, PALE, ROLES, apart, number, role
from trainables.record import BY_HAND, FAIL, FINISHED, PRUNED, Record, Trial
from trainables.rungs import place_of

_HEIGHT = 460
# Up to so many lines all are named; among more only those that play a role, and the rest answer the pointer.
_NAMED = 9
_CROWD = 2
# Up to so many evaluations each has a mark of its own.
_DOTTED = 14


def learning_curves(record: Record) -> go.Figure | None:
    """Metric over epochs, one line a trial: rungs dotted, stops marked, undistilled student dashed, teacher a band."""
    drawn = [trial for trial in record.trials.values() if trial.best is not None]
    if not drawn:
        return None
    plan, seeds, names = record.plan, seeds_differ(record), roles(record)
    figure = go.Figure(layout=layout("epoch", plan["metric_title"], _HEIGHT))
    teacher_line(figure, record)
    first = min(row["epoch"] for trial in drawn for row in trial.evaluations.values())
    _rungs(figure, plan["scheduler"].get("rungs") or [], max(plan["epochs"] - first, 1e-9))
    ends = []
    # The roles that matter are drawn last and so lie on top.
    for trial in sorted(drawn, key=lambda trial: list(ROLES).index(role(record, trial)), reverse=True):
        name = role(record, trial)
        color, words = names[name]
        steps = [row for _, row in sorted(trial.evaluations.items()) if row["value"] is not None]
        strong = name != "other" and (not trial.is_baseline or trial is record.best_trial(baseline=True))
        dim = 0.55 if name == "other" and len(drawn) > _NAMED else 1
        figure.add_scatter(
            x=[row["epoch"] for row in steps],
            y=[row["value"] for row in steps],
            mode="lines+markers",
            line={
                "color": color,
                "width": {"best": 3.5, "other": 1.3}.get(name, 2.2 if strong else 1.3),
                "dash": "dash" if trial.is_baseline else "solid",
            },
            opacity=dim,
            marker=_marks(len(steps), color),
            name=trial.id,
            hovertemplate=f"<b>{trial.id}</b> {safe(trial, seeds)}<br>epoch %{{x:.4g}}: %{{y:.4f}}<extra></extra>",
        )
        label = trial.id if words in ("", trial.id) else f"{trial.id} {words}"
        if strong or len(drawn) <= _NAMED:
            ends.append(End(steps[-1]["epoch"], steps[-1]["value"], label, color if strong else GREY, strong))
    _stops(figure, record, drawn)
    epochs(figure, first, plan["epochs"])
    name_ends(figure, [end for end in ends if end.strong or _free(end, ends, plan["epochs"])])
    return figure


def best_so_far(record: Record) -> go.Figure | None:
    """Best score after each finished trial, in the order in which they finished; None for fewer than two."""
    order: list[Trial] = []
    for row in record.rows:
        if row["kind"] == "state" and row["state"] in FINISHED:
            trial = record.trial(row["point"])
            if not trial.confirms and not trial.is_baseline and trial.score is not None and trial not in order:
                order.append(trial)
    if len(order) < 2:
        return None
    scores = [trial.score or 0.0 for trial in order]
    best = [max(scores[: i + 1]) for i in range(len(scores))]
    places = list(range(1, len(order) + 1))
    figure = go.Figure(layout=layout("finished trials", record.plan["metric_title"], 340))
    teacher_line(figure, record, place="bottom left")
    baseline_line(figure, record)
    figure.add_scatter(
        x=places,
        y=best,
        mode="lines",
        line={"color": ROLES["best"][0], "width": 2.5, "shape": "hv"},
        hovertemplate="best of the first %{x}: %{y:.4f}<extra></extra>",
    )
    marks(figure, record, order, places, scores)
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 10**9) if len(order) / step <= 12)
    figure.update_xaxes(tick0=0, dtick=step, range=[0.5, len(order) + 0.5])
    return figure


def stop_words(record: Record, trial: Trial) -> str:
    """Why a trial ended before its last evaluation, by which cutoff; empty where it did not."""
    stop, last = trial.stop, trial.last
    if trial.state == FAIL:
        return f"failed: {trial.cause}"
    if trial.by_hand and last is not None:
        return f"{BY_HAND} after epoch {last['epoch']:g}"
    if stop is None:
        return ""
    at = next(row for row in trial.evaluations.values() if row.get("decision") == stop)
    place = place_of(record.plan["scheduler"], stop)
    if at["value"] is None:
        return f"stopped at {place}: no finite value, cutoff {number(stop['cutoff'])}"
    value, cutoff = apart(at["value"], stop["cutoff"])
    others = f"{stop['recorded']} before it" if place.startswith("rung") else f"{stop['recorded']} others"
    return f"stopped at {place}: {value} is below the cutoff {cutoff} of {others}"


def _free(end: End, ends: list[End], last: float) -> bool:
    """Whether a name has room: in the margin always, amid the plot beside few others, lest names hide the lines."""
    return end.x >= last or sum(other.x == end.x for other in ends) <= _CROWD


def _rungs(figure: go.Figure, rungs: Sequence[float], span: float) -> None:
    """Dotted lines; a rung is named where it is far enough from the next, also on a narrow screen."""
    free = float("inf")
    for rung in reversed(rungs):
        figure.add_vline(x=rung, line={"color": GREY, "width": 1, "dash": "dot"}, layer="below")
        if free - rung < 0.2 * span:
            continue
        free = rung
        figure.add_annotation(
            x=rung,
            y=1,
            yref="paper",
            yanchor="bottom",
            text=f"rung {rung:g}",
            showarrow=False,
            font={"color": GREY},
        )


def _marks(length: int, color: str) -> dict[str, Any]:
    size = [5 if length <= _DOTTED else 0] * (length - 1) + [6]
    return {"color": color, "size": size, "opacity": 1}


def _stops(figure: go.Figure, record: Record, drawn: list[Trial]) -> None:
    """A mark where a trial ended early, which tells the pointer by which cutoff."""
    seeds = seeds_differ(record)
    ended = [(trial, stop_words(record, trial)) for trial in drawn]
    ended = [(trial, words) for trial, words in ended if words]
    if not ended:
        return
    shapes = {FAIL: "triangle-down", PRUNED: "x"}
    spots = [_last_finite(trial) for trial, _ in ended]
    figure.add_scatter(
        x=[row["epoch"] for row in spots],
        y=[row["value"] for row in spots],
        mode="markers",
        marker={
            "symbol": ["square" if trial.by_hand else shapes[trial.state] for trial, _ in ended],
            "size": 9,
            "color": [PALE if len(drawn) > _NAMED and role(record, trial) == "other" else INK for trial, _ in ended],
            "line": {"width": 1, "color": "white"},
        },
        name="stops",
        text=[f"<b>{trial.id}</b> {safe(trial, seeds)}<br>{html.escape(words)}" for trial, words in ended],
        hovertemplate="%{text}<extra></extra>",
    )


def _last_finite(trial: Trial) -> dict[str, Any]:
    return [row for _, row in sorted(trial.evaluations.items()) if row["value"] is not None][-1]
