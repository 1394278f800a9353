"""The report of a sweep: `python -m analysis.report DIR`.

Reads only files in the sweep's folder, so it works on a running, killed, failed, empty or copied sweep,
without GPU, Ray or torch. Writes report.html (one file, no network), report.md, trials.csv, best.yaml
and, of confirming runs, confirm.csv beside the rows.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import jinja2
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from analysis import tables
from analysis.before import pictures
from analysis.best import NAME as BEST
from analysis.best import best_yaml
from analysis.confirmed import confirmed, table
from analysis.curves import best_so_far, learning_curves
from analysis.observed import observed
from analysis.slices import slices
from analysis.style import NOTHING, ROLES, interval, number
from analysis.summary import Line, Summary, sizes, summarise
from analysis.terms import loss_terms
from distill.errors import error_line
from trainables.families import is_family
from trainables.record import Record, UserError, read

HTML, MARKDOWN, TABLE, CONFIRMED = "report.html", "report.md", "trials.csv", "confirm.csv"
_CONFIG = {"responsive": True, "displaylogo": False, "displayModeBar": False}


def write(path: Path | str, running: bool | None = None) -> Path:
    """Write the report of the sweep in `path` into that folder; every file appears whole or not at all.

    Args:
        path: The sweep's folder.
        running: Whether its driver is at work; asked of the folder's lock when None.

    Returns:
        The HTML file.

    Raises:
        UserError: The folder holds no readable sweep, or can't be written to.
    """
    record = read(path)
    summary = summarise(record, running)
    texts = {
        TABLE: tables.trials(record).to_csv(index=False),
        MARKDOWN: environment().get_template("report.md.j2").render(s=summary, record=record),
        HTML: html(record, summary),
    }
    if (again := confirmed(record)) is not None:
        texts[CONFIRMED] = table(again).to_csv(index=False)
    best = best_yaml(record)
    if best is not None:
        texts[BEST] = best
    for name, text in texts.items():
        replace(record.path / name, text)
    return record.path / HTML


def html(record: Record, summary: Summary) -> str:
    """The report as one page that loads nothing."""
    own, losses = observed(record), pictures(summary.before)
    drawn = {
        "curves": div("curves", learning_curves(record)),
        "confirmed": div("confirmed", None if summary.confirmed is None else summary.confirmed.figure),
        "slices": _divs("slice", slices(record)),
        "so_far": div("so-far", best_so_far(record)),
        "terms": _divs("term", loss_terms(record)),
        "observed": _divs("observed", own.figures),
        "notes": own.notes,
        "which": own.which,
        "before": _divs("before", losses),
        "kept": "; the orange mark is what was handed on" if any(len(f.data) > 1 for f in losses.values()) else "",
    }
    page = environment().get_template("report.html.j2")
    return page.render(s=summary, record=record, figures=drawn, plotly=get_plotlyjs(), bar=_bar(summary))


def main(argv: Sequence[str] | None = None) -> int:
    """Write a sweep's report, or those of a parent of several, and print where it is; 2 when there is none."""
    parser = argparse.ArgumentParser(prog="python -m analysis.report", description=__doc__.split("\n")[0])
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder of a sweep or of several: running or not")
    folder = parser.parse_args(argv).folder
    try:
        if is_family(folder):
            from analysis import family

            print(family.write(folder, children=True))
        else:
            print(write(folder))
    except UserError as error:
        print(error_line(error), file=sys.stderr)
        return 2
    return 0


def environment() -> jinja2.Environment:
    """Templates with the filters and words that all pages share."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=jinja2.select_autoescape(("html", "html.j2")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters["number"] = number
    found.filters["flags"] = _flags
    found.filters["cell"] = lambda text: str(text).replace("|", "\\|").replace("\n", " ")
    found.globals |= {"sizes": sizes, "interval": interval, "roles": ROLES, "nothing": NOTHING}
    return found


def _flags(text: str) -> str:
    """Escaped text with a command's flags kept whole where a line is broken: browsers break behind hyphens."""
    return re.sub(r"(?<!\w)(--?[a-z][\w-]*)", r'<span class="flag">\1</span>', str(text))


def div(name: str, figure: go.Figure | None) -> str | None:
    """A figure as a piece of a page that brings plotly.js itself; the id is fixed, so that equal records give
    equal pages."""
    if figure is None:
        return None
    return figure.to_html(full_html=False, include_plotlyjs=False, config=_CONFIG, div_id=f"figure-{name}")


def _divs(name: str, drawn: dict[str, go.Figure]) -> dict[str, str | None]:
    return {key: div(f"{name}-{number}", figure) for number, (key, figure) in enumerate(drawn.items())}


def _bar(summary: Summary) -> dict[str, dict[str, float]]:
    """Where interval and score of every trial lie on a common scale from 0 to 100, for the small bars."""
    spans = {line.id: _span(line) for line in summary.lines if line.number is not None}
    if not spans:
        return {}
    low, high = min(span[0] for span in spans.values()), max(span[2] for span in spans.values())
    unit = (high - low) or 1.0
    return {
        name: dict(zip(("low", "at", "high"), (100 * (spot - low) / unit for spot in span), strict=True))
        for name, span in spans.items()
    }


def _span(line: Line) -> tuple[float, float, float]:
    at = line.number or 0.0
    return (at, at, at) if line.spread is None else (line.spread.low, at, line.spread.high)


def replace(file: Path, text: str) -> None:
    """Put `text` in place of `file`, whole or not at all.

    Raises:
        UserError: The folder can't be written to.
    """
    try:
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
            # mkstemp makes files that only their owner reads; a report is meant for everyone in the folder.
            os.chmod(name, 0o644)
            os.replace(name, file)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise UserError(f"{file} can't be written: {error.strerror}; copy the folder to where you may.") from error


if __name__ == "__main__":
    sys.exit(main())
