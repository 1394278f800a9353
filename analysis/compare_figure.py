"""Expected best score of every contender, over its number of trials and over what they take of the devices."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import replace

import plotly.graph_objects as go

from analysis.contenders import Contender
from analysis.drawing import End, layout, name_ends, teacher_line
from analysis.style import BLUE, GREEN, INK, ORANGE, PINK, SEQUENCE, number
from trainables.statistics import teacher_interval

# Green is the teacher's.
_COLORS = (BLUE, ORANGE, PINK, *(color for color in SEQUENCE if color not in (BLUE, ORANGE, PINK, GREEN)))
# Names meet within this share of the axis; in one column they are pushed apart.
_NEAR = 0.14
# Up to so many undistilled lines are told apart by their dashes.
_DASHES = ("dash", "dot", "dashdot", "longdash")


def looks(contenders: Sequence[Contender]) -> dict[str, tuple[str, str]]:
    """Colour and dash of every contender by name; undistilled students are dark and broken."""
    found, plain, taught = {}, 0, 0
    for one in contenders:
        if one.undistilled:
            found[one.name] = (INK, _DASHES[plain % len(_DASHES)])
            plain += 1
        else:
            found[one.name] = (_COLORS[taught % len(_COLORS)], "dot" if taught // len(_COLORS) % 2 else "solid")
            taught += 1
    return found


def by_trials(contenders: Sequence[Contender]) -> go.Figure | None:
    """Over the number of trials."""
    return _curves(contenders, "trials", lambda one, k: float(k), "after %{x:.0f} trials")


def by_cost(contenders: Sequence[Contender]) -> go.Figure | None:
    """Over device-seconds: as many as so many trials take on average, behind what is made before the first."""

    def spent(one: Contender, k: int) -> float:
        each = (one.spent - one.before) / max(1, len(one.scored))
        return one.before + k * each

    if not all(one.spent > 0 for one in contenders if one.scored):
        return None
    return _curves(contenders, "device-seconds", spent, "after %{x:.0f} device-seconds")


def _in_columns(ends: Sequence[End], near: float, high: float) -> list[End]:
    """Ends with the places of their names: one whose name would meet another's to its right stands beside that.

    Args:
        near: Horizontal distance at which names meet.
        high: Vertical distance at which they do.
    """
    found: list[End] = []
    for end in sorted(ends, key=lambda end: -end.x):
        met = [other.x for other in found if other.x - end.x < near and abs(other.y - end.y) < high]
        found.append(replace(end, x=max(met, default=end.x)))
    return found


def _curves(
    contenders: Sequence[Contender], x: str, place: Callable[[Contender, int], float], words: str
) -> go.Figure | None:
    """One line a contender.

    Args:
        x: What the horizontal axis is.
        place: Where so many trials of a contender lie on it.
        words: Of a spot, for the pointer.
    """
    drawn = [one for one in contenders if one.scored]
    if not drawn:
        return None
    figure = go.Figure(layout=layout(x, f"expected best {drawn[0].record.plan['metric_title']}", 420))
    taught = next((one.record for one in contenders if teacher_interval(one.record) is not None), drawn[0].record)
    teacher_line(figure, taught, which="report")
    styles, ends = looks(contenders), []
    for one in drawn:
        color, dash = styles[one.name]
        curve = one.curve
        spots = [place(one, k) for k in range(1, len(curve) + 1)]
        figure.add_scatter(
            x=spots,
            y=curve,
            mode="lines+markers" if len(curve) < 30 else "lines",
            line={"color": color, "dash": dash, "width": 2.5},
            marker={"color": color, "size": 6},
            name=one.name,
            hovertemplate=f"<b>{html.escape(one.name)}</b> {words}<br>%{{y:.4f}}<extra></extra>",
        )
        ends.append(End(spots[-1], curve[-1], f"{one.name} {number(curve[-1])}", color))
    last = max(end.x for end in ends)
    heights = [y for trace in figure.data for y in trace.y]
    ends = _in_columns(ends, _NEAR * last, 0.1 * (max(heights) - min(heights)))
    first = min(min(trace.x) for trace in figure.data)
    span = (last - first) or max(last, 1.0)
    # Names stand at the ends of the lines, the shorter ones inside the plot.
    figure.update_layout(margin={"r": 130})
    figure.update_xaxes(range=[first - 0.05 * span, last + 0.03 * span], nticks=10)
    if x == "trials" and last <= 12:
        figure.update_xaxes(dtick=1)
    name_ends(figure, ends)
    return figure
