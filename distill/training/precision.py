"""The type in which training multiplies."""

from __future__ import annotations

import contextlib
from typing import Any

import torch

from distill.training.settings import Numerics


def autocast(numerics: Numerics) -> contextlib.AbstractContextManager[Any]:
    """The plan's autocast, or none."""
    if numerics.autocast is None:
        return contextlib.nullcontext()
    return torch.autocast(numerics.device, dtype=getattr(torch, numerics.autocast))
