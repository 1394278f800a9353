"""What a comparison of methods says, in sentences that claim no more than its intervals allow."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from pathlib import Path

from analysis.chance import group_remark, trial_remark
from analysis.confirmed import confirmed
from analysis.contenders import Contender
from analysis.pairs import Pair
from analysis.state import Progress
from analysis.style import NOTHING, interval, number, plural
from trainables.families import listed
from trainables.record import FINISHED
from trainables.spending import rule

# Shares of the devices that differ by more are worth a word.
_UNEQUAL = 1.25
_SHOWN = {"ahead": "ahead", "behind": "behind", "even": "not told apart", "open": "open"}
# So many pairs can be read in a sentence.
_MANY = 6


def verdict(found: Sequence[Contender], both: Sequence[Pair]) -> list[str]:
    """What the comparison found; the first sentence leads."""
    scored = [one for one in found if one.score is not None]
    if not scored:
        return ["Nothing to compare yet: no trial has been evaluated."]
    done = all(one.progress.word == "complete" for one in found)
    lines = [_lead(scored, done), *_constant(scored), *_shown(both)]
    without = [one.name for one in found if one.score is None]
    if without:
        lines.append(f"{listed(without)} {'has' if len(without) == 1 else 'have'} no score yet.")
    return lines


def _lead(scored: Sequence[Contender], done: bool) -> str:
    top = max(scored, key=lambda one: -math.inf if one.score is None else one.score)
    tops = [one for one in scored if one.score == top.score]
    plain = [one for one in scored if one.undistilled and one not in tops]
    metric = top.record.plan["metric_title"]
    over = f"mean of {top.over}" if len(top.runs) > 1 else top.over
    names = listed([one.name for one in tops])
    words = f"{'Highest' if done else 'Highest so far'}: {names} with {metric} {number(top.score)} ({over})"
    if plain:
        words += f"; undistilled {number(max(-math.inf if one.score is None else one.score for one in plain))}"
    made_up = ", on made-up data" if top.record.plan["data"].get("origin") == "embedded" else ""
    return f"{words}{made_up}."


def _constant(scored: Sequence[Contender]) -> list[str]:
    poor = [one.name for one in scored if _remark(one)]
    if not poor:
        return []
    verb = "is" if len(poor) == 1 else "are"
    return [f"{listed(poor)} {verb} not shown to be better than giving every row the same answer."]


def _remark(one: Contender) -> str:
    again = confirmed(one.record) if one.again == "confirmed" else None
    if again is not None and one.best is not None:
        id = "ft" if one.best.is_baseline else one.best.id
        return next((group_remark(one.record, group) for group in again.groups if group.id == id), "")
    return "" if one.best is None else trial_remark(one.record, one.best)


def _shown(both: Sequence[Pair]) -> list[str]:
    """Which differences are outside the noise, which are not, and which are open."""
    lines = []
    claims = [pair for pair in both if pair.tone in ("ahead", "behind")]
    for noise, mine in (
        ("the dev rows, with one seed each", [pair for pair in claims if pair.seeds == 1]),
        ("seeds and dev rows", [pair for pair in claims if pair.seeds > 1]),
    ):
        if mine:
            lines.append(f"Shown, outside the noise of {noise}: {listed([_ahead(pair) for pair in mine])}.")
    even = [pair for pair in both if pair.tone == "even" and pair.found is not None]
    alone = [pair for pair in even if _alone(pair)]
    if even and not alone and not claims and len(even) == len(both) > 1:
        return [*lines, "Of no two is it shown that one is ahead of the other: every difference may be noise."]
    if alone:
        looks = f"{plural(len(both), 'pair')} and " if len(both) > 1 else ""
        lines.append(
            f"Not told apart once intervals are widened for {looks}the choice of the best, though their own exclude 0: "
            f"{_alike(alone)}."
        )
    if rest := [pair for pair in even if not _alone(pair)]:
        lines.append(f"Not told apart: {_alike(rest)}.")
    lines += [f"{p.one.name} and {p.other.name} are not compared: {p.why}." for p in both if p.why and p.tone == "even"]
    if any(pair.tone == "open" for pair in both):
        lines.append("Which is ahead is open before the sweeps have ended.")
    return lines


def _alone(pair: Pair) -> bool:
    """Whether the 95 % interval of a pair by itself excludes 0."""
    return pair.found is not None and (pair.found.low > 0 or pair.found.high < 0)


def shown(pair: Pair) -> str:
    """What its first one is, in a word or two."""
    return f"{_SHOWN[pair.tone]}{' once widened' if pair.tone == 'even' and _alone(pair) else ''}"


def _alike(even: Sequence[Pair]) -> str:
    """Pairs by name; of many those with an undistilled student, and how many others there are."""
    if len(even) <= _MANY:
        return listed([f"{pair.one.name} from {pair.other.name}" for pair in even])
    plain: dict[str, list[str]] = {}
    for pair in even:
        if pair.other.undistilled:
            plain.setdefault(pair.other.name, []).append(pair.one.name)
    words = [f"{listed(names)} from {other}" for other, names in plain.items()]
    others = len(even) - sum(map(len, plain.values()))
    return "; ".join([*words, *([f"{plural(others, 'pair')} of distilled students"] if others else [])])


def _ahead(pair: Pair) -> str:
    assert pair.found is not None
    first, second, low, high = pair.one, pair.other, pair.found.low, pair.found.high
    if pair.tone == "behind":
        first, second, low, high = second, first, -high, -low
    value = number(abs(pair.found.value), signed=True)
    return f"{first.name} ahead of {second.name} by {value} ({interval(low, high, signed=True)})"


def difference(pair: Pair) -> str:
    """Its value with the 95 % interval, or why there is none."""
    if pair.found is None:
        return pair.why or NOTHING
    if math.isinf(pair.found.low):
        return f"{number(pair.found.value, signed=True)} (the same with every seed)"
    return f"{number(pair.found.value, signed=True)} ({interval(pair.found.low, pair.found.high, signed=True)})"


def standing(found: Sequence[Contender], parent: Path | None, missing: Sequence[str] = ()) -> Progress:
    """How far the sweeps are, with the command that goes on where one does for all.

    Args:
        missing: Sweeps of the parent that a kill kept from being written.
    """
    records = list({one.record.path: one.record for one in found}.values())
    trials = [trial for record in records for trial in record.everything()]
    done = sum(trial.state in FINISHED for trial in trials)
    total = len(trials) + sum(record.to_suggest for record in records)
    states = {one.progress.word for one in found}
    counts = f"{done} of {plural(total, 'trial')} of {plural(len(records), 'sweep')} finished"
    if states == {"complete"} and not missing:
        return Progress("complete", f"Complete: {counts}.", None)
    if "running" in states:
        return Progress("running", f"Running: {counts}.", None)
    command = None
    if parent is not None:
        command = f"python -m trainables.sweep --resume {shlex.quote(str(parent.resolve()))}"
    return Progress("interrupted", f"Interrupted: {counts}.", command)


def caveats(found: Sequence[Contender], both: Sequence[Pair]) -> list[str]:
    """What a reader should hold against the numbers."""
    scored = [one for one in found if one.score is not None]
    if not scored:
        return []
    several = [one for one in scored if len(one.runs) > 1]
    lines = [_choice(scored)]
    if several:
        lines.append(
            f"Scores of {listed([one.name for one in several])} are means over seeds, with Student's 95 % interval; "
            "their differences are taken seed by seed, and the interval is the hull of Student's and of a bootstrap "
            "over seeds and dev rows."
        )
    if len(several) < len(scored):
        lines.append(
            "Intervals of single runs are 95 % bootstrap intervals over the dev rows, paired for differences. They do "
            "not cover what another seed would change; --confirm runs fresh seeds."
        )
    if both:
        lines.append(
            "A difference counts as shown only where its interval excludes 0 when widened for "
            f"{plural(len(both), 'pair')} and for the choice of the one ahead among its trials."
        )
    return lines + _unequal(scored)


def _choice(scored: Sequence[Contender]) -> str:
    apart = [one.name for one in scored if one.record.held_out]
    if len(apart) == len(scored):
        return "Configurations and epochs were chosen on held-out training rows; scores are those on dev."
    most = max(len(one.scored) for one in scored if not one.record.held_out)
    words = (
        f"Each best was chosen among its trials (up to {most}) on the same dev rows that score it, which flatters a "
        "method that had more of them."
    )
    if apart:
        words += f" Not so {listed(apart)}: held-out training rows chose there, which no choice on dev flatters."
    return words


def _unequal(scored: Sequence[Contender]) -> list[str]:
    """In what else than the method the sweeps differ."""
    lines = []
    spent = {one.name: one.spent for one in scored if one.spent > 0}
    if len(spent) > 1 and max(spent.values()) > _UNEQUAL * min(spent.values()):
        told = listed([f"{name} {seconds:.0f}" for name, seconds in spent.items()])
        short = [one.name for one in scored if not one.record.left_out and rule(one.record) is not None]
        why = f" {listed(short)} had no further points to run." if short and len(short) < len(scored) else ""
        lines.append(f"Device-seconds differ: {told}.{why} Read the figures at equal cost.")
    for what, key in (("epochs of a full trial", "epochs"), ("layers", "layers"), ("recipes", "recipe")):
        values = {one.name: one.record.plan[key] for one in scored}
        if len(set(values.values())) > 1:
            lines.append(f"The {what} differ: {listed([f'{name} {value}' for name, value in values.items()])}.")
    teachers = {((one.record.prepared or {}).get("teacher") or {}).get("content") for one in scored}
    if len(teachers - {None}) > 1:
        lines.append("The sweeps had different teachers, so shares of the teacher's score cannot be compared.")
    if len({one.record.header["fingerprint"].get("data") for one in scored}) > 1:
        lines.append("The sweeps were trained on different rows.")
    if len({str(one.record.plan["student"].get("kept")) + one.record.plan["student"]["init"] for one in scored}) > 1:
        lines.append("The students did not start from the same layers.")
    if any(((one.record.prepared or {}).get("teacher") or {}).get("weak") for one in scored):
        lines.append("The teacher is weak, so a distilled student ahead of an undistilled one says little.")
    return lines
