"""The one exception a person is meant to read."""

from __future__ import annotations


class UserError(Exception):
    """Something the person can mend: one sentence that names the flag or file and the remedy.

    Commands print it without a traceback and leave with exit code 2.
    """
