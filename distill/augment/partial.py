"""The file that is being written: whole under its name or not there, and never begun twice by one command.

Until all is done, `.NAME.partial` beside it holds the rows and `.NAME.partial.json` says for which command, and how
many bytes of it count. What a kill leaves behind those is cut off when the same command goes on.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from distill.errors import UserError


def check_out(out: Path) -> None:
    """Raise UserError where a file cannot be begun under this name."""
    if out.is_dir():
        raise UserError(f"--out {out} is a folder; name a file in it, such as {out / 'aug.tsv'}.")
    if out.exists():
        raise UserError(f"--out {out} is there already; name another file, or remove it.")
    if not out.parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.parent}; make it first.")


class Partial:
    """Rows on their way into a file.

    Args:
        out: The file. It must not exist yet.
        identity: Everything that decides its content.

    Attributes:
        rows: Rows of the task whose copies are written.
        counts: What is counted about them.

    Raises:
        UserError: It cannot be written, another process is writing it, or rows of another identity lie there.
    """

    def __init__(self, out: Path, identity: Mapping[str, Any]) -> None:
        self.out = out
        self._identity = json.loads(json.dumps(identity))
        self._file = out.with_name(f".{out.name}.partial")
        self._state = out.with_name(f".{out.name}.partial.json")
        self.rows, self.counts = 0, dict[str, int]()
        self._bytes = 0
        check_out(out)
        self._stream = self._open()
        try:
            self._take_up()
        except UserError:
            self._stream.close()
            raise

    def _open(self) -> BinaryIO:
        try:
            stream = os.fdopen(os.open(self._file, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        except OSError as error:
            raise UserError(f"--out {self.out} cannot be written ({error.strerror}); name another file.") from None
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.close()
            raise UserError(f"--out {self.out} is being written by another process; name another file.") from None
        except OSError:
            # A file system without locks.
            pass
        return stream

    def _take_up(self) -> None:
        """Go on where a process with the same identity stopped, else begin."""
        try:
            state = json.loads(self._state.read_text(encoding="utf-8"))
            known, size = state["identity"], int(state["bytes"])
            rows, counts = int(state["rows"]), dict(state["counts"])
        except (OSError, ValueError, KeyError, TypeError):
            known, size, rows, counts = None, 0, 0, {}
        # Where the rows are gone, what is known of them is worth nothing.
        if known is not None and size <= self._file.stat().st_size:
            if known != self._identity:
                # Hours may lie in them, and the difference may be a slip of the pen.
                raise UserError(
                    f"--out {self.out}: {self._file} holds the first {rows} rows of a command with other options, data "
                    "or model; run that one again to go on, remove the file, or name another --out."
                )
            self.rows, self.counts, self._bytes = rows, counts, size
        self._stream.truncate(self._bytes)
        self._stream.seek(self._bytes)

    def add(self, lines: Iterable[str], rows: int, counts: Mapping[str, int]) -> None:
        """Write lines; a kill from here on loses none of them.

        Args:
            rows: Rows of the task that are done now, all together.
            counts: What was counted, all together.

        Raises:
            UserError: The disk is full.
        """
        try:
            self._stream.write("".join(f"{line}\n" for line in lines).encode())
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self.rows, self.counts, self._bytes = rows, dict(counts), self._stream.tell()
            state = {"identity": self._identity, "rows": rows, "bytes": self._bytes, "counts": self.counts}
            temporary = self._state.with_name(f"{self._state.name}.new")
            temporary.write_text(json.dumps(state), encoding="utf-8")
            temporary.replace(self._state)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise UserError(
                f"--out {self.out}: the disk is full; make room, and the same command goes on at row {self.rows}."
            ) from None

    def finish(self) -> None:
        """Give the file its name."""
        os.replace(self._file, self.out)
        self._state.unlink(missing_ok=True)

    def __enter__(self) -> Partial:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        if self.rows == 0:
            # Nothing to go on with.
            self._file.unlink(missing_ok=True)
            self._state.unlink(missing_ok=True)


__all__ = ["Partial", "check_out"]
