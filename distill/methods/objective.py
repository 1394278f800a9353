"""What a stage minimises: the torch side of a method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from distill.losses.precision import at_least_float32
from distill.methods.base import Shape


@dataclass(frozen=True)
class Setting:
    """Everything an objective is built from.

    Attributes:
        params: The method's resolved hyper-parameters.
        recipe: "modern" or "published".
        teacher: None for methods that need none.
        regression: Whether labels are real numbers.
    """

    params: dict[str, Any]
    recipe: Literal["modern", "published"]
    student: Shape
    teacher: Shape | None
    num_labels: int
    regression: bool


@dataclass(frozen=True)
class Outputs:
    """What was captured of one network on one batch.

    Attributes:
        logits: [B, C].
        hidden: [L + 1, B, S, d]; index 0 is the embedding output. None unless asked for.
        scores: [L, B, h, S, S], scaled query-key products before mask and softmax. None unless asked for.
        cls: [L + 1, B, d], the first position of each hidden state. None unless asked for.
    """

    logits: Tensor
    hidden: Tensor | None = None
    scores: Tensor | None = None
    cls: Tensor | None = None


class Term(NamedTuple):
    """A named part of a loss: the scalar and the weight it enters the total with."""

    value: Tensor
    weight: float


class Objective(nn.Module):
    """A stage's loss. Its own parameters (projections, gates) are trained with the student.

    Attributes:
        needs: What is captured of both networks: a subset of {"logits", "cls", "hidden", "scores"}.
        uses_teacher: Whether the teacher is asked at all.
    """

    needs: frozenset[str] = frozenset({"logits"})
    uses_teacher: bool = True

    def forward(self, student: Outputs, teacher: Outputs | None, batch: dict[str, Tensor]) -> dict[str, Term]:
        """Terms of one batch; the total is the weighted sum.

        Args:
            batch: `input_ids`, `attention_mask` [B, S]; `labels` [B].
        """
        raise NotImplementedError

    def flush(self) -> None:
        """Settle whatever a step left pending, before state is saved or observed."""

    def observation(self) -> dict[str, Any]:
        """JSON-able facts since the last call that the method wants seen in the report."""
        return {}


def total(terms: dict[str, Term]) -> Tensor:
    """Weighted sum of the terms.

    Raises:
        ValueError: No term has a weight other than 0, so there is nothing to minimise.
    """
    parts = [term.value * term.weight for term in terms.values() if term.weight != 0.0]
    if not parts:
        raise ValueError("every term of the loss has weight 0")
    return torch.stack([at_least_float32(part) for part in parts]).sum()
