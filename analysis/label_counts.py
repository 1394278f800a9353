"""Labels that a teacher's predictions make for pre-training, for each threshold of a sweep, below the scores.

Drawn from `ptp_labels` ({"train": rows of the four classes, "dev": the same}) and the values `t` and `t2` of all
trials that recorded them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.drawing import axis, baseline_line, layout
from analysis.marks import marks
from analysis.seen import Seen, observations
from analysis.style import BLUE, INK, ORANGE, SKY
from trainables.record import Record, Trial

KEY = "ptp_labels"
# The four classes by their places in the counts: panel, and whether the teacher was confident.
_PANELS = {"right": (0, 1), "wrong": (2, 3)}
_COLORS = {"right": (BLUE, SKY), "wrong": (ORANGE, "#E9B48F")}
_HEIGHT, _GAP = 560, 0.09
# Up to so many thresholds the bars have room for their numbers, which a sampler's suggestions exceed.
_NUMBERED = 10


class Counted(NamedTuple):
    """A trial and the rows of the four classes it was pre-trained with."""

    trial: Trial
    train: list[int]
    dev: list[int]


def label_counts(found: Seen) -> dict[str, go.Figure]:
    """Score above, rows of the four classes below, for each threshold that a trial of the sweep had."""
    every = counted(found.record)
    if not every:
        return {}
    by_pair = groups(every)
    order = list(by_pair)
    apart = any(t != t2 for t, t2 in order)
    words = {pair: f"{pair[0]:g}" + (f"<br>t2 {pair[1]:g}" if apart else "") for pair in order}
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=_GAP, row_heights=[0.44, 0.28, 0.28])
    figure.update_layout(layout("", "", _HEIGHT), barmode="group", bargap=0.25, bargroupgap=0.05)
    figure.update_layout(xaxis2=axis(showgrid=False), xaxis3=axis(showgrid=False), yaxis2=axis(), yaxis3=axis())
    shown = [one.trial for one in every if one.trial.score is not None]
    scores = [float(trial.score) for trial in shown if trial.score is not None]
    marks(figure, found.record, shown, [words[_thresholds(trial)] for trial in shown], scores)
    _baseline(figure, found, scores)
    for row, (side, places) in enumerate(_PANELS.items(), start=2):
        for place, color in zip(places, _COLORS[side], strict=True):
            _bars(figure, row, [words[pair] for pair in order], [by_pair[pair] for pair in order], place, color)
        # Named where the bars stand, in place of a legend; in one line, which a narrow screen holds too.
        sure, unsure = (f"<span style='color:{color}'>■</span>" for color in _COLORS[side])
        figure.add_annotation(
            text=f"teacher {side}: {sure} confident {unsure} unconfident",
            font={"color": INK, "size": 12},
            x=0,
            xref="paper",
            y=1,
            yref=f"y{row} domain",
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
        )
        top = max(one.train[place] for one in by_pair.values() for place in places)
        figure.update_yaxes(title={"text": "training rows"}, range=[0, 1.22 * max(top, 1)], nticks=4, row=row, col=1)
    figure.update_yaxes(title={"text": str(found.record.plan["metric_title"])}, nticks=6, row=1, col=1)
    figure.update_xaxes(type="category", categoryarray=[words[pair] for pair in order], ticks="", showticklabels=True)
    figure.update_xaxes(title={"text": "threshold t" if not apart else "thresholds t and t2"}, row=3, col=1)
    return {"labels of the pre-training, and the scores of all trials, by t": figure}


def counted(record: Record) -> list[Counted]:
    """The trials of a sweep that say with how many rows of the four classes they were pre-trained."""
    return [found for trial in record.trials.values() if (found := _counted(trial)) is not None]


def groups(every: Sequence[Counted]) -> dict[tuple[float, float], Counted]:
    """A trial for each pair of thresholds, in their order."""
    # The teacher is the same for all, so a pair of thresholds has one set of counts.
    return dict(sorted({_thresholds(one.trial): one for one in reversed(every)}.items()))


def _counted(trial: Trial) -> Counted | None:
    """What the newest row of a trial says; None where it says nothing, or not in this form."""
    for row in reversed(observations(trial)):
        found = row.get(KEY)
        if isinstance(found, dict) and all(_is_counts(found.get(split)) for split in ("train", "dev")):
            return Counted(trial, found["train"], found["dev"]) if "t" in trial.params else None
    return None


def _thresholds(trial: Trial) -> tuple[float, float]:
    """t and t2, which may be 0 for t."""
    t = float(trial.params["t"])
    return t, float(trial.params.get("t2") or t)


def _bars(figure: go.Figure, row: int, words: list[str], counted: list[Counted], place: int, color: str) -> None:
    """The rows of one class for each pair of thresholds, with their number above."""
    rows = [one.train[place] for one in counted]
    shares = [
        f"{100 * one.train[place] / max(sum(one.train), 1):.2f} % of {sum(one.train):,} training rows, "
        f"{one.dev[place]:,} of {sum(one.dev):,} dev rows"
        for one in counted
    ]
    figure.add_bar(
        x=words,
        y=rows,
        marker={"color": color},
        text=[f"{count:,}" for count in rows] if len(rows) <= _NUMBERED else None,
        textposition="outside",
        textangle=0,
        textfont={"size": 10, "color": INK},
        cliponaxis=False,
        customdata=shares,
        hovertemplate="%{customdata}<extra></extra>",
        row=row,
        col=1,
    )


def _baseline(figure: go.Figure, found: Seen, scores: list[float]) -> None:
    """The undistilled student across the scores, with room for it."""
    base = found.record.best_trial(baseline=True)
    if base is not None and base.score is not None:
        baseline_line(figure, found.record, row=1)
        scores = [*scores, base.score]
    if scores:
        room = 0.12 * ((max(scores) - min(scores)) or abs(max(scores)) or 1.0)
        figure.update_yaxes(range=[min(scores) - room, max(scores) + room], row=1, col=1)


def _is_counts(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 4
        and all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in value)
    )
