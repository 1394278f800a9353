"""What a model is given of a batch: the inputs that it takes, and what is known of its mask where the batch was made.

Without the latter the library looks through every mask for padding, to leave attention unmasked where there is none.
That is a copy to the host, for which the host waits until the device has done all it was given before.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from distill.models.architectures import architecture

_NOTE = "full"


def inputs_for(model: Any, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """A batch without the token types that `model` has no embeddings for; one table of types is as good as none.

    Args:
        batch: `input_ids`, `attention_mask`, `token_type_ids` [B, S].
    """
    typed = architecture(model.config.model_type).types and model.config.type_vocab_size > 1
    return {name: given for name, given in batch.items() if typed or name != "token_type_ids"}


def note(mask: Tensor, full: bool) -> Tensor:
    """`mask` with the note whether no token of it is padding; the note goes with the object, not with its copies."""
    setattr(mask, _NOTE, full)
    return mask


def for_attention(model: Any, mask: Tensor) -> Tensor | None:
    """What to give to `model` as its mask: what the library would make of it, or `mask` where nothing is noted.

    Args:
        mask: [B, S], non-zero at real tokens.

    Returns:
        None where there is no padding, else whether each key counts, bool [B, 1, S, S].
    """
    full = getattr(mask, _NOTE, None)
    if full is None or model.config._attn_implementation != "sdpa" or architecture(model.config.model_type).local:
        # Of layers that attend within a window the library makes a mask of their own.
        return mask
    if full:
        return None
    rows, length = mask.shape
    return mask.bool()[:, None, None, :].expand(rows, 1, length, length).contiguous()
