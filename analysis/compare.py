"""Methods side by side: `python -m analysis.compare PARENT`, or several folders of sweeps on the same dev rows.

Reads only the sweeps' folders, so it works on running, killed and copied ones. Writes compare.html (one file, no
network) and compare.csv, and prints the table.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from plotly.offline import get_plotlyjs

from analysis import report
from analysis.compare_figure import by_cost, by_trials, looks
from analysis.compare_words import caveats, difference, shown, standing, verdict
from analysis.contenders import Contender, gather
from analysis.family import share
from analysis.pairs import Pair, pairs
from analysis.style import NOTHING, interval, number
from analysis.verdict import networks
from distill.errors import error_line
from trainables.families import is_family, read_family, title
from trainables.record import UserError
from trainables.statistics import teacher_interval

HTML, TABLE = "compare.html", "compare.csv"


def write(folders: Sequence[Path | str], out: Path | str | None = None) -> Path:
    """Write the comparison; every file appears whole or not at all.

    Args:
        folders: A parent of several sweeps, or sweeps, or both.
        out: The folder to write into; when None the one that is compared, or for several the working directory.

    Returns:
        The HTML file.

    Raises:
        UserError: They cannot be compared, or nothing can be written.
    """
    return _write([Path(folder) for folder in folders], out)[0]


def _write(folders: Sequence[Path], out: Path | str | None) -> tuple[Path, list[Contender], list[Pair]]:
    found = gather(folders)
    both = pairs(found)
    alone = len(folders) == 1
    target = Path(out) if out is not None else folders[0] if alone else Path.cwd()
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {target} can't be made: {error.strerror}; name another folder.") from error
    page = _page(folders, found, both)
    figures = {"trials": report.div("trials", by_trials(found)), "cost": report.div("cost", by_cost(found))}
    environment = report.environment()
    environment.globals |= {"share": share, "difference": difference, "shown": shown}
    drawn = any(figures.values())
    html = environment.get_template("compare.html.j2").render(
        **page, figures=figures, plotly=get_plotlyjs() if drawn else ""
    )
    table = pd.DataFrame([row(one) for one in found]).to_csv(index=False)
    for name, text in ((TABLE, table), (HTML, html)):
        report.replace(target / name, text)
    return target / HTML, found, both


def _page(folders: Sequence[Path], found: Sequence[Contender], both: Sequence[Pair]) -> dict[str, Any]:
    """What the template says, but for its figures."""
    plans = [one.record.plan for one in found]
    family = read_family(folders[0]) if len(folders) == 1 and is_family(folders[0]) else None
    paths = {one.record.path for one in found}
    missing = [] if family is None else [name for name in family.names if family.path / name not in paths]
    taught = next((one.record for one in found if teacher_interval(one.record) is not None), found[0].record)
    lines = [network for network in networks(taught) if network.role == "teacher"]
    return {
        "title": title(plans),
        "plan": plans[0],
        "made_up": plans[0]["data"].get("origin") == "embedded",
        "contenders": found,
        "pairs": both,
        "looks": looks(found),
        "repeated": any(len(one.runs) > 1 for one in found),
        "teacher": lines[0] if lines else None,
        "verdict": verdict(found, both),
        "progress": standing(found, None if family is None else family.path, missing),
        "missing": missing,
        "caveats": caveats(found, both),
        "command": shlex.join(["python", "-m", "analysis.compare", *map(str, folders)]),
        "tool": found[0].record.header.get("tool"),
    }


def row(one: Contender) -> dict[str, object]:
    """One line of the CSV file."""
    plan, spread = one.record.plan, one.interval
    return {
        "name": one.name,
        "method": "ft" if one.undistilled else plan["method"],
        "task": plan["task"],
        "layers": plan["layers"],
        "state": one.progress.word,
        "metric": plan["metric"],
        "score": one.score,
        "low": spread.low if spread else None,
        "high": spread.high if spread else None,
        "over": one.over if one.scores else None,
        "best_trial": one.single,
        "of_teacher": one.share,
        "trials": len(one.trials),
        "scored": len(one.scored),
        "not_run": len(one.record.left_out),
        "device_seconds": one.spent,
        "best_point": one.best.id if one.best else None,
        "values": one.best.point["label"] if one.best else None,
        "epochs": plan["epochs"],
        "folder": str(one.record.path),
    }


def lines(found: Sequence[Contender], both: Sequence[Pair]) -> list[str]:
    """The tables as text."""
    plan = found[0].record.plan
    head = ["", plan["metric_title"], "95 % interval", "over", "best trial", "of teacher", "trials", "device-s", "best"]
    rows = [
        [
            one.name,
            number(one.score),
            interval(one.interval.low, one.interval.high) if one.interval else NOTHING,
            one.over if one.scores else NOTHING,
            number(one.single),
            share(one.share),
            one.counts,
            f"{one.spent:.0f}",
            f"{one.best.id} ({one.best.point['label']})" if one.best else NOTHING,
        ]
        for one in found
    ]
    told = [*_aligned([head, *rows]), ""]
    if both:
        pairs_rows = [[f"{p.one.name} − {p.other.name}", difference(p), shown(p)] for p in both]
        told += [*_aligned([["", "difference (95 % interval)", "first is"], *pairs_rows]), ""]
    return [*told, *verdict(found, both)]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def main(argv: Sequence[str] | None = None) -> int:
    """Compare and print; 2 where the folders cannot be compared."""
    parser = argparse.ArgumentParser(prog="python -m analysis.compare", description=__doc__.split("\n")[0])
    parser.add_argument(
        "folders",
        metavar="DIR",
        type=Path,
        nargs="+",
        help="parent of several sweeps, or several sweeps; running or not",
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="folder of compare.html (default: DIR; this directory for several)"
    )
    asked = parser.parse_args(argv)
    try:
        page, found, both = _write(asked.folders, asked.out)
    except UserError as error:
        print(error_line(error), file=sys.stderr)
        return 2
    print("\n".join([*lines(found, both), "", str(page)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
