"""Colours, marks and number formats that tables, figures and text share."""

from __future__ import annotations

import math
from typing import Any

from search_spaces import format_params
from trainables.record import Record, Trial

# Okabe and Ito's palette: told apart with every common colour-vision deficiency.
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, AMBER, YELLOW = "#56B4E9", "#C28400", "#8C8000"
INK, GREY, PALE, GRID = "#1f2733", "#5b6573", "#98a3b1", "#e6e9ee"
SEQUENCE = (BLUE, ORANGE, GREEN, PINK, AMBER, SKY, YELLOW, GREY)
MINUS, NOTHING = "−", "–"

ROLES = {  # role: colour and the name it has in labels
    "best": (BLUE, "best"),
    "published": (ORANGE, "published"),
    "baseline": (INK, "undistilled"),
    "teacher": (GREEN, "teacher"),
    "other": (PALE, ""),
}
STATE_WORDS = {
    "WAITING": "waiting",
    "RUNNING": "running",
    "COMPLETE": "complete",
    "PRUNED": "stopped early",
    "FAIL": "failed",
}


def role(record: Record, trial: Trial) -> str:
    """Which of `ROLES` a trial plays; the best is the best even where it is the published point too."""
    best = record.best_trial()
    if trial.is_baseline:
        return "baseline"
    if best is not None and trial.id == best.id:
        return "best"
    return "published" if trial.point["origin"] == "published" else "other"


def number(value: float | None, digits: int = 3, signed: bool = False) -> str:
    """Fixed decimals with a real minus sign; a dash for nothing."""
    if value is None or math.isnan(value):
        return NOTHING
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    return text.replace("-", MINUS)


def interval(low: float, high: float, signed: bool = False) -> str:
    """ "0.512 to 0.603" """
    return f"{number(low, signed=signed)} to {number(high, signed=signed)}"


def apart(low: float, high: float) -> tuple[str, str]:
    """Two different numbers with as many decimals as it takes to tell them apart, three at least."""
    for digits in range(3, 18):
        if number(low, digits) != number(high, digits):
            break
    return number(low, digits), number(high, digits)


def parameter(value: Any) -> str:
    """One value of a hyper-parameter for people."""
    if value is None:
        return NOTHING
    return format_params({"": value}).strip()


def count(value: float | None) -> str:
    """22713986 → "22.7 M"."""
    if value is None:
        return NOTHING
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:g}"


def duration(seconds: float) -> str:
    """95.2 → "1 min 35 s"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def plural(amount: int, noun: str) -> str:
    """ "1 trial", "3 trials" """
    return f"{amount} {noun}" + ("" if amount == 1 else "s")
