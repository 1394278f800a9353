"""What commands print of an error."""

from __future__ import annotations

import pytest

from distill.errors import UserError, error_line
from distill.methods.__main__ import main


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("a is broken; mend it", "error: a is broken; mend it."),
        ("a is broken; mend it.", "error: a is broken; mend it."),
        ("a is unknown; did you mean b?", "error: a is unknown; did you mean b?"),
        ("there is no file a.csv (it has b.csv)", "error: there is no file a.csv (it has b.csv)."),
    ],
)
def test_a_sentence_ends_with_one_stop(said: str, line: str) -> None:
    assert error_line(UserError(said)) == line


def test_a_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--method", "x"]) == 2
    told = capsys.readouterr().err
    assert told.endswith((".\n", "?\n"))
    assert not told.endswith("..\n")
