"""Models that point to tokens: start and end of an answer as logits over the positions of a row."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# At padded places: far below every logit, and still a number at any temperature. Student and teacher have the same
# there, so that squared differences are 0.
PADDED = -1e30


def logits_of(output: Any, mask: Tensor) -> tuple[Tensor, Tensor | None]:
    """Logits of a model's output, and where classes are positions the same without regard to padding.

    Args:
        output: Of a model of the transformers library: with `logits` [B, C], or with `start_logits` and `end_logits`
            [B, S].
        mask: [B, S], non-zero at real tokens.

    Returns:
        Logits [B, C] and None; or logits [2B, S], row 2b for the start and 2b + 1 for the end in row b, with `PADDED`
        at padded places, and these logits as they come.
    """
    logits: Tensor | None = getattr(output, "logits", None)
    if logits is not None:
        return logits, None
    found = torch.stack([output.start_logits, output.end_logits], dim=1).flatten(0, 1)
    return found.masked_fill(~places(mask), PADDED), found


def halves(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Of logits [2B, S], or labels [2B], those of the starts and those of the ends."""
    return rows[0::2], rows[1::2]


def places(mask: Tensor) -> Tensor:
    """Which positions are real, bool [2B, S], for logits as `logits_of` gives them.

    Args:
        mask: [B, S], non-zero at real tokens.
    """
    return mask.bool().repeat_interleave(2, dim=0)
