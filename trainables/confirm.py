"""`python -m trainables.confirm DIR --top 3 --seeds 5`: the best points of a sweep again, with fresh seeds."""

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
from trainables.option_values import check_confirm
from trainables.options import add_later_options
from trainables.record import read
from trainables.sweep import drive_later, guarded, reopened


def main(arguments: Sequence[str] | None = None) -> int:
    """Confirm a sweep; 2 on bad input, else as `trainables.sweep`."""
    typed = list(sys.argv[1:] if arguments is None else arguments)
    parser = Parser(
        prog="python -m trainables.confirm",
        description="Run the best points of a finished search again at full length with seeds that it did not use, "
        "beside the undistilled student and knowledge distillation, and report means, intervals and paired tests. "
        "Run again with larger numbers, it adds only what is new.",
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder of a sweep")
    parser.add_argument("--top", type=int, default=3, metavar="N", help="so many of the best points (default: 3)")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="so many fresh seeds (default: 5)")
    add_later_options(parser, "run")
    asked = parser.parse_args(typed)
    return guarded(lambda: _run(vars(asked), typed))


def _run(asked: dict[str, Any], typed: list[str]) -> int:
    from trainables.confirmation import add, confirmation, describe
    from trainables.recorder import Recorder

    folder = asked["folder"].expanduser().absolute()
    refuse_family(folder, "confirm")
    top, seeds = asked["top"], asked["seeds"]
    check_confirm("--top", "--seeds", top, seeds)
    if asked["dry_run"]:
        record = read(folder)
        for line in describe(record, confirmation(record, top, seeds)):
            say(line)
        say("Dry run: nothing was added.")
        return 0
    limits = Limits.again([read(folder)], {})
    recorder = Recorder(folder)
    try:
        found = confirmation(recorder.record, top, seeds)
        if not found.points and not recorder.record.unfinished():
            raise UserError(
                f"Nothing is new: {folder} has these points with {len(found.seeds)} fresh seeds already; name a "
                "larger --top or more --seeds."
            )
        data = reopened(folder, asked["allow_changed"], "confirm")
        for line in describe(recorder.record, found):
            say(line)
        if found.points:
            # The folder's name is not among the arguments that a copied sweep could use.
            add(recorder, found, [word for word in typed if word != str(asked["folder"])])
    except BaseException:
        recorder.close()
        raise
    return drive_later(recorder, data, limits, bool(asked["no_run"]))


if __name__ == "__main__":
    sys.exit(main())
