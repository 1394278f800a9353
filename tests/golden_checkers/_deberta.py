"""Tiny DeBERTa-v3 encoders of TED's goldens, as transformers 4.28 ran them.

That release gave a padded query no attention at all, later ones spread it evenly. So what a self-attention gives at a
padded place is set to 0 here; real places are the same in both.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tests.golden_checkers._arrays import Arrays

# What the arrays cannot tell; the number of heads is found by trying.
_FIXED = {
    "max_position_embeddings": 16,
    "layer_norm_eps": 1e-7,
    "relative_attention": True,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "pad_token_id": 0,
}


class Deberta:
    """One of a file's two encoders, whose states are those of the file.

    Args:
        who: "teacher" or "student".
        states: The file's hidden states [N + 1, B, S, H].
        rtol: Within which they must be found again.
    """

    def __init__(self, arrays: Arrays, who: str, states: Tensor, rtol: float) -> None:
        self.mask = arrays.tensor("attention_mask")
        self.ids = arrays.tensor("input_ids")
        prefix = f"W/{who}/"
        weights = {key.removeprefix(prefix): arrays.tensor(key) for key in arrays.named(prefix)}
        inside = {k.removeprefix("deberta."): v for k, v in weights.items() if k.startswith("deberta.")}
        backbone = {k: v for k, v in inside.items() if ".filter." not in k}
        for heads in (h for h in range(1, states.shape[-1] + 1) if states.shape[-1] % h == 0):
            self.model = self._model(backbone, len(states) - 1, heads)
            found = torch.stack(self.states())
            if (found - states).abs().max() <= rtol * states.abs().max():
                return
        raise AssertionError(f"{who}: no number of heads gives the hidden states of the file")

    def _model(self, weights: dict[str, Tensor], layers: int, heads: int) -> Any:
        from transformers import DebertaV2Config, DebertaV2Model

        vocabulary, width = weights["embeddings.word_embeddings.weight"].shape
        config = DebertaV2Config(
            vocab_size=vocabulary,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=len(weights["encoder.layer.0.intermediate.dense.weight"]),
            position_buckets=len(weights["encoder.rel_embeddings.weight"]) // 2,
            **_FIXED,
        )
        model = DebertaV2Model(config).to(weights["embeddings.word_embeddings.weight"].dtype)
        model.load_state_dict(weights)
        for layer in model.encoder.layer:
            layer.attention.self.register_forward_hook(self._unattended)
        return model.eval()

    def _unattended(self, module: Any, inputs: Any, output: Any) -> Any:
        context = output[0] if isinstance(output, tuple) else output
        context = context * self.mask[..., None].to(context.dtype)
        return (context, *output[1:]) if isinstance(output, tuple) else context

    def states(self) -> tuple[Tensor, ...]:
        """Hidden states [B, S, H] of the embeddings and of all layers, with a graph."""
        output = self.model(input_ids=self.ids, attention_mask=self.mask, output_hidden_states=True)
        found: tuple[Tensor, ...] = output.hidden_states
        return found
