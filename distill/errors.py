"""The one exception a person is meant to read."""

from __future__ import annotations


class UserError(Exception):
    """Something the person can mend: one sentence that names the flag or file and the remedy.

    Commands print it without a traceback and leave with exit code 2.
    """


def error_line(error: Exception) -> str:
    """What a command prints of an error that a person can mend: its sentence, which ends with a stop."""
    said = f"error: {error}"
    return said if said.endswith((".", "?", "!", "…")) else f"{said}."
