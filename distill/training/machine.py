"""What this machine decides of a run: device, type of matrix products, threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from distill.errors import UserError
from distill.training import checkpoint
from distill.training.settings import Numerics, multiplies_in_bfloat16


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


@contextmanager
def unchanged_torch() -> Iterator[None]:
    """Put generators and threads back, so that a notebook goes on as if nothing had been trained."""
    random, threads = checkpoint.random_state(), torch.get_num_threads()
    try:
        yield
    finally:
        checkpoint.restore_random_state(random)
        torch.set_num_threads(threads)
