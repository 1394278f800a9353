"""Adaptors on attention, values, hidden states and logits: loss and gradient under every mask of the file.

Layers meet at their ends. What the reference does only without a mask, or takes from another sentence's mask,
belongs to no recipe; it is put together here, from our own pieces.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from distill import layer_maps
from distill.losses.adaptors import hidden_distance, logit_cross_entropy, logit_distance
from distill.losses.attention import attention_distance, attention_divergence, probability_distance
from distill.losses.distances import hidden_mean_square
from distill.losses.divergence import SMOOTHING, probabilities, probability_divergence, smoothed
from distill.losses.patience import direction_distance
from distill.losses.relations import value_divergence
from tests.golden_checkers._arrays import Arrays

Loss = Callable[..., Tensor]


def check(stem: str, arrays: Arrays) -> None:
    """Check the file of this name; fails on a kind that is not known."""
    found = re.fullmatch(r"adaptor(?:_\w+)?_f(32|64)", stem)
    masks = [key.removeprefix("mask_") for key in arrays.named("mask_")]
    if not found or not masks:
        raise AssertionError(f"unknown kind of adaptor golden: {stem}")
    golden = _Golden(arrays, double=found[1] == "64")
    for name in masks:
        mask = arrays.tensor(f"mask_{name}")
        golden.attention(name, mask)
        golden.values(name, mask)
        golden.hidden(name, mask, "published")
        golden.hidden(name, mask, "modern")
        golden.first_positions(name)
    golden.without_mask()
    golden.logits()


class _Golden:
    """The arrays of one file, the teacher's layers already chosen."""

    def __init__(self, arrays: Arrays, *, double: bool) -> None:
        self.arrays = arrays
        self.loss = {"rtol": 1e-9} if double else {"rtol": 1e-5, "atol": 1e-6}
        self.gradient = {"rtol": 1e-9 if double else 1e-5}
        self.scores, scores = arrays.tensor("scores_s"), arrays.tensor("scores_t")
        self.states = arrays.tensor("hid_s")
        depths = len(self.scores), len(scores)
        self.chosen = [layer - 1 for layer in layer_maps.layers("top", *depths)]
        self.teacher_scores = scores[self.chosen]
        self.teacher_values = arrays.tensor("val_t")[self.chosen]
        self.teacher_states = arrays.tensor("hid_t")[list(layer_maps.hidden("top", *depths))]

    def compare(self, name: str, loss: Loss, **leaves: Tensor) -> None:
        """Compare a loss and its gradients to the leaves with the arrays of these names."""
        own = {key: leaf.clone().requires_grad_() for key, leaf in leaves.items()}
        value = loss(*own.values())
        self.arrays.compare(f"{name}_loss", value, **self.loss)
        for key, gradient in zip(own, torch.autograd.grad(value, list(own.values())), strict=True):
            self.arrays.compare(f"{name}_grad_{key}", gradient, **self.gradient)

    def attention(self, mask_name: str, mask: Tensor) -> None:
        student, teacher = (self.arrays.tensor(f"attn_{side}_{mask_name}") for side in ("s", "t"))
        real_queries = (mask != 0)[:, None, :, None]
        for scores, file in ((self.scores, student), (self.teacher_scores, teacher[self.chosen])):
            ours = torch.where(real_queries, probabilities(scores, mask), file)
            torch.testing.assert_close(ours, file, rtol=0, atol=self.gradient["rtol"])
        teacher = teacher[self.chosen]
        soft_teacher = smoothed(teacher, mask, "keys")
        on_probabilities: dict[str, Loss] = {
            "AttnTinyBERT": lambda p: probability_distance(p, teacher, mask),
            "AttnMiniLM": lambda p: probability_divergence(smoothed(p, mask, "keys"), soft_teacher, mask),
        }
        on_scores: dict[str, Loss] = {
            "AttnTinyBERT": lambda s: attention_distance(s, self.teacher_scores, mask),
            "AttnMiniLM": lambda s: attention_divergence(s, self.teacher_scores, mask, "published"),
        }
        for name, loss in on_probabilities.items():
            self.compare(f"{name}_{mask_name}", loss, attn_s=student)
            # The same from scores: the file's gradient is carried through the softmax.
            scores = self.scores.clone().requires_grad_()
            file = self.arrays.tensor(f"{name}_{mask_name}_grad_attn_s")
            (expected,) = torch.autograd.grad(probabilities(scores, mask), scores, file)
            value = on_scores[name](scores)
            self.arrays.compare(f"{name}_{mask_name}_loss", value, **self.loss)
            (gradient,) = torch.autograd.grad(value, scores)
            torch.testing.assert_close(gradient, expected, rtol=0, atol=self.gradient["rtol"])
        plain = attention_divergence(self.scores, self.teacher_scores, mask, "modern")
        self.arrays.compare(f"CONTRAST_AttnMiniLM_nosmooth_{mask_name}", plain, **self.loss)

    def values(self, mask_name: str, mask: Tensor) -> None:
        values, heads = self.arrays.tensor("val_s"), self.teacher_values.shape[2]
        teacher = _side_by_side(self.teacher_values)

        def own(v: Tensor) -> Tensor:
            return value_divergence(_side_by_side(v), teacher, mask, heads, "published")

        def others_mask(v: Tensor) -> Tensor:
            rows, theirs = (t.flatten(0, 2)[None] for t in (v, self.teacher_values))
            taken = mask[torch.arange(rows.shape[1]) % len(mask)]
            return value_divergence(rows, theirs, taken, 1, "published")

        alike = bool((mask == mask[0]).all())
        self.compare(f"ValMiniLM_{mask_name}", own if alike else others_mask, val_s=values)
        plain = value_divergence(_side_by_side(values), teacher, mask, heads, "modern")
        self.arrays.compare(f"CONTRAST_ValMiniLM_aligned_{mask_name}", plain, **self.loss)

    def hidden(self, mask_name: str, mask: Tensor, form: Any) -> None:
        width = self.states.shape[-1]

        def loss(states: Tensor, projection: Tensor) -> Tensor:
            return hidden_distance(states @ projection.T, self.teacher_states, mask, form, width)

        projection = self.arrays.tensor("W_hidn")
        if form == "published" or mask_name == "none":
            self.compare(f"HidnTinyBERT_{mask_name}", loss, hid_s=self.states, W=projection)
            self.embedding(mask_name, mask)
        else:
            mean = loss(self.states, projection)
            self.arrays.compare(f"CONTRAST_HidnTinyBERT_truemean_{mask_name}", mean, **self.loss)

    def embedding(self, mask_name: str, mask: Tensor) -> None:
        first = self.arrays.tensor("hid_t")[0]

        def loss(states: Tensor, projection: Tensor) -> Tensor:
            return hidden_mean_square(states[0] @ projection.T, first, mask, "masked")

        self.compare(f"EmbdTinyBERT_{mask_name}", loss, hid_s=self.states, W=self.arrays.tensor("W_embd"))

    def first_positions(self, mask_name: str) -> None:
        def loss(states: Tensor, projection: Tensor) -> Tensor:
            return direction_distance(states[:, :, 0] @ projection.T, self.teacher_states[:, :, 0])

        self.compare(f"HidnPKD_{mask_name}", loss, hid_s=self.states, W=self.arrays.tensor("W_pkd"))

    def without_mask(self) -> None:
        """Means over all entries, so an S-th of the means over rows; smoothing that leaves rows above 1, or none."""
        length = self.scores.shape[-1]
        everything = torch.ones(self.scores.shape[1], length)
        student, teacher = probabilities(self.scores, everything), probabilities(self.teacher_scores, everything)

        def raised(p: Tensor) -> Tensor:
            return p + SMOOTHING / p.sum(-1, keepdim=True)

        def distance(p: Tensor) -> Tensor:
            return probability_distance(p, teacher, everything) / length

        def divergence(p: Tensor) -> Tensor:
            return probability_divergence(raised(p), raised(teacher), everything) / length

        def last_layer(v: Tensor) -> Tensor:
            ours, theirs = _side_by_side(v), _side_by_side(self.teacher_values[-1:])
            return value_divergence(ours, theirs, everything, v.shape[2], "modern") / length

        self.compare("AttnTinyBERT_none", distance, attn_s=student)
        self.compare("AttnMiniLM_none", divergence, attn_s=student)
        self.compare("ValMiniLM_none1layer", last_layer, val_s=self.arrays.tensor("val_s")[-1:])
        self.hidden("none", everything, "modern")
        self.first_positions("none")

    def logits(self) -> None:
        student, teacher = self.arrays.tensor("logits_s"), self.arrays.tensor("logits_t")
        for name, loss in (("LogitMSE", logit_distance), ("LogitCE", logit_cross_entropy)):
            found = [re.fullmatch(rf"{name}_T([\d.]+)_loss", key) for key in self.arrays.named(name)]
            temperatures = [match[1] for match in found if match]
            assert temperatures, f"no {name} in the file"
            for t in temperatures:

                def published(z: Tensor, loss: Loss = loss, t: str = t) -> Tensor:
                    return loss(z, teacher, float(t), "published")

                self.compare(f"{name}_T{t}", published, logits_s=student)
                modern = loss(student, teacher, float(t), "modern") / float(t) ** 2
                self.arrays.compare(f"{name}_T{t}_loss", modern, **self.loss)


def _side_by_side(values: Tensor) -> Tensor:
    """[M, B, h, S, d] -> [M, B, S, h·d], as a projection gives them."""
    return values.transpose(-2, -3).flatten(-2)
