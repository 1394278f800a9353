"""The real command: as a process that can be listened to and killed, or in this one where it starts nothing."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 600
# For commands whose test is not about it: its processes take longer to start than the rest of Ray.
NO_DASHBOARD = ("--dashboard", "none")


@contextlib.contextmanager
def as_before() -> Iterator[None]:
    """Put environment and signal handlers back, which Ray and the engine change."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    environment = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(environment)
        for number, handler in kept.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class Done:
    """How a command ended: its exit code (negative for a signal) and what it printed."""

    code: int
    lines: list[str]

    @property
    def text(self) -> str:
        return "".join(self.lines)


def command(
    module: str,
    *arguments: str,
    when: Callable[[list[str]], bool] | None = None,
    send: int = signal.SIGKILL,
    group: bool = True,
    environment: dict[str, str] | None = None,
) -> Done:
    """Run `python -m module` in a session of its own.

    Args:
        when: Asked after every printed line; when it says so, `send` is sent, once.
        group: Send to the whole process group, else to the driver alone.
        environment: Variables beside those of this process.
    """
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        "HF_HUB_OFFLINE": "1",
        **(environment or {}),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=variables,
    )
    watchdog = threading.Timer(PATIENCE, lambda: os.killpg(process.pid, signal.SIGKILL))
    watchdog.start()
    lines: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if when is not None and when(lines):
                when = None
                (os.killpg if group else os.kill)(process.pid, send)
                if send == signal.SIGKILL:
                    break
        code = process.wait(timeout=PATIENCE)
    finally:
        watchdog.cancel()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()  # type: ignore[union-attr]
    return Done(code, lines)


def here(main: Callable[[Sequence[str]], int], *arguments: str) -> Done:
    """Run a command's `main` in this process: for what starts no Ray, where most of a process of its own is imports."""
    told = io.StringIO()
    with as_before(), contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        code = main(arguments)
    return Done(code, told.getvalue().splitlines(keepends=True))


def evaluations(count: int) -> Callable[[list[str]], bool]:
    """Whether so many evaluations were told."""
    return lambda lines: sum(": epoch " in line and "Teacher" not in line for line in lines) >= count
