"""What all figures share: their look, names at the ends of lines, ticks that keep apart."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from analysis.called import roles
from analysis.style import GREY, GRID, INK, ROLES, number, parameter, short
from trainables.record import Record, Trial
from trainables.statistics import teacher_interval

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
# Pixels from one name to the next, and around a plot's area.
_LINE, _FRAME = 14, 90
# Width of one letter of a tick, in pixels, and of the narrowest plot that carries ticks.
_LETTER, _NARROW = 7.0, 165


def axis(**more: Any) -> dict[str, Any]:
    """The look of one axis."""
    found = {"gridcolor": GRID, "linecolor": GREY, "zeroline": False, "ticks": "outside", "automargin": True}
    return found | {"tickcolor": GRID, "title": {"standoff": 8, "font": {"size": 12}}} | more


def layout(x: str, y: str, height: int = 420, **more: Any) -> go.Layout:
    """The look that all figures share."""
    found = go.Layout(
        template=go.layout.Template(),
        font={"family": FONT, "size": 12, "color": INK},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="white",
        height=height,
        margin={"l": 12, "r": 12, "t": 22, "b": 12},
        showlegend=False,
        hoverlabel={"bgcolor": "white", "font": {"family": FONT, "size": 12}, "align": "left"},
        xaxis=axis(showgrid=False),
        yaxis=axis(),
        **more,
    )
    found.xaxis.title.text, found.yaxis.title.text = x, y
    return found


def safe(trial: Trial, seed: bool = False) -> str:
    """A trial's values in words, and its seed where that matters, as Plotly's markup reads them."""
    words = str(trial.point["label"]) + (f" · seed {trial.point['seed']}" if seed else "")
    return html.escape(words)


def epochs(figure: go.Figure, first: float, last: float, right: int = 104) -> None:
    """Horizontal axis of epochs, which may be fractions, with room for the names at the ends of the lines."""
    figure.update_layout(margin={"r": right})
    if last <= first:
        figure.update_xaxes(range=[first - 0.5, first + 0.5], tickvals=[first])
        return
    span, whole = last - first, 2 <= last <= 12
    figure.update_xaxes(range=[first - 0.05 * span, last + 0.02 * span], dtick=1 if whole else None, nticks=8)


def teacher_line(figure: go.Figure, record: Record, place: str = "top left", which: str = "best") -> None:
    """The teacher's score across the plot, its interval as a band.

    Args:
        which: "best" on the rows that choose, beside trials' values; "report" on dev.
    """
    found = teacher_interval(record, which)
    if found is None:
        return
    color = ROLES["teacher"][0]
    if not math.isnan(found.low):
        figure.add_hrect(y0=found.low, y1=found.high, fillcolor=color, opacity=0.1, line_width=0, layer="below")
    figure.add_hline(
        y=found.value,
        line={"color": color, "width": 1.5},
        layer="below",
        annotation={
            "text": f"teacher {number(found.value)}",
            "font": {"color": color},
            "bgcolor": "rgba(255,255,255,0.6)",
            "borderpad": 0,
        },
        annotation_position=place,
    )


def baseline_line(figure: go.Figure, record: Record, named: bool = True, row: int = 0) -> None:
    """The undistilled student's score across the plot, or across the subplot `row`, from 1."""
    base = record.best_trial(baseline=True)
    if base is None:
        return
    color, label = roles(record)["baseline"]
    figure.add_hline(
        y=base.score,
        line={"color": color, "width": 1.5, "dash": "dash"},
        layer="below",
        annotation={
            "text": f"{label} {number(base.score)}" if named else "",
            "font": {"color": color, "size": 11},
        },
        annotation_position="bottom right",
        **_in_row(row),
    )


def _in_row(row: int) -> dict[str, int]:
    """Where plotly draws: in a subplot, from 1; or, of 0, in a figure without any."""
    return {"row": row, "col": 1} if row else {}


@dataclass(frozen=True)
class End:
    """The end of a line and the name that is written there."""

    x: float
    y: float
    text: str
    color: str
    strong: bool = True


def line_of_many(
    figure: go.Figure,
    places: Sequence[float],
    values: Sequence[float | None],
    name: str,
    color: str,
    what: str,
    form: str = ".4g",
    row: int = 0,
) -> list[End]:
    """Draw one of many values over the epochs, as a thin line with a dot for each evaluation.

    Args:
        places: Epochs of the evaluations.
        values: One for each; None is a gap.
        name: What its end is called.
        what, form: What a value under the mouse is called, and its number format.
        row: Of the subplot, from 1; 0 for a figure without any.

    Returns:
        Its end, for `name_ends`; none where there is no last value.
    """
    figure.add_scatter(
        x=places,
        y=values,
        mode="lines+markers",
        line={"color": color, "width": 2},
        # So many dots side by side would be a thick line.
        marker={"color": color, "size": 5 if len(places) <= 14 else 1},
        hovertemplate=f"{what}, epoch %{{x:.4g}}: %{{y:{form}}}<extra></extra>",
        **_in_row(row),
    )
    return [] if values[-1] is None else [End(places[-1], values[-1], name, color, strong=False)]


def name_ends(figure: go.Figure, ends: Sequence[End], log: bool = False, plot: str = "", share: float = 1.0) -> None:
    """Name lines at their ends, pushed apart where they end close together.

    The vertical range is fixed to what the shifts, in pixels, were computed for.

    Args:
        figure: With its height set and all lines drawn.
        ends: One per line to name.
        log: Whether the vertical axis is logarithmic.
        plot: Number of the subplot's axes, such as "2"; empty for the only one.
        share: Of the height of all subplots that this one takes.
    """
    mine = [trace for trace in figure.data if (trace.yaxis or "y") == f"y{plot}"]
    spots = [value for trace in mine for value in trace.y if value is not None and (value > 0 or not log)]
    spots += [shape.y1 for shape in figure.layout.shapes if shape.yref == f"y{plot}"]
    scaled = [math.log10(spot) if log else spot for spot in spots]
    low, high = min(scaled), max(scaled)
    room = 0.06 * ((high - low) or abs(high) or 1.0)
    low, high = low - room, high + room
    figure.layout[f"yaxis{plot}"].range = [low, high]
    per_pixel = (high - low) / ((figure.layout.height - _FRAME) * share)
    # Ends at different epochs can't meet, so only those of the same column are pushed apart.
    for column in sorted({end.x for end in ends}):
        group = sorted((end for end in ends if end.x == column), key=lambda end: end.y)
        wanted = [math.log10(end.y) if log else end.y for end in group]
        for end, true, at in zip(group, wanted, _apart(wanted, _LINE * per_pixel, low, high), strict=True):
            text = html.escape(end.text)
            figure.add_annotation(
                x=end.x,
                y=true,
                xref=f"x{plot}",
                yref=f"y{plot}",
                text=f"<b>{text}</b>" if end.strong else text,
                showarrow=False,
                xanchor="left",
                xshift=8,
                yshift=(at - true) / per_pixel,
                font={"color": end.color, "size": 12 if end.strong else 11},
                bgcolor="rgba(255,255,255,0.75)",
                borderpad=0,
            )


def _apart(wanted: list[float], gap: float, low: float, high: float) -> list[float]:
    """Rising places near where they are wanted, `gap` apart, or as far as the range has room for."""
    gap = min(gap, (high - low) / max(len(wanted), 1))
    found: list[float] = []
    for spot in wanted:
        found.append(max(spot, found[-1] + gap if found else low))
    ceiling = high
    for place in reversed(range(len(found))):
        found[place] = min(found[place], ceiling)
        ceiling = found[place] - gap
    return found


def set_ticks(figure: go.Figure, values: Sequence[float], log: bool, always: Sequence[float] = ()) -> None:
    """Ticks at sorted values, as many of them written as fit side by side in two rows on the narrowest plot.

    Args:
        figure: Whose horizontal axis is meant.
        values: Sorted; for a logarithmic axis all above 0.
        log: Whether the axis is logarithmic.
        always: Values that are written before all others.
    """
    spots = [math.log10(value) if log else float(value) for value in values]
    room = 0.22 * ((spots[-1] - spots[0]) or abs(spots[0]) or 1.0)
    low, high = spots[0] - room, spots[-1] + room
    rows: list[list[tuple[float, float]]] = [[], []]
    words = dict.fromkeys(range(len(values)), "")
    # Ends first: they say how far the axis goes.
    order = sorted(range(len(values)), key=lambda i: (values[i] not in always, i not in (0, len(values) - 1), i))
    for i in order:
        text = short(float(f"{values[i]:.3g}"))
        middle = (spots[i] - low) / (high - low) * _NARROW
        left, right = (middle + side * (len(text) * _LETTER / 2 + 4) for side in (-1, 1))
        for number_of, row in enumerate(rows):
            if all(right <= other_left or left >= other_right for other_left, other_right in row):
                row.append((left, right))
                words[i] = "<br>" * number_of + text
                break
    figure.update_xaxes(
        type="log" if log else "linear",
        range=[low, high],
        tickvals=list(values),
        ticktext=list(words.values()),
        tickangle=0,
    )


def steps_of_ten(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten strictly between two positive numbers."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [spot for power in powers for spot in (f * 10.0**power for f in (1, 2, 5)) if low < spot < high]


def set_words(figure: go.Figure, values: Sequence[Any]) -> None:
    """One tick per value of a hyper-parameter that is no number."""
    words = [parameter(value) for value in values]
    figure.update_xaxes(type="category", categoryarray=words, tickvals=words, ticktext=words)


def shade(layer: int, count: int) -> str:
    """From a light blue that still shows on white to the ink of the text."""
    low, high = (106, 174, 214), tuple(int(INK[i : i + 2], 16) for i in (1, 3, 5))
    share = layer / max(count - 1, 1)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(low, high, strict=True))
