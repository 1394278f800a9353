"""Plotly figures of a sweep. Every one reads at 1400 and at 400 pixels and names its lines where they end."""

from __future__ import annotations

import html
import math
from typing import Any

import plotly.graph_objects as go

from analysis.style import GREY, GRID, INK, ORANGE, ROLES, SEQUENCE, number, parameter, role
from analysis.tables import varying
from trainables.record import FAIL, FINISHED, PRUNED, Record, Trial
from trainables.statistics import teacher_interval

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def layout(x: str, y: str, height: int = 420, **more: Any) -> go.Layout:
    """The look that all figures share."""
    axis = {"gridcolor": GRID, "linecolor": GREY, "zeroline": False, "ticks": "outside", "automargin": True}
    axis |= {"tickcolor": GRID, "title": {"standoff": 8, "font": {"size": 12}}}
    found = go.Layout(
        template=go.layout.Template(),
        font={"family": FONT, "size": 12, "color": INK},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="white",
        height=height,
        margin={"l": 12, "r": 12, "t": 22, "b": 12},
        showlegend=False,
        hoverlabel={"bgcolor": "white", "font": {"family": FONT, "size": 12}},
        xaxis={**axis, "showgrid": False},
        yaxis=axis,
        **more,
    )
    found.xaxis.title.text, found.yaxis.title.text = x, y
    return found


def learning_curves(record: Record) -> go.Figure | None:
    """Metric over epochs, one line a trial; rungs dotted, undistilled student dashed, teacher a band."""
    drawn = [trial for trial in record.trials.values() if trial.best is not None]
    if not drawn:
        return None
    plan = record.plan
    figure = go.Figure(layout=layout("epoch", plan["metric_title"], 460))
    _teacher(figure, record)
    for rung in plan["scheduler"].get("rungs") or []:
        figure.add_vline(x=rung, line={"color": GREY, "width": 1, "dash": "dot"}, layer="below")
        figure.add_annotation(
            x=rung,
            y=1,
            yref="paper",
            yanchor="bottom",
            text=f"rung {rung:g}",
            showarrow=False,
            font={"color": GREY},
        )
    ends = []
    # The roles that matter are drawn last and so lie on top.
    for trial in sorted(drawn, key=lambda trial: list(ROLES).index(role(record, trial)), reverse=True):
        name = role(record, trial)
        color, words = ROLES[name]
        steps = [row for _, row in sorted(trial.evaluations.items()) if row["value"] is not None]
        strong = name != "other"
        figure.add_scatter(
            x=[row["epoch"] for row in steps],
            y=[row["value"] for row in steps],
            mode="lines+markers",
            line={
                "color": color,
                "width": 2.5 if strong else 1.5,
                "dash": "dash" if trial.is_baseline else "solid",
            },
            marker=_end_marks(trial, len(steps), color),
            name=trial.id,
            hovertemplate=f"<b>{trial.id}</b> {_safe(trial)}<br>epoch %{{x:g}}: %{{y:.4f}}<extra></extra>",
        )
        label = trial.id if words in ("", trial.id) else f"{trial.id} {words}"
        ends.append((steps[-1]["epoch"], steps[-1]["value"], label, color if strong else GREY, strong))
    _epochs(figure, min(row["epoch"] for trial in drawn for row in trial.evaluations.values()), plan["epochs"])
    _labels(figure, ends, 460)
    return figure


def effects(record: Record) -> dict[str, go.Figure]:
    """For every hyper-parameter that varies: score against its value, hollow marks for trials cut short."""
    drawn = [trial for trial in record.trials.values() if not trial.is_baseline and trial.score is not None]
    if not drawn:
        return {}
    return {name: _effect(record, name, drawn) for name in varying(record)}


def best_so_far(record: Record) -> go.Figure | None:
    """Best score after each finished trial, in the order in which they finished."""
    order: list[Trial] = []
    for row in record.rows:
        if row["kind"] == "state" and row["state"] in FINISHED:
            trial = record.trials[row["point"]]
            if not trial.is_baseline and trial.score is not None and trial not in order:
                order.append(trial)
    if not order:
        return None
    scores = [trial.score or 0.0 for trial in order]
    best = [max(scores[: i + 1]) for i in range(len(scores))]
    places = list(range(1, len(order) + 1))
    figure = go.Figure(layout=layout("finished configurations", record.plan["metric_title"], 340))
    _teacher(figure, record, place="bottom left")
    _baseline(figure, record)
    figure.add_scatter(
        x=places,
        y=best,
        mode="lines",
        line={"color": ROLES["best"][0], "width": 2.5, "shape": "hv"},
        hovertemplate="best of the first %{x}: %{y:.4f}<extra></extra>",
    )
    _points(figure, record, order, places, scores)
    figure.update_xaxes(dtick=max(1, len(order) // 12), range=[0.5, len(order) + 0.5])
    return figure


def loss_terms(record: Record) -> go.Figure | None:
    """Mean of every loss term between evaluations of the best trial, as the method names them."""
    best = record.best_trial()
    steps = [] if best is None else [row for _, row in sorted(best.evaluations.items()) if row.get("terms")]
    if not steps:
        return None
    names = list(dict.fromkeys(name for row in steps for name in row["terms"]))
    values = [value for row in steps for value in row["terms"].values() if value is not None]
    positive = [value for value in values if value > 0]
    wide = len(positive) == len(values) and max(positive) > 20 * min(positive)
    figure = go.Figure(layout=layout("epoch", "mean of the term" + (" (log)" if wide else ""), 380))
    ends = []
    for name, color in zip(names, SEQUENCE * (1 + len(names) // len(SEQUENCE)), strict=False):
        ink = INK if name == "total" else color
        figure.add_scatter(
            x=[row["epoch"] for row in steps],
            y=[row["terms"].get(name) for row in steps],
            mode="lines+markers",
            line={
                "color": ink,
                "width": 2.5 if name == "total" else 2,
                "dash": "dash" if name == "total" else "solid",
            },
            hovertemplate=f"{html.escape(name)}, epoch %{{x:g}}: %{{y:.4g}}<extra></extra>",
        )
        last = steps[-1]["terms"].get(name)
        if last is not None and math.isfinite(last):
            ends.append((steps[-1]["epoch"], last, name, ink, True))
    if wide:
        figure.update_yaxes(type="log", dtick=1)
    _epochs(figure, steps[0]["epoch"], steps[-1]["epoch"])
    _labels(figure, ends, 380, log=wide)
    return figure


def _epochs(figure: go.Figure, first: float, last: float) -> None:
    """Horizontal axis of epochs, with room in the margin for the names at the ends of the lines."""
    span = max(last - first, 1.0)
    figure.update_xaxes(range=[first - 0.05 * span, last + 0.02 * span], dtick=1 if last <= 12 else None)
    figure.update_layout(margin={"r": 104})


def _effect(record: Record, name: str, drawn: list[Trial]) -> go.Figure:
    axes = {axis["name"]: axis for axis in record.plan.get("axes", [])}
    axis = axes.get(name, {"scale": "linear", "values": []})
    shown = [trial for trial in drawn if name in trial.params]
    values = list(dict.fromkeys(trial.params[name] for trial in shown))
    numeric = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    if numeric:
        values.sort()
    figure = go.Figure(layout=layout("", record.plan["metric_title"], 280))
    place = {value: value if numeric else parameter(value) for value in values}
    _baseline(figure, record, named=False)
    log = numeric and axis["scale"] == "log" and min(values) > 0
    published = (record.plan.get("published") or {}).get("values", {}).get(name)
    if published in place:
        if numeric:
            at = math.log10(published) if log else published
            figure.add_vline(x=published, line={"color": ORANGE, "width": 1.5, "dash": "dot"}, layer="below")
        else:
            at = place[published]
        figure.add_annotation(
            x=at,
            y=1,
            yref="paper",
            yanchor="bottom",
            text="published",
            showarrow=False,
            font={"color": ORANGE, "size": 11},
        )
    _points(figure, record, shown, [place[t.params[name]] for t in shown], [t.score or 0.0 for t in shown])
    words = [parameter(value) for value in values]
    if numeric:
        spots = [math.log10(v) for v in values] if log else [float(v) for v in values]
        room = 0.22 * ((spots[-1] - spots[0]) or 1)
        figure.update_xaxes(
            type="log" if log else "linear",
            range=[spots[0] - room, spots[-1] + room],
            **({"tickvals": values, "ticktext": words, "tickangle": 0} if len(values) <= 6 else {}),
        )
    else:
        figure.update_xaxes(
            type="category", categoryarray=list(place.values()), ticktext=words, tickvals=list(place.values())
        )
    return figure


def _points(figure: go.Figure, record: Record, shown: list[Trial], x: list[Any], y: list[float]) -> None:
    """One mark a trial in the colour of its role, hollow where the trial did not run all its epochs."""
    for wanted in reversed(ROLES):
        picked = [i for i, trial in enumerate(shown) if role(record, trial) == wanted]
        if not picked:
            continue
        color = GREY if wanted == "other" else ROLES[wanted][0]
        figure.add_scatter(
            x=[x[i] for i in picked],
            y=[y[i] for i in picked],
            mode="markers",
            cliponaxis=False,
            marker={
                "size": 11 if wanted != "other" else 9,
                "color": color,
                "symbol": ["circle-open" if shown[i].state in (PRUNED, FAIL) else "circle" for i in picked],
                "line": {"width": 2, "color": color},
            },
            text=[f"<b>{shown[i].id}</b> {_safe(shown[i])}" for i in picked],
            hovertemplate="%{text}<br>%{y:.4f}<extra></extra>",
        )


def _end_marks(trial: Trial, length: int, color: str) -> dict[str, Any]:
    end = {PRUNED: "x", FAIL: "triangle-down"}.get(trial.state, "circle")
    sizes = [5] * (length - 1) + [10 if end != "circle" else 6]
    colors = [color] * (length - 1) + [INK if end != "circle" else color]
    return {"color": colors, "size": sizes, "symbol": ["circle"] * (length - 1) + [end], "opacity": 1}


def _teacher(figure: go.Figure, record: Record, place: str = "top left") -> None:
    found = teacher_interval(record)
    if found is None:
        return
    color = ROLES["teacher"][0]
    if not math.isnan(found.low):
        figure.add_hrect(y0=found.low, y1=found.high, fillcolor=color, opacity=0.1, line_width=0, layer="below")
    figure.add_hline(
        y=found.value,
        line={"color": color, "width": 1.5},
        layer="below",
        annotation={"text": f"teacher {number(found.value)}", "font": {"color": color}},
        annotation_position=place,
    )


def _baseline(figure: go.Figure, record: Record, named: bool = True) -> None:
    base = record.best_trial(baseline=True)
    if base is None:
        return
    color = ROLES["baseline"][0]
    figure.add_hline(
        y=base.score,
        line={"color": color, "width": 1.5, "dash": "dash"},
        layer="below",
        annotation={
            "text": f"undistilled {number(base.score)}" if named else "",
            "font": {"color": color, "size": 11},
        },
        annotation_position="bottom right",
    )


def _labels(figure: go.Figure, ends: list[tuple[float, float, str, str, bool]], height: int, log: bool = False) -> None:
    """Name lines at their ends, pushed apart where they end close together.

    Shifts are in pixels for a plot of `height`; the vertical range is fixed to what they were computed for.
    """
    spots = [value for trace in figure.data for value in trace.y if value is not None and (value > 0 or not log)]
    spots += [shape.y1 for shape in figure.layout.shapes if shape.yref == "y"]
    scaled = [math.log10(spot) if log else spot for spot in spots]
    low, high = min(scaled), max(scaled)
    room = 0.06 * ((high - low) or abs(high) or 1.0)
    low, high = low - room, high + room
    figure.update_yaxes(range=[low, high])
    per_pixel = (high - low) / (height - 90)
    last = max(end[0] for end in ends) if ends else 0.0
    # Ends at different epochs can't meet, so only those of the same column are pushed apart.
    for column in sorted({end[0] for end in ends}):
        mine = sorted((end for end in ends if end[0] == column), key=lambda end: end[1])
        below = -math.inf
        for x, y, text, color, strong in mine:
            true = math.log10(y) if log else y
            at = max(true, below + 14 * per_pixel)
            below = at
            figure.add_annotation(
                x=x,
                y=true,
                text=f"<b>{html.escape(text)}</b>" if strong else html.escape(text),
                showarrow=False,
                xanchor="left",
                xshift=8,
                yshift=(at - true) / per_pixel,
                font={"color": color, "size": 12 if x == last else 11},
                bgcolor="rgba(255,255,255,0.75)",
                borderpad=0,
            )


def _safe(trial: Trial) -> str:
    return html.escape(str(trial.point["label"]))
