"""The report over several sweeps in one parent folder: what each keeps of the teacher, side by side.

Reads only the children's folders, each as `analysis.report` reads it, so it works on a running, killed or copied
parent. Writes report.html, report.md and family.csv into the parent.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from plotly.offline import get_plotlyjs

from analysis import confirmed_words, report
from analysis.choice import teacher_on_dev
from analysis.claims import ended, widen
from analysis.confirmed import confirmed
from analysis.family_figure import scores
from analysis.paired_tests import student
from analysis.state import Progress, again, locked, progress
from analysis.style import NOTHING, count, interval, number, plural
from analysis.verdict import Network, Verdict, layers, networks
from trainables.families import FAMILY, Family, listed, read_family, title
from trainables.record import FINISHED, Record, Trial
from trainables.statistics import Difference, over_seeds, paired

TABLE = "family.csv"


@dataclass(frozen=True)
class Child:
    """One sweep of the family.

    Attributes:
        name: Of its folder.
        networks: Teacher, undistilled student, student by knowledge distillation where confirming runs have it, and
            best student by role, those that there are.
        page: Its own report, relative to the parent; None before it is written.
    """

    name: str
    record: Record
    progress: Progress
    verdict: Verdict
    networks: dict[str, Network]
    page: str | None

    @property
    def best(self) -> Network | None:
        return self.networks.get("best")

    @property
    def base(self) -> Network | None:
        return self.networks.get("baseline")

    @property
    def kd(self) -> Network | None:
        return self.networks.get("kd")

    @property
    def point(self) -> str | None:
        """The best point, by the confirming runs where there are some."""
        trial = self.record.best_trial()
        return self.record.confirmed_best() or (trial.id if trial else None)

    @property
    def parameters(self) -> int | None:
        return (self.record.prepared or {}).get("student", {}).get("parameters")


def write(parent: Path | str, children: bool = False) -> Path:
    """Write the parent's report; every file appears whole or not at all. Of several methods it is their comparison.

    Args:
        parent: Folder with a `family.json`.
        children: Whether the report of every child is written anew as well.

    Returns:
        The HTML file.

    Raises:
        UserError: The folder is no parent of sweeps, a child cannot be read, or nothing can be written.
    """
    family = read_family(parent)
    if children:
        for record in family.records().values():
            report.write(record.path)
    if family.methods and family.records():
        from analysis import compare

        return compare.write([family.path])
    found = gather(family)
    page = {
        "title": title([child.record.plan for child in found]) if found else f"{len(family.names)} sweeps",
        "children": found,
        "missing": [name for name in family.names if name not in {child.name for child in found}],
        "verdict": verdict(found),
        "progress": standing(family, found),
        "confirmed": any(child.record.confirmed_best() for child in found),
        "kd": any("kd" in child.networks for child in found),
        "teacher": next((child.networks["teacher"] for child in found if "teacher" in child.networks), None),
        "caveats": caveats(found),
        "command": again(family.content["command"]),
        "tool": family.content["tool"],
        "created": family.content["created"],
    }
    drawing = report.div("scores", scores(found))
    environment = report.environment()
    environment.globals |= {"count": count, "difference": difference, "layers": layers, "share": share}
    texts = {
        TABLE: pd.DataFrame([row(child) for child in found]).to_csv(index=False),
        report.MARKDOWN: environment.get_template("family.md.j2").render(**page),
        report.HTML: environment.get_template("family.html.j2").render(
            **page, figure=drawing, plotly=get_plotlyjs() if drawing else ""
        ),
    }
    for name, text in texts.items():
        report.replace(family.path / name, text)
    return family.path / report.HTML


def gather(family: Family) -> list[Child]:
    """The children that are there, in their order."""
    found = []
    for name, record in family.records().items():
        state = progress(record)
        found.append(
            Child(
                name=name,
                record=record,
                progress=state,
                verdict=confirmed_words.outcome(record, finished=state.word == "complete"),
                networks={n.role: n for n in confirmed_words.networks(record) or networks(record)},
                page=f"{name}/{report.HTML}" if (record.path / report.HTML).exists() else None,
            )
        )
    return found


def verdict(children: Sequence[Child]) -> list[str]:
    """What the family found, in sentences that claim no more than the intervals allow; the first leads."""
    scored = [child for child in children if child.best is not None]
    if not scored:
        return ["Nothing to judge yet: no distilled trial has been evaluated."]
    done = all(child.progress.word == "complete" for child in children)
    without = [child.name for child in children if child.best is None and child.progress.word == "complete"]
    nothing = f"No configuration of {listed(without, 'or')} has a score." if without else None
    kept, distilling = _kept(scored, done), _distilling(scored)
    poor, constant = [child.name for child in scored if child.verdict.constant], ""
    if len(poor) == len(scored):
        lead = "No size is" if done else "So far, no size is"
        lead += f" shown to be better than giving every row the same answer ({_constant(scored)})."
        # Which size is enough is no question where none is.
        return [line for line in (lead, kept, nothing, distilling) if line]
    if poor:
        verb = "is" if len(poor) == 1 else "are"
        constant = f"{listed(poor)} {verb} not shown to be better than giving every row the same answer "
        constant += f"({_constant(scored)})."
    return [line for line in (kept, constant, nothing, _smallest(scored), distilling) if line]


def _constant(scored: Sequence[Child]) -> str:
    return number(teacher_on_dev(scored[0].record).get("chance"))


def _kept(scored: Sequence[Child], done: bool) -> str:
    teacher = scored[0].networks.get("teacher")
    best = [(child.name, child.best) for child in scored if child.best is not None]
    if teacher is None or any(network.share is None for _, network in best):
        metric = scored[0].record.plan["metric_title"]
        words = f"best {metric}: {listed([f'{name} {number(network.score)}' for name, network in best])}."
    else:
        kept = [f"{name} {'' if i else 'keeps '}{share(network.share)}" for i, (name, network) in enumerate(best)]
        words = f"of the teacher's {number(teacher.score)}, {listed(kept)}."
    return words[0].upper() + words[1:] if done else f"So far, {words}"


def _smallest(scored: Sequence[Child]) -> str | None:
    """The smallest network that is not shown to be behind the best of all."""
    ranked = [child for child in scored if child.best is not None and child.best.score is not None]
    if len(ranked) < 2:
        return None
    if not all(child.progress.word == "complete" for child in ranked):
        return "Which size is enough is open before all have ended."
    top = max(ranked, key=lambda child: child.best.score if child.best and child.best.score is not None else 0.0)
    smaller = sorted(
        (child for child in ranked if (child.parameters or 0) < (top.parameters or 0)),
        key=lambda child: child.parameters or 0,
    )
    lead = f"The best of all is {top.name}"
    again = None
    for child in smaller:
        again = len(_pairs(top.record, child.record)) or None
        found = between(child, top, len(ranked) - 1)
        if found is None:
            return f"{lead}; runs or predictions are missing, so it cannot be compared with {child.name}."
        if math.isinf(found.low):
            return (
                f"{lead}; its difference from {child.name} is {number(found.value, signed=True)} with every seed, so "
                "nothing is known of its spread and nothing is shown."
            )
        if found.low <= 0:
            which = f"{found.n} dev rows" if again is None else f"{again} seeds and {found.n} dev rows"
            return (
                f"{lead}. The smallest that the {which} do not show to be behind it is {child.name}: "
                f"difference {number(-found.value, signed=True)}, 95 % interval "
                f"{interval(-found.high, -found.low, signed=True)}"
                f"{f', widened for {len(ranked) - 1} comparisons' if len(ranked) > 2 else ''}."
            )
    if not smaller:
        return f"{lead}, which is also the smallest."
    names = listed([child.name for child in smaller])
    noise = "the dev rows" if again is None else "seeds and dev rows"
    return f"{lead}; {names} {'is' if len(smaller) == 1 else 'are'} behind it, outside the noise of {noise}."


def between(one: Child, top: Child, comparisons: int) -> Difference | None:
    """Best of `top` minus best of `one` on the same dev rows, its interval widened for so many comparisons.

    Confirmed points are compared seed by seed: the interval is the hull of that over seeds and rows, which makes too
    little of few seeds, and of Student's over the seeds, unbounded where all seeds differ alike. None where predictions
    are missing, a trial still runs, or fewer than two seeds confirmed both.
    """
    if not (top.record.confirmed_best() or one.record.confirmed_best()):
        mine, best = one.record.best_trial(), top.record.best_trial()
        alone = paired(top.record, best, mine) if mine and best and ended(mine, best) else None
        return None if alone is None or math.isnan(alone.low) else widen(alone, comparisons)
    pairs = _pairs(top.record, one.record)
    found = over_seeds(top.record, pairs) if len(pairs) > 1 else None
    if found is None or math.isnan(found.low):
        return None
    wide = widen(found, comparisons)
    low, high, _ = student(
        [a.reported - b.reported for a, b in pairs if a.reported is not None and b.reported is not None], wide.level
    )
    return replace(wide, low=min(low, wide.low), high=max(high, wide.high))


def _pairs(top: Record, other: Record) -> list[tuple[Trial, Trial]]:
    """Confirming runs of both best points, by the seeds that they share."""
    runs = []
    for record in (top, other):
        found = confirmed(record)
        if found is None or found.best is None:
            return []
        group = found.group(found.best)
        runs.append({seed: trial for seed, trial in group.runs.items() if seed in group.scores})
    return [(runs[0][seed], runs[1][seed]) for seed in runs[0] if seed in runs[1]]


def _distilling(scored: Sequence[Child]) -> str | None:
    judged = [child for child in scored if child.base is not None and child.progress.word == "complete"]
    if not judged:
        return None
    by_tone = {tone: [c.name for c in judged if c.verdict.tone == tone] for tone in ("ahead", "even", "behind")}
    if len(by_tone["even"]) == len(judged):
        return "Against the undistilled student of the same size, nothing is shown at any size."
    parts = [f"{tone} at {listed(by_tone[tone])}" for tone in ("ahead", "behind") if by_tone[tone]]
    open_ones = f"; at {listed(by_tone['even'])} nothing is shown" if by_tone["even"] else ""
    return f"Against the undistilled student of the same size, distilled is {listed(parts)}{open_ones}."


def standing(family: Family, children: Sequence[Child]) -> Progress:
    """How far the family is, with the command that goes on."""
    trials = [trial for child in children for trial in child.record.everything()]
    done = sum(trial.state in FINISHED for trial in trials)
    total = len(trials) + sum(child.record.to_suggest for child in children)
    counts = f"{done} of {plural(total, 'trial')} of {len(family.names)} sweeps finished"
    if len(children) == len(family.names) and all(child.progress.word == "complete" for child in children):
        return Progress("complete", f"Complete: {counts}.", None)
    if locked(family.path) or any(child.progress.word == "running" for child in children):
        return Progress("running", f"Running: {counts}.", None)
    command = f"python -m trainables.sweep --resume {shlex.quote(str(family.path.resolve()))}"
    return Progress("interrupted", f"Interrupted: {counts}.", command)


def caveats(children: Sequence[Child]) -> list[str]:
    """What a reader should hold against the numbers."""
    if not any(child.best for child in children):
        return []
    chosen = (
        "Each best was chosen among its sweep's trials on the same dev rows that score it, which flatters it against "
        "the undistilled student and the teacher; the sweeps' own reports say among how many."
    )
    if children[0].record.held_out:
        chosen = "Each best was chosen on held-out training rows; the scores here are those on dev."
    rows = "Intervals are 95 % bootstrap intervals over the dev rows. They do not cover what another seed would change."
    if again := [child.name for child in children if child.record.confirmed_best()]:
        rows = (
            f"Scores of {listed(again)} are means over fresh seeds of the confirming runs, with 95 % intervals over "
            "these seeds; differences have intervals over seeds and dev rows."
        )
        if len(again) == len(children) and not children[0].record.held_out:
            chosen = (
                "Each confirmed point was picked by its search on the same dev rows that score it, which flatters it "
                "against the undistilled student and the teacher; fresh seeds do not change that."
            )
    return [
        chosen,
        rows,
        "Parameters count the embeddings, which all sizes of one encoder share.",
    ]


def difference(child: Child) -> str:
    """Best minus undistilled student with its interval."""
    found = child.verdict.difference
    if found is None:
        return NOTHING
    return f"{number(found.value, signed=True)} ({interval(found.low, found.high, signed=True)})"


def share(value: float | None) -> str:
    """A share of the teacher's score in percent."""
    return NOTHING if value is None else f"{100 * value:.0f}\u00a0%"


def row(child: Child) -> dict[str, object]:
    """One line of the CSV file."""
    plan, best, base, found = child.record.plan, child.best, child.base, child.verdict.difference
    teacher = child.networks.get("teacher")
    trials = child.record.everything()
    return {
        "sweep": child.name,
        "method": plan["method"],
        "task": plan["task"],
        "layers": plan["layers"],
        "parameters": child.parameters,
        "state": child.progress.word,
        "trials": len(trials),
        "finished": sum(trial.state in FINISHED for trial in trials),
        "metric": plan["metric"],
        "best_point": child.point,
        **_numbers("score", best),
        **_numbers("undistilled", base),
        **(_numbers("kd", child.kd) if child.kd else {}),
        "difference": found.value if found else None,
        "difference_low": found.low if found else None,
        "difference_high": found.high if found else None,
        "shown": child.verdict.tone if found else None,
        "teacher": teacher.score if teacher else None,
        "of_teacher": best.share if best else None,
    }


def _numbers(name: str, network: Network | None) -> dict[str, float | None]:
    spread = network.interval if network else None
    return {
        name: network.score if network else None,
        f"{name}_low": spread.low if spread else None,
        f"{name}_high": spread.high if spread else None,
    }


__all__ = ["FAMILY", "Child", "between", "gather", "standing", "verdict", "write"]
