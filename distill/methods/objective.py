"""What a stage minimises: the torch side of a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from distill.losses.precision import at_least_float32
from distill.methods.base import Shape
from distill.models.positions import places


@dataclass(frozen=True)
class Setting:
    """Everything an objective is built from.

    Attributes:
        params: The method's resolved hyper-parameters.
        recipe: "modern" or "published".
        teacher: None for methods that need none.
        regression: Whether labels are real numbers.
        kind: The student's `model_type`, and `dropout` that of its classifier: what new heads beside its own follow.
        length: What every row is padded to, in tokens; None where a batch goes up to its longest.
        pools: Whether that classifier reads the mean over the real tokens, and not the first one.
        span: Whether the classes of a row are its positions, once for where an answer begins, once for where it ends.
        carried: What the objectives of earlier stages left (`Objective.leaves`), and what the run was given.
    """

    params: dict[str, Any]
    recipe: Literal["modern", "published"]
    student: Shape
    teacher: Shape | None
    num_labels: int
    regression: bool
    length: int | None = None
    carried: Mapping[str, Tensor] = field(default_factory=dict)
    kind: str = "bert"
    dropout: float = 0.0
    span: bool = False
    pools: bool = False

    def places(self, batch: dict[str, Tensor]) -> Tensor | None:
        """Which classes of each row of logits count, bool [2B, S]; None where all do, because they are no positions."""
        return places(batch["attention_mask"]) if self.span else None


@dataclass(frozen=True)
class Outputs:
    """What was captured of one network on one batch.

    Attributes:
        logits: [B, C]; where classes are positions [2B, S], as `distill.models.positions` has them.
        hidden: [L + 1, B, S, d]; index 0 is the embedding output. None unless asked for.
        scores: [L, B, h, S, S], scaled query-key products before mask and softmax. None unless asked for.
        cls: [L + 1, B, d], the first position of each hidden state, at all layers. None unless asked for.
        query, key, value: [L, B, S, d], outputs of the projections, bias included, before heads are split, in at least
            float32. None unless asked for.
        layers: Which layers hidden, scores, query, key and value hold, from 1, where 0 is the embedding output and
            belongs to `hidden` alone; None is all of them. Objectives that read chosen layers ask `at`, which knows.
        pooled: [B, d], what the classifier's last linear layer reads, behind the dropout before it. Of students alone,
            None unless asked for.
        unmasked: Logits with what the network says of padded places; None where classes are no positions, or where the
            outputs come from disk.
    """

    logits: Tensor
    hidden: Tensor | None = None
    scores: Tensor | None = None
    cls: Tensor | None = None
    query: Tensor | None = None
    key: Tensor | None = None
    value: Tensor | None = None
    layers: tuple[int, ...] | None = None
    pooled: Tensor | None = None
    unmasked: Tensor | None = None

    def at(self, what: str, layers: Sequence[int]) -> Tensor:
        """A part at some layers, in the order in which they are asked for: [len(layers), B, …].

        Args:
            what: "cls", "hidden", "scores", "query", "key" or "value".
            layers: From 1; 0 is the embedding output, of "cls" and "hidden" alone.

        Raises:
            ValueError: The part was not captured, or not at such a layer.
        """
        stack: Tensor | None = getattr(self, what)
        if stack is None:
            raise ValueError(f"{what} was not captured")
        first = 0 if what in ("cls", "hidden") else 1
        if self.layers is None or what == "cls":
            held = tuple(range(first, first + len(stack)))
        else:
            held = tuple(layer for layer in self.layers if layer >= first)
        wanted = tuple(layers)
        if missing := [layer for layer in wanted if layer not in held]:
            raise ValueError(f"{what} holds layers {held}, not {missing}")
        if wanted == held:
            return stack
        # Not by a list of indices, which a GPU would have to wait for.
        return torch.stack([stack[held.index(layer)] for layer in wanted])


class Term(NamedTuple):
    """A named part of a loss: the scalar and the weight it enters the total with."""

    value: Tensor
    weight: float


class Objective(nn.Module):
    """A stage's loss. Its own parameters (projections, gates) are trained with the student.

    Where the stage does not report, a call in eval mode changes nothing that a loss reads: so it is judged on dev.

    Attributes:
        needs: What is captured of both networks: a subset of `distill.methods.base.PARTS`.
        own_needs: What is captured of the student beside that: of `PARTS`, and "pooled".
        uses_teacher: Whether the teacher is asked at all.
        learned: Terms whose target learns too, so that they need not be 0 where student and teacher are equal.
        lr: Peak learning rate of its own parameters; None is the stage's. The schedule is that of the stage.
        weight_decay: Of its own parameters; None is the stage's.
    """

    needs: frozenset[str] = frozenset({"logits"})
    own_needs: frozenset[str] = frozenset()
    uses_teacher: bool = True
    learned: frozenset[str] = frozenset()
    lr: float | None = None
    weight_decay: float | None = None

    def forward(self, student: Outputs, teacher: Outputs | None, batch: dict[str, Tensor]) -> dict[str, Term]:
        """Terms of one batch; the total is the weighted sum.

        Args:
            batch: `input_ids`, `attention_mask` [B, S]; `labels` [B], or [2B] where classes are positions.
        """
        raise NotImplementedError

    def flush(self) -> None:
        """Settle whatever a step left pending, before state is saved or observed."""

    def observation(self) -> dict[str, Any]:
        """JSON-able facts since the last call that the method wants seen in the report.

        Those of the stages before the one that reports, of the weights that they leave, are shown beside its own.
        """
        return {}

    def clipped(self) -> list[list[nn.Parameter]]:
        """Parts of its own parameters whose gradients are clipped each by itself; all others go with the student's."""
        return []

    def leaves(self) -> dict[str, Tensor]:
        """What later stages find in `Setting.carried`, at the end of a stage; the names are theirs to agree upon."""
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


def flooded(loss: Tensor, level: float) -> Tensor:
    """|loss − level| + level: below a level the loss is driven up again (Ishida et al., ICML 2020).

    Args:
        loss: The total of a batch.
        level: 0 leaves losses as they are, of either sign.
    """
    return (loss - level).abs() + level if level else loss
