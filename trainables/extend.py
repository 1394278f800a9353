"""`python -m trainables.extend DIR`: more points, values or seeds for a sweep that is finished or was interrupted."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distill.command_line import Parser
from distill.errors import UserError
from distill.output import say
from trainables.budget import Limits
from trainables.families import refuse_family
from trainables.options import add_later_options
from trainables.progress import plural
from trainables.record import Record, read, suggests
from trainables.sweep import drive_later, guarded, reopened


def main(arguments: Sequence[str] | None = None) -> int:
    """Add points to a sweep and run them; 2 on bad input, else as `trainables.sweep`."""
    typed = list(sys.argv[1:] if arguments is None else arguments)
    parser = Parser(
        prog="python -m trainables.extend",
        description="Add points to a sweep that is finished or was interrupted, and run what is missing. What is "
        "finished is not run again.",
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder of a sweep")
    parser.add_argument(
        "--trials", type=int, metavar="N", help="more points of its grid, up to N distilled ones in all"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=V1,V2", help="its points with more values of NAME"
    )
    parser.add_argument("--seeds", metavar="1,2", help="its points, and the baseline, again with these seeds")
    parser.add_argument("--points", metavar="p00,p03", help="only these points get the seeds (the baseline is ft)")
    add_later_options(parser, "be added")
    asked = parser.parse_args(typed)
    return guarded(lambda: _run(vars(asked), typed))


def _run(asked: dict[str, Any], typed: list[str]) -> int:
    from trainables.recorder import Recorder

    if not (asked["trials"] or asked["set"] or asked["seeds"]):
        raise UserError("Nothing to add was named; give --trials, --set or --seeds.")
    if asked["points"] and not asked["seeds"]:
        raise UserError("--points says which points get further seeds; give --seeds too.")
    folder = asked["folder"].expanduser().absolute()
    refuse_family(folder, "extend")
    data = reopened(folder, asked["allow_changed"], "extend")
    if asked["dry_run"]:
        record = read(folder)
        _tell(record, _points(record, asked), asked["trials"])
        say("Dry run: nothing was added.")
        return 0
    limits = Limits.again([read(folder)], {})
    recorder = Recorder(folder)
    try:
        points = _points(recorder.record, asked)
        _tell(recorder.record, points, asked["trials"])
        # The folder's name is not among the arguments that a copied sweep could use.
        arguments = [word for word in typed if word != str(asked["folder"])]
        recorder.extend(points, arguments, _in_all(recorder.record, points, asked["trials"]))
    except BaseException:
        recorder.close()
        raise
    return drive_later(recorder, data, limits, bool(asked["no_run"]))


def _in_all(record: Record, points: list[dict[str, Any]], trials: int | None) -> int | None:
    """How many distilled points a sweep shall have whose points are suggested; None where nothing changes that.

    Points that somebody names while suggestions are still to come take the place of none.
    """
    if not suggests(record) or trials is not None or not record.to_suggest:
        return trials if suggests(record) else None
    plan = record.plan
    own = [p for p in (*plan["points"], *points) if p["origin"] != "baseline" and p["seed"] == plan["seed"]]
    return len(own) + record.to_suggest


def _points(record: Record, asked: dict[str, Any]) -> list[dict[str, Any]]:
    from trainables.config import from_namespace
    from trainables.growth import grow, parse_seeds

    return grow(
        record,
        trials=asked["trials"],
        settings=from_namespace({"set": asked["set"]}, []).settings,
        seeds=parse_seeds(asked["seeds"]) if asked["seeds"] else (),
        only=[part.strip() for part in (asked["points"] or "").split(",") if part.strip()],
    )


def _tell(record: Record, points: list[dict[str, Any]], trials: int | None) -> None:
    plan = record.plan
    if trials is not None and suggests(record):
        say(f"{record.path} gets up to {trials} distilled points in all, each suggested when a worker is free.")
    if points:
        say(f"{record.path} gets {plural(len(points), 'point')}, {plural(plan['epochs'], 'epoch')} each:")
    for point in points:
        say(f"  {point['id']}  {point['label']}  [{point['origin']}]")
    if left := len(record.unfinished()):
        say(f"Before them: {plural(left, 'unfinished trial')}.")


if __name__ == "__main__":
    sys.exit(main())
