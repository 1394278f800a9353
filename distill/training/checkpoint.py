"""Training state on disk: written whole or not at all, one generation kept in reserve."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

_KEPT = 2


def save(folder: Path, evaluation: int, state: dict[str, Any]) -> Path:
    """Write `state` as generation `evaluation` of `folder`; older generations but one are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"state-{evaluation:05d}.pt"
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as stream:
        torch.save(state, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, file)
    for old in _generations(folder)[:-_KEPT]:
        old.unlink(missing_ok=True)
    return file


def load(folder: Path) -> dict[str, Any] | None:
    """The newest generation that can be read; None where there is none.

    A damaged newest file (a disk that lied about a finished write) costs one generation, not the trial.
    """
    for file in reversed(_generations(folder)):
        try:
            state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
            return state
        except Exception as error:
            print(f"{file} cannot be read ({type(error).__name__}); an older state is used.", flush=True)
            file.unlink(missing_ok=True)
    return None


def _generations(folder: Path) -> list[Path]:
    return sorted(folder.glob("state-*.pt"))


def random_state() -> dict[str, Any]:
    """State of every generator that training draws from (dropout): torch's, on CPU and all CUDA devices."""
    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore_random_state(state: dict[str, Any]) -> None:
    """Set what `random_state` returned."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
