"""Losses are computed in float32 or better, whatever autocast is on around them."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Return half precision and integer tensors as float32; float32 and float64 pass unchanged."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def no_autocast(x: Tensor) -> torch.autocast:
    """Context in which autocast is off for the device of `x`."""
    return torch.autocast(x.device.type, enabled=False)
