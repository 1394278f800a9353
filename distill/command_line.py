"""What every command line says of wrong input: one sentence. Imports without torch."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any, NoReturn

from distill.errors import UserError
from distill.output import show


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, as all bad input is answered, instead of printing the usage first.

    A reader that closes the pipe early does not break its help.
    """

    def print_help(self, file: Any = None) -> None:
        if file is None:
            show(self.format_help().rstrip())
        else:
            super().print_help(file)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; --help lists the options.\n")


def refuse_empty(values: Mapping[str, Any]) -> None:
    """Raise UserError where an option has an empty text."""
    for name, value in values.items():
        if isinstance(value, str) and not value.strip():
            raise UserError(
                f"--{name.replace('_', '-')} is empty, as from a shell variable that is not set; give it a value, or "
                "leave it out."
            )
