"""`python -m distill.methods`: every setting of a method, those that no grid varies among them."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

from distill import methods
from distill.command_line import Parser
from distill.errors import UserError, error_line
from distill.methods.base import Hyperparameter, Method
from distill.output import show


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = Parser(
        prog="python -m distill.methods",
        description="List the settings of a distillation method that --set takes. "
        "python -m search_spaces --method NAME says which values its grid tries, and where they come from.",
    )
    root.add_argument("--method", metavar="NAME", help="only this method (default: all)")
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when done, 2 on bad input."""
    asked = parser().parse_args(arguments)
    width = min(shutil.get_terminal_size().columns, 120)
    try:
        found = [methods.get(name) for name in (methods.names() if asked.method is None else [asked.method])]
    except UserError as error:
        print(error_line(error), file=sys.stderr)
        return 2
    show("\n\n".join("\n".join(lines(method, width)) for method in found))
    return 0


def lines(method: Method, width: int) -> list[str]:
    """A method's settings with their defaults, values and meaning.

    Args:
        width: Columns of the terminal.
    """
    room = max(40, width)
    found = [f"{method.name}: {method.title}"]
    for hyper in method.hyperparameters:
        text = f"{hyper.name} = {_default(hyper)} ({_values(hyper)}): {hyper.help}"
        found += textwrap.wrap(
            text,
            room,
            initial_indent="  ",
            subsequent_indent="      ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return found


def _default(hyper: Hyperparameter) -> str:
    plain = _word(hyper.default)
    return plain if hyper.published is None else f"{plain}, published {_word(hyper.published)}"


def _values(hyper: Hyperparameter) -> str:
    if hyper.type == "bool":
        return "true or false"
    if hyper.type == "choice":
        return ", ".join(hyper.choices)
    if hyper.type == "layers":
        return f"{', '.join(hyper.choices)}, or layers such as 2-4-6"
    kind = "whole numbers" if hyper.type == "int" else "numbers"
    low, high = ("any" if end is None else _word(end) for end in (hyper.low, hyper.high))
    return f"{kind}, {low} to {high}"


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    raise SystemExit(main())
