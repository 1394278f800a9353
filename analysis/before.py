"""What was made before the trials: the teacher, its answers, what was trained on it, and stages that trials share."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

import plotly.graph_objects as go

from analysis.drawing import epochs as epoch_axis
from analysis.drawing import layout
from analysis.seen import lines
from analysis.style import BLUE, NOTHING, ORANGE, duration, number, plural
from trainables.families import few, listed
from trainables.record import Record, Trial

STAGES = "stages.jsonl"
_KEPT = {"last": "last", "best": "smallest loss", "best-metric": "best metric"}
# A loss that ends so much above its lowest value is told of.
_RISEN = 1.01
_PICTURES = 12
Curve = list[tuple[float, float]]


@dataclass(frozen=True)
class Made:
    """One thing that was made, and for whom.

    Attributes:
        epochs: None where nothing was trained, or it is not known.
        curve: Epoch and loss on the rows that choose, behind each evaluation.
        keep: Which weights were handed on: "last", "best" or "best-metric"; None where the record does not say.
        time: In words.
        origin: Whether it was made or found; a dash where the record does not say.
    """

    what: str
    whose: str
    epochs: float | None
    curve: Curve
    keep: str | None
    time: str
    origin: str

    def cells(self) -> tuple[str, ...]:
        """What, for whom, epochs, loss, weights handed on, time, origin."""
        count = NOTHING if self.epochs is None else f"{self.epochs:g}"
        kept = NOTHING if self.keep is None else _KEPT.get(self.keep, self.keep)
        return self.what, self.whose, count, self._loss(), kept, self.time, self.origin

    def _loss(self) -> str:
        if not self.curve:
            return NOTHING
        (_, first), (_, last) = self.curve[0], self.curve[-1]
        words = number(first) if len(self.curve) == 1 else f"{number(first)} → {number(last)}"
        at, low = self._lowest()
        return words if low in (first, last) else f"{words}, lowest {number(low)} (epoch {at:g})"

    def _lowest(self) -> tuple[float, float]:
        return min(self.curve, key=lambda spot: spot[1])

    def risen(self) -> str | None:
        """A sentence where the loss was lower before the end, and what that means for the weights that were kept."""
        if not self.curve or self.keep == "best":
            return None
        (at, low), (_, last) = self._lowest(), self.curve[-1]
        if last <= _RISEN * low:
            return None
        kept = {
            "last": ", and the last weights were kept",
            "best-metric": "; kept were the weights of the best metric",
            "": "; the record does not say which weights were kept",
        }
        return (
            f"{self.what[0].upper()}{self.what[1:]}: the loss rose from {number(low)} (epoch {at:g}) to {number(last)} "
            f"at the end{kept.get(self.keep or '', '')}."
        )


@dataclass(frozen=True)
class Before:
    """The section of a report.

    Attributes:
        notes: How long all of it took, and losses that rose.
    """

    made: list[Made]
    notes: list[str]

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """Cells of the table."""
        return [one.cells() for one in self.made]


def before(record: Record) -> Before | None:
    """What the record holds of it; None while nothing is prepared."""
    prepared = record.prepared
    if prepared is None:
        return None
    shared = {**(prepared.get("beside") or {}), **(prepared.get("stages") or {})}
    made = [*_teacher(record), *(_shared(record, one) for one in shared.values())]
    alone = _alone(record)
    if not made and not alone:
        return None
    return Before([*made, *alone], _notes(record, [*made, *alone], list(shared.values())))


def pictures(found: Before | None) -> dict[str, go.Figure]:
    """The loss over the epochs of all that was trained for longer than one evaluation, by what it is and for whom."""
    drawn = [one for one in (found.made if found else []) if len(one.curve) > 1]
    several = len({one.what for one in drawn}) < len(drawn)
    return {(f"{one.what} · {one.whose}" if several else one.what): _picture(one) for one in drawn[:_PICTURES]}


def earlier(record: Record, trial: Trial) -> dict[str, float]:
    """Epochs of each stage of a trial before the one that reports, by name; empty where there is none."""
    if (stages := trial.point.get("stages")) is not None:
        return {stage["stage"]: float(stage["epochs"]) for stage in stages[:-1]}
    # Older records name a stage's epochs by its last evaluation.
    if trial.is_baseline:
        return {}
    shared = [
        one
        for one in ((record.prepared or {}).get("stages") or {}).values()
        if one.get("seed", trial.point["seed"]) == trial.point["seed"]
    ]
    found = {one["stage"]: float(one["curve"][-1]["epoch"]) for one in shared if one.get("curve")}
    return {**found, **{rows[0]["stage"]: float(rows[0]["epochs"]) for rows in _own(trial)}}


def _teacher(record: Record) -> list[Made]:
    """The teacher and its answers."""
    teacher, plan = (record.prepared or {}).get("teacher") or {}, record.plan.get("teacher") or {}
    found = []
    if plan.get("mode") == "finetune" and teacher.get("seconds"):
        count = (plan.get("training") or {}).get("epochs")
        time = duration(teacher["seconds"])
        keep = {"best": "best-metric"}.get(plan.get("keep", ""), plan.get("keep"))
        found.append(Made("teacher, fine-tuned", "all", count, [], keep, time, NOTHING))
    if teacher.get("outputs_seconds"):
        time = f"{teacher['outputs_seconds']:.3g} device-seconds"
        found.append(Made("teacher's answers", "all", None, [], None, time, NOTHING))
    return found


def _shared(record: Record, one: dict[str, Any]) -> Made:
    curve = [(float(row["epoch"]), float(row["value"])) for row in one.get("curve") or []]
    count = one.get("epochs", curve[-1][0] if curve else None)
    origin = {None: NOTHING, True: "made", False: "found in the store"}[one.get("made")]
    origin = f"no result: {one['failure']}" if one.get("failure") else origin
    return Made(one["stage"], _whose(record, one), count, curve, one.get("keep"), duration(one["seconds"]), origin)


def _whose(record: Record, one: dict[str, Any]) -> str:
    if (ids := one.get("trials")) is not None:
        return few(ids)
    return plural(one["points"], "point") if "points" in one else "all"


def _alone(record: Record) -> list[Made]:
    """Stages that trials trained themselves, because no other needed the same; one line a stage."""
    own = [(trial, rows) for trial in record.trials.values() for rows in _own(trial)]
    found = []
    for name in dict.fromkeys(rows[0]["stage"] for _, rows in own):
        mine = [(trial, rows) for trial, rows in own if rows[0]["stage"] == name]
        counts = {float(rows[0]["epochs"]) for _, rows in mine}
        # Losses of several are their own; one alone can be told.
        curve = [(float(row["epoch"]), float(row["value"])) for row in mine[0][1]] if len(mine) == 1 else []
        whose = few([trial.id for trial, _ in mine])
        keeps = {_planned(trial, name).get("keep") for trial, _ in mine}
        time = duration(sum(float(row["seconds"]) for _, rows in mine for row in rows))
        keep = keeps.pop() if len(keeps) == 1 else None
        words = f"in {'its own trial' if len(mine) == 1 else 'their own trials'}"
        found.append(Made(name, whose, counts.pop() if len(counts) == 1 else None, curve, keep, time, words))
    return found


def _planned(trial: Trial, name: str) -> dict[str, Any]:
    return next((stage for stage in trial.point.get("stages") or [] if stage["stage"] == name), {})


def _own(trial: Trial) -> list[list[dict[str, Any]]]:
    """Evaluations of the stages that a trial trained itself, stage by stage; torn lines are passed over."""
    names = ("stage", "epoch", "epochs", "value", "seconds")
    rows = lines(trial.folder / STAGES, lambda row: {name: row[name] for name in names})
    return [list(own) for _, own in groupby(rows, key=lambda row: row["stage"])]


def _notes(record: Record, made: list[Made], shared: list[dict[str, Any]]) -> list[str]:
    teacher, mode = (record.prepared or {}).get("teacher") or {}, (record.plan.get("teacher") or {}).get("mode")
    parts = {
        "the teacher": float(teacher.get("seconds") or 0.0) if mode == "finetune" else 0.0,
        "what trials share": sum(float(one.get("seconds") or 0.0) for one in shared),
        "the trials themselves": sum(trial.seconds for trial in record.everything()),
    }
    parts = {name: seconds for name, seconds in parts.items() if seconds}
    found = []
    if len(parts) > 1:
        told = listed([f"{duration(seconds)} for {name}" for name, seconds in parts.items()])
        answers = " The teacher's answers come on top." if teacher.get("outputs_seconds") else ""
        found.append(
            f"{duration(sum(parts.values()))} in all: {told}. What was found in the store counts with the time that it "
            f"took when it was made.{answers}"
        )
    return found + [words for one in made if (words := one.risen())]


def _picture(one: Made) -> go.Figure:
    figure = go.Figure(layout=layout("epoch", "loss", 220))
    places, values = [epoch for epoch, _ in one.curve], [value for _, value in one.curve]
    figure.add_scatter(
        x=places,
        y=values,
        mode="lines+markers",
        line={"color": BLUE, "width": 2},
        marker={"size": 5, "color": BLUE},
        hovertemplate="epoch %{x:.4g}: %{y:.4g}<extra></extra>",
    )
    kept = {"last": len(values) - 1, "best": values.index(min(values))}.get(one.keep or "")
    if kept is not None:
        figure.add_scatter(
            x=[places[kept]],
            y=[values[kept]],
            mode="markers",
            marker={"size": 10, "color": ORANGE},
            hovertemplate="kept, epoch %{x:.4g}: %{y:.4g}<extra></extra>",
        )
    epoch_axis(figure, places[0], places[-1], right=12)
    figure.update_yaxes(nticks=5)
    return figure
