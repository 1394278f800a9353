"""What this machine decides of a run: device, type of matrix products, threads."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

from distill.errors import UserError
from distill.training import checkpoint
from distill.training.settings import Numerics, multiplies_in_bfloat16

# Options of mallopt (malloc.h).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4


def decide_numerics(device: str | None, autocast: str | None, threads: int) -> Numerics:
    """Device, type of matrix products and threads of a run on this machine, as a sweep would decide them.

    Args:
        device: "cpu" or "cuda"; None takes a GPU where there is one.
        autocast: "auto" is bfloat16 on a GPU and on processors that have it; "bfloat16"; None is float32.
        threads: Of the student's training.

    Raises:
        UserError: A word is unknown, or there is no such device.
    """
    if device not in (None, "cpu", "cuda"):
        raise UserError(f"device {device!r} is unknown; choose cpu or cuda.")
    if autocast not in (None, "auto", "bfloat16"):
        raise UserError(f"autocast {autocast!r} is unknown; choose auto, bfloat16 or None.")
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise UserError(f"threads={threads!r} must be a whole number from 1.")
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device cuda: torch finds no GPU on this machine; leave device out.")
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if autocast == "auto":
        autocast = "bfloat16" if place == "cuda" or multiplies_in_bfloat16() else None
    return Numerics(place, autocast, threads)


def take_over(numerics: Numerics) -> None:
    """Set this process up for training: torch's threads, and on a CPU how memory is had from the system.

    A step's largest tensors (the gradient of the word embeddings first) are above the size from which the C library
    maps memory afresh for each and unmaps it at once, and the kernel clears every page of it again in every step. So
    freed memory is kept until `give_back`.
    """
    torch.set_num_threads(numerics.threads)
    if numerics.device == "cpu":
        _mallopt(_MMAP_MAX, 0)
        _mallopt(_TRIM_THRESHOLD, -1)


def give_back() -> None:
    """Return freed memory to the system; from then on as the C library does by itself once large tensors were used."""
    _mallopt(_MMAP_MAX, 65_536)
    _mallopt(_MMAP_THRESHOLD, 32 << 20)
    _mallopt(_TRIM_THRESHOLD, 64 << 20)
    if _glibc():
        ctypes.CDLL(None).malloc_trim(0)


def _mallopt(option: int, value: int) -> None:
    """Set an option of glibc's allocator; others have none of them."""
    if _glibc():
        ctypes.CDLL(None).mallopt(option, value)


@cache
def _glibc() -> bool:
    return platform.libc_ver()[0] == "glibc"


@contextmanager
def unchanged_torch() -> Iterator[None]:
    """Put generators, threads and memory back, so that a notebook goes on as if nothing had been trained."""
    random, threads = checkpoint.random_state(), torch.get_num_threads()
    try:
        yield
    finally:
        checkpoint.restore_random_state(random)
        torch.set_num_threads(threads)
        give_back()
