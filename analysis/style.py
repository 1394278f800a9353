"""Colours, marks and number formats that tables, figures and text share."""

from __future__ import annotations

import math
import re
from typing import Any

from search_spaces import format_params
from trainables.record import BY_HAND, Record, Trial

# Okabe and Ito's palette: told apart with every common colour-vision deficiency.
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, AMBER, YELLOW = "#56B4E9", "#C28400", "#8C8000"
INK, GREY, PALE, GRID = "#1f2733", "#5b6573", "#98a3b1", "#e6e9ee"
SEQUENCE = (BLUE, ORANGE, GREEN, PINK, AMBER, SKY, YELLOW, GREY)
SHADES = [[0.0, "#f4f8fc"], [0.5, "#6aaed6"], [1.0, "#08306b"]]  # light to dark, for maps
MINUS, NOTHING = "−", "–"

ROLES = {  # role: colour and the name it has in labels
    "best": (BLUE, "best"),
    "published": (ORANGE, "published"),
    "baseline": (INK, "undistilled"),
    "teacher": (GREEN, "teacher"),
    "kd": (PINK, "KD"),
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
    best = record.chosen_trial()
    if trial.is_baseline:
        return "baseline"
    if best is not None and trial.id == best.id:
        return "best"
    return "published" if trial.point["origin"] == "published" else "other"


def state_words(trial: Trial) -> str:
    """The state of a trial for people."""
    if trial.by_hand:
        return BY_HAND
    return STATE_WORDS.get(trial.state, trial.state)


def number(value: float | None, digits: int = 3, signed: bool = False) -> str:
    """Fixed decimals with a real minus sign, zero without any; a dash for nothing."""
    if value is None or math.isnan(value):
        return NOTHING
    if float(f"{value:.{digits}f}") == 0:
        return f"{0:.{digits}f}"
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    return text.replace("-", MINUS)


def interval(low: float, high: float, signed: bool = False) -> str:
    """ "0.512 to 0.603"; an end close to 0 has as many decimals as it takes to see on which side it lies."""
    ends = []
    for end in (low, high):
        digits = 3
        while signed and end != 0 and digits < 9 and float(f"{end:.{digits}f}") == 0:
            digits += 1
        ends.append(number(end, digits, signed))
    return " to ".join(ends)


def apart(low: float, high: float) -> tuple[str, str]:
    """Two different numbers with as many decimals as it takes to tell them apart, three at least."""
    for digits in range(3, 18):
        if number(low, digits) != number(high, digits):
            break
    return number(low, digits), number(high, digits)


def short(value: Any) -> str:
    """One value for the tick of an axis: 2e-05 → "2e-5"."""
    words = parameter(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return words
    return re.sub(r"e([+-])0*", r"e\1", words).replace("e+", "e").replace("-", MINUS)


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


def own_score(teacher: dict[str, Any]) -> float | None:
    """The teacher's score read as it was fine-tuned, where it teaches read in another way; else None."""
    own, score = teacher.get("own_score"), teacher.get("score")
    return None if own is None or own == score else float(own)


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


def epochs(amount: float) -> str:
    """ "1 epoch", "0.5 epochs" """
    return f"{amount:g} epoch" + ("" if amount == 1 else "s")


def plural(amount: int, noun: str) -> str:
    """ "1 trial", "3 trials" """
    return f"{amount} {noun}" + ("" if amount == 1 else "s")
