"""How a teacher is trained where nobody says otherwise, alike behind every door. Imports without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distill.methods.base import Published
from distill.models import embedded
from distill.tasks.base import Task

# The embedded encoder comes from sentence similarity and needs larger steps to leave it.
_LR = {"hub": 5e-5, "local": 5e-5, "embedded": 1e-4}
# Made-up data has few rows; with fewer passes over them the luck of a seed decides what the teacher learns.
_EPOCHS, _EPOCHS_MADE_UP = 4, 8


def origin_of(encoder: Path, origin: str = "local") -> str:
    """Where an encoder comes from: "embedded" for the embedded one, however it was named; else `origin`."""
    named = (*encoder.parts, *encoder.resolve().parts)
    return "embedded" if embedded.PACKAGE in named else origin


def defaults(encoder: Path, origin: str, task: Task, max_length: int, published: Published | None) -> dict[str, Any]:
    """A teacher's `lr`, `keep` ("best" or "last" epoch), `epochs`, `max_length`, and what a published recipe adds.

    Args:
        encoder: Folder of the pre-trained encoder.
        origin: "hub", "local" or "embedded"; decides the learning rate.
        max_length: Tokens per row of the students, which the modern teacher shares, so that it shares their tokens.
        published: The rest of a published recipe, whose numbers go first; None in the modern one.
    """
    return {
        "lr": _LR[origin_of(encoder, origin)],
        "keep": "best",
        "epochs": _EPOCHS_MADE_UP if task.made_up else _EPOCHS,
        "max_length": max_length,
        **(published.teacher if published else {}),
    }
