"""Asking the model hub, and what it or the way to it can get wrong, in sentences. Imports without torch."""

from __future__ import annotations

import contextlib
import errno
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from distill.errors import UserError

Say = Callable[[str], None]

# A hub that did not answer is not asked again at once: a sweep wants a teacher, a student and data from it.
_REMEMBERED = 60.0
# What is left to the client, in seconds, to give up by itself and say why.
_GRACE = 1.0
_down: dict[str, tuple[float, str]] = {}


class HubUnreachable(UserError):
    """The hub does not answer, and the cache does not hold what was asked for.

    Attributes:
        reason: Why, in a few words.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Wanted:
    """A repository that somebody asked for.

    Attributes:
        name: Its id.
        revision: Branch, tag or commit; None is the main branch.
        flag: The option that asked for it, for messages.
        remedy: What else a person may name, where that is no folder.
    """

    kind: Literal["model", "dataset"]
    name: str
    revision: str | None
    flag: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.flag} {self.name}" if self.kind == "model" else f"{self.flag} needs {self.name}, which"

    @property
    def page(self) -> str:
        return f"{endpoint()}/{'datasets/' if self.kind == 'dataset' else ''}{self.name}"

    @property
    def instead(self) -> str:
        return self.remedy or ("name a folder" if self.kind == "model" else "name a folder with --data-dir")

    @property
    def without(self) -> str:
        """How to do without the hub."""
        return self.remedy or "do without the hub (--source)"


@dataclass(frozen=True)
class Listing:
    """What a repository holds at one commit: files with their sizes in bytes (0 where the hub names none)."""

    commit: str
    files: dict[str, int]


def endpoint() -> str:
    """Address of the hub (`HF_ENDPOINT`)."""
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def listed(wanted: Wanted, patience: float) -> Listing:
    """The files of a repository, with one request.

    Args:
        patience: Seconds that the hub may take to answer.

    Raises:
        HubUnreachable: No answer.
        UserError: It is not there, or not for this person.
    """
    from huggingface_hub import HfApi

    asked, reason = _down.get(endpoint(), (-_REMEMBERED, ""))
    if time.monotonic() - asked < _REMEMBERED:
        raise _unreachable(wanted, reason)

    def ask() -> Any:
        return HfApi().repo_info(
            wanted.name, repo_type=wanted.kind, revision=wanted.revision, files_metadata=True, timeout=patience
        )

    try:
        with failing(wanted):
            found = _within(patience, ask)
    except HubUnreachable as error:
        _down[endpoint()] = (time.monotonic(), error.reason)
        raise
    return Listing(str(found.sha), {file.rfilename: file.size or 0 for file in found.siblings or ()})


@contextlib.contextmanager
def failing(wanted: Wanted, begun: bool = False) -> Iterator[None]:
    """Turn what the hub's libraries raise into one sentence with the remedy.

    Args:
        begun: Whether the hub has answered before, so that silence now is a download that broke off.

    Raises:
        HubUnreachable: The hub does not answer, or only that it cannot now.
        UserError: Everything else.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise _sentence(error, wanted, begun) from error


def _sentence(error: Exception, wanted: Wanted, begun: bool) -> UserError:
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return UserError(
            f"{wanted} is gated: accept its conditions at {wanted.page}, log in with `hf auth login`, and run the "
            "command again."
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return _unknown(wanted)
    if isinstance(error, errors.RevisionNotFoundError):
        return UserError(f"{wanted} has no revision {wanted.revision or 'main'} at {endpoint()}: name another.")
    if isinstance(error, errors.HFValidationError):
        return UserError(f"{wanted} is neither a folder here nor a name that a hub can have; check it.")
    if isinstance(error, errors.OfflineModeIsEnabled):
        return _broken_off(wanted, error) if begun else _unreachable(wanted, "HF_HUB_OFFLINE is set")
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        if status >= 500 or status in (408, 429):
            return _broken_off(wanted, error) if begun else _unreachable(wanted, f"it answers with error {status}")
        if status in (401, 404) and not begun:
            return _unknown(wanted)
        return UserError(
            f"{wanted} cannot be had: {endpoint()} answers with error {status}; log in with `hf auth login`, "
            f"{'' if wanted.remedy else f'{wanted.instead}, '}or {wanted.without}."
        )
    # HTTPError is that of the client which this release of huggingface_hub uses, whichever it is.
    if isinstance(error, (errors.HTTPError, TimeoutError)):
        return _broken_off(wanted, error) if begun else _unreachable(wanted, words(error))
    if isinstance(error, errors.LocalEntryNotFoundError):
        return _broken_off(wanted, error.__cause__ or error)
    if _is_full(error):
        return UserError(
            f"{wanted} does not fit on the disk of the hub's cache: make room, or move the cache with HF_HOME."
        )
    if isinstance(error, OSError) and error.errno is not None:
        return UserError(f"{wanted} cannot be kept in the hub's cache ({words(error)}); HF_HOME moves it.")
    if begun and isinstance(error, ValueError):
        return UserError(f"{wanted} cannot be read ({words(error)}): {wanted.instead}.")
    if not begun:
        return UserError(
            f"{wanted} cannot be had: {endpoint()} does not answer as a hub does ({words(error)}); check HF_ENDPOINT, "
            f"or {wanted.without}."
        )
    return _broken_off(wanted, error)


def _unknown(wanted: Wanted) -> UserError:
    if wanted.kind == "dataset":
        return UserError(f"{wanted} is not known to {endpoint()}: {wanted.instead}.")
    return UserError(
        f"{wanted} is neither a folder here nor known to {endpoint()}: check the name, or log in with `hf auth login` "
        "if it is private."
    )


def _is_full(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False


def _unreachable(wanted: Wanted, reason: str) -> HubUnreachable:
    what = f"{wanted} is not a folder here" if wanted.kind == "model" else f"{wanted} is not in the cache"
    return HubUnreachable(
        f"{what} and {endpoint()} cannot be reached ({reason}): go online, or {wanted.instead}.", reason
    )


def _broken_off(wanted: Wanted, error: BaseException) -> UserError:
    return UserError(
        f"{wanted} did not arrive whole from {endpoint()} ({words(error)}): run the command again, or {wanted.instead}."
    )


def words(error: object) -> str:
    """What an exception says, on one line and not too long."""
    text = re.sub(r"^\[Errno -?\d+\] ", "", " ".join(str(error).split()))
    return (text or type(error).__name__)[:160].rstrip(". ")


def amount(size: int) -> str:
    """A number of bytes for people."""
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


@contextlib.contextmanager
def bars_on_terminals_only() -> Iterator[None]:
    """The library's progress bars where they can move; a file or a pipe would fill with them."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    quiet = not sys.stderr.isatty() and not are_progress_bars_disabled()
    if quiet:
        disable_progress_bars()
    try:
        yield
    finally:
        if quiet:
            enable_progress_bars()


def _within(seconds: float, call: Callable[[], Any]) -> Any:
    """The result of a call, or TimeoutError: the client's own limit does not cover looking up the host's name."""
    results: list[Any] = []
    faults: list[BaseException] = []

    def work() -> None:
        try:
            results.append(call())
        except BaseException as error:
            faults.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds + _GRACE)
    if faults:
        raise faults[0]
    if not results:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return results[0]
