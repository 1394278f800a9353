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
from typing import IO

import pytest

from tests.trainables import forked

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 600
# As it was before a Ray ran in this process, which leaves variables there that no other Ray must find.
ENVIRONMENT = dict(os.environ)
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
        environment: Variables beside those that this process began with, which an interpreter of its own then reads as
            it starts; without any the process is forked from one that has imported what takes long.
    """
    variables = {
        **ENVIRONMENT,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), ENVIRONMENT.get("PYTHONPATH")))),
        "HF_HUB_OFFLINE": "1",
        **(environment or {}),
    }
    begin = _forked if environment is None else _interpreter
    pid, output, ended = begin(module, arguments, variables)
    watchdog = threading.Timer(PATIENCE, lambda: os.killpg(pid, signal.SIGKILL))
    watchdog.start()
    lines: list[str] = []
    try:
        for line in output:
            lines.append(line)
            if when is not None and when(lines):
                when = None
                (os.killpg if group else os.kill)(pid, send)
                if send == signal.SIGKILL:
                    break
        code = ended()
    finally:
        watchdog.cancel()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        output.close()
    return Done(code, lines)


# Its number, what it prints, and what waits for its exit code.
Begun = tuple[int, IO[str], Callable[[], int]]


def _interpreter(module: str, arguments: Sequence[str], variables: dict[str, str]) -> Begun:
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=variables,
    )
    assert process.stdout is not None
    return process.pid, process.stdout, lambda: process.wait(timeout=PATIENCE)


def _forked(module: str, arguments: Sequence[str], variables: dict[str, str]) -> Begun:
    process, told = forked.start(module, arguments, variables)

    def ended() -> int:
        process.join(PATIENCE)
        assert process.exitcode is not None
        return process.exitcode

    assert process.pid is not None
    return process.pid, os.fdopen(told), ended


def here(main: Callable[[Sequence[str]], int], *arguments: str) -> Done:
    """Run a command's `main` in this process: for what starts no Ray, where most of a process of its own is imports."""
    told = io.StringIO()
    with as_before(), contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        code = main(arguments)
    return Done(code, told.getvalue().splitlines(keepends=True))


def on_ray(main: Callable[[Sequence[str]], int], *arguments: str) -> Done:
    """As `here`, on the Ray that runs in this process, for commands whose start and end of Ray others test."""
    import ray

    from trainables import engine

    with pytest.MonkeyPatch.context() as patch:
        assert ray.is_initialized()
        patch.setattr(engine, "start_ray", lambda plan, dashboard=True, address=None: None)
        patch.setattr(ray, "shutdown", lambda: None)
        return here(main, *arguments)


def evaluations(count: int) -> Callable[[list[str]], bool]:
    """Whether so many evaluations were told."""
    return lambda lines: sum(": epoch " in line and "Teacher" not in line for line in lines) >= count
