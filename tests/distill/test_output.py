"""Printing to a pipe that nobody reads any more: work goes on, what only prints ends quietly."""

from __future__ import annotations

import errno
import io
import subprocess
import sys
from pathlib import Path

import pytest

from distill.artifacts import Store
from distill.output import GONE, say, show, surviving

ROOT = Path(__file__).resolve().parents[2]
# Reads one line, if any is wanted, and closes the pipe; then the command goes on.
WORK = """
import sys
from distill.output import say
say("first")
sys.stdin.readline()
for number in range(3):
    say("x" * 100_000)
print("unflushed")
open(sys.argv[1], "w").write("whole")
"""


def unread(*arguments: str) -> tuple[int, str]:
    """Exit code and standard error of a command whose standard output is a pipe without a reader."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, errors = process.communicate("go on\n", timeout=60)
    return process.returncode, errors


def test_work_goes_on_to_its_end_without_a_reader(tmp_path: Path) -> None:
    file = tmp_path / "result"
    assert unread("-c", WORK, str(file)) == (0, "")
    assert file.read_text() == "whole"


def test_what_only_prints_ends_quietly(store: Store) -> None:
    store.build("tokens", {"data": "d"}, lambda folder: {"rows": 1})
    assert unread("-m", "distill.artifacts", "ls", "--artifacts", str(store.place)) == (GONE, "")
    for command in ("trainables.sweep", "distill.artifacts", "distill.augment"):
        assert unread("-m", command, "--help") == (GONE, "")


def test_removing_goes_on_without_a_reader(tmp_path: Path) -> None:
    process = (
        "from distill.artifacts import Store; import sys;"
        "Store(sys.argv[1]).build('tokens', {}, lambda folder: {'rows': 1})"
    )
    place = tmp_path / "store"
    # Built by a process that has ended, so that nothing holds it.
    subprocess.run([sys.executable, "-c", process, str(place)], cwd=ROOT, check=True)
    assert unread("-m", "distill.artifacts", "gc", "--kind", "tokens", "--yes", "--artifacts", str(place)) == (0, "")
    assert not list(place.glob("tokens-*"))


class Broken(io.StringIO):
    """A stream without a descriptor that takes nothing."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, text: str) -> int:
        raise OSError(self.number, "cannot be written")


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO])
def test_a_reader_that_is_gone_is_survived_a_full_disk_is_not(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    say("nobody reads this", Broken(number))
    with surviving(Broken(number)):
        raise OSError(number, "gone")
    monkeypatch.setattr(sys, "stdout", Broken(number))
    with pytest.raises(SystemExit, match=str(GONE)):
        show("nobody reads this")
    for tell in (lambda: say("x", Broken(errno.ENOSPC)), lambda: say("x", Broken(errno.EBADF))):
        with pytest.raises(OSError, match="cannot be written"):
            tell()
