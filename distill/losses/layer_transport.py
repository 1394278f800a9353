"""The many-to-many layer map of BERT-EMD: each student layer learns from several teacher layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from distill.losses import transport
from distill.losses.distances import (
    Reduction,
    clean_hidden,
    clean_scores,
    hidden_count,
    paired_mean_square,
    pairwise_mean_square,
    score_count,
)
from distill.losses.precision import no_autocast
from distill.losses.transport import Array, UpdateRule

Term = Literal["attention", "hidden"]
Stacks = tuple[Tensor, Tensor]


@dataclass
class _Compared:
    """Cleaned stacks of one term and what their squares are divided by."""

    student: Tensor
    teacher: Tensor
    count: Tensor | int


@dataclass
class _Pending:
    """What the next weight update needs: flows on the host, direct distances of their pairs on the device."""

    flow: Array
    rows: list[int]
    columns: list[int]
    distances: Tensor


class LayerTransport:
    """Transport losses between all layers of two networks, with layer weights that follow the costs.

    For each term the ground distance D_ij is the mean squared difference of student layer i and teacher layer
    j, the flow F is the exact optimum for the current layer weights, and the loss is Σ F_ij D_ij. The flow is
    a constant: gradients pass through D alone (Li et al., "BERT-EMD", EMNLP 2020, and its code). **Every call
    is one step of the weight update**, so call it in training only.

    A step copies to the host once. The distances that the solver needs come in Gram form; those that carry
    flow are computed again directly for value and gradient. The weight update reads the direct ones, so it
    waits on the device until the next step's copy takes them along; `flush` applies it at once, and what
    reads the weights flushes first. When an update is applied changes no number.

    Args:
        student_layers: M.
        teacher_layers: N.
        terms: which of "attention" and "hidden" are compared.
        update: rule of the layer weights, see `transport.update_weights`.
        joint: both terms share the mean of their weights after each step. With one term alone there is
            nothing to share: the idle term's weights are not averaged in (the published code does so, which
            turns the active term's weights into a running average of factor 1/2).
        temperature: T_emd of the update "v2020".
        second_softmax: whether "v2020" flattens the weights by a second softmax (in joint mode after the
            mean).
        reduction: see `distances`.

    Attributes:
        host_copies: how often device values were copied to the host.

    Raises:
        ValueError: on unknown terms, update or reduction, or fewer than one layer.
    """

    def __init__(
        self,
        student_layers: int,
        teacher_layers: int,
        *,
        terms: Sequence[str] = ("attention", "hidden"),
        update: UpdateRule = "current",
        joint: bool = True,
        temperature: float = 1.0,
        second_softmax: bool = True,
        reduction: Reduction = "masked",
    ) -> None:
        if min(student_layers, teacher_layers) < 1:
            raise ValueError("both networks need at least one layer")
        if not terms or len(set(terms)) != len(terms) or not set(terms) <= set(get_args(Term)):
            raise ValueError(f"terms must name each of {get_args(Term)} at most once, not {tuple(terms)}")
        if update not in get_args(UpdateRule) or reduction not in get_args(Reduction):
            raise ValueError(f"unknown update {update!r} or reduction {reduction!r}")
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, not {temperature}")
        self.student_layers = student_layers
        self.teacher_layers = teacher_layers
        self.terms = tuple(terms)
        self.update = update
        self.joint = joint
        self.temperature = temperature
        self.second_softmax = second_softmax
        self.reduction: Reduction = reduction
        self.host_copies = 0
        self._weights = {term: self._uniform() for term in self.terms}
        self._pending: dict[str, _Pending] = {}
        self._flow_sums = {term: np.zeros((student_layers, teacher_layers)) for term in self.terms}
        self._observed_steps = 0

    def __call__(self, *, hidden: Stacks | None, attention: Stacks | None, mask: Tensor) -> dict[str, Tensor]:
        """Compute the losses of one batch and queue the update of the layer weights.

        Args:
            hidden: student [M, B, S, d] and teacher [N, B, S, d] hidden states, the student's projected to
                the teacher's width, embedding output left out.
            attention: student [M, B, h, S, S] and teacher [N, B, h, S, S] pre-softmax scores (query, key).
            mask: [B, S], non-zero at real tokens.

        Returns:
            One differentiable scalar a term, by the term's name, in float32 (float64 for float64 inputs).

        Raises:
            ValueError: if the stacks of a term are missing or their shapes do not fit.
            FloatingPointError: if a distance is not finite.
        """
        with no_autocast(mask):
            given = {"attention": attention, "hidden": hidden}
            compared = {term: self._clean(term, given[term], mask) for term in self.terms}
            costs = self._fetch([pairwise_mean_square(c.student, c.teacher, None, c.count) for c in compared.values()])
            losses = {}
            for (term, c), cost in zip(compared.items(), costs, strict=True):
                flow = transport.solve(cost, *self._weights[term])
                self._flow_sums[term] += flow
                rows, columns = (axis.tolist() for axis in np.nonzero(flow))
                direct = paired_mean_square(c.student, c.teacher, rows, columns, None, c.count)
                share = torch.tensor(flow[rows, columns], dtype=direct.dtype)
                losses[term] = (direct * share.to(direct.device, non_blocking=True)).sum()
                if self.update != "frozen":
                    self._pending[term] = _Pending(flow, rows, columns, direct.detach())
        self._observed_steps += 1
        return losses

    def flush(self) -> None:
        """Apply the queued weight update, if there is one, at the price of one host copy."""
        if self._pending:
            self._fetch([])

    def observation(self) -> dict[str, Any]:
        """Layer weights now and the mean flow since the last observation, as plain nested lists by term.

        Returns:
            {term: {"student": [M], "teacher": [N], "flow": [M][N] or None if no step was taken}}.
        """
        self.flush()
        steps = self._observed_steps
        seen = {
            term: {
                "student": self._weights[term][0].tolist(),
                "teacher": self._weights[term][1].tolist(),
                "flow": (self._flow_sums[term] / steps).tolist() if steps else None,
            }
            for term in self.terms
        }
        for total in self._flow_sums.values():
            total[:] = 0.0
        self._observed_steps = 0
        return seen

    def state_dict(self) -> dict[str, Any]:
        """Everything a later run needs to continue with the same values, as tensors and plain numbers."""
        self.flush()
        return {
            "weights": {term: [torch.from_numpy(side.copy()) for side in pair] for term, pair in self._weights.items()},
            "flow_sums": {term: torch.from_numpy(total.copy()) for term, total in self._flow_sums.items()},
            "observed_steps": self._observed_steps,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`; a queued update is dropped.

        Raises:
            ValueError: if the state is of other terms or other numbers of layers.
        """
        sizes = (self.student_layers, self.teacher_layers)
        weights = {term: tuple(side.numpy().copy() for side in pair) for term, pair in state["weights"].items()}
        if set(weights) != set(self.terms) or any(
            tuple(side.shape[0] for side in pair) != sizes for pair in weights.values()
        ):
            raise ValueError(f"the saved layer weights are not those of {self.terms} with {sizes} layers")
        self._weights = {term: (weights[term][0], weights[term][1]) for term in self.terms}
        self._flow_sums = {term: state["flow_sums"][term].numpy().copy() for term in self.terms}
        self._observed_steps = int(state["observed_steps"])
        self._pending = {}

    def _uniform(self) -> tuple[Array, Array]:
        return (
            np.full(self.student_layers, 1 / self.student_layers),
            np.full(self.teacher_layers, 1 / self.teacher_layers),
        )

    def _clean(self, term: str, stacks: Stacks | None, mask: Tensor) -> _Compared:
        if stacks is None:
            raise ValueError(f"the term {term!r} needs its student and teacher stacks")
        layers = (stacks[0].shape[0], stacks[1].shape[0])
        if layers != (self.student_layers, self.teacher_layers):
            expected = (self.student_layers, self.teacher_layers)
            raise ValueError(f"{term}: got {layers} student and teacher layers instead of {expected}")
        clean, count = (clean_scores, score_count) if term == "attention" else (clean_hidden, hidden_count)
        student = clean(stacks[0], mask, self.reduction)
        teacher = clean(stacks[1].detach(), mask, self.reduction)
        return _Compared(student, teacher, count(student, mask, self.reduction))

    def _fetch(self, matrices: list[Tensor]) -> list[Array]:
        """Copy new cost matrices and queued distances to the host in one go, and apply the queued update."""
        queued = [pending.distances for pending in self._pending.values()]
        parts = [part.flatten().to(torch.float64) for part in (*matrices, *queued)]
        on_host = torch.cat(parts).cpu().numpy()
        self.host_copies += 1
        pieces = np.split(on_host, np.cumsum([part.numel() for part in parts])[:-1])
        self._apply(pieces[len(matrices) :])
        return [piece.reshape(tuple(m.shape)) for piece, m in zip(pieces, matrices, strict=False)]

    def _apply(self, queued: list[Array]) -> None:
        if not self._pending:
            return
        sharing = self.joint  # the mean over a single term is that term
        new = {}
        for (term, pending), values in zip(self._pending.items(), queued, strict=True):
            distances = np.zeros_like(pending.flow)
            distances[pending.rows, pending.columns] = values
            new[term] = transport.update_weights(
                *self._weights[term],
                pending.flow,
                distances,
                rule=self.update,
                temperature=self.temperature,
                second_softmax=self.second_softmax and not sharing,
            )
        if sharing:
            new = dict.fromkeys(new, self._shared(list(new.values())))
        self._weights.update(new)
        self._pending = {}

    def _shared(self, pairs: list[tuple[Array, Array]]) -> tuple[Array, Array]:
        student, teacher = (np.mean(side, axis=0) for side in zip(*pairs, strict=True))
        if self.update == "v2020" and self.second_softmax:
            student, teacher = transport.softmax(student), transport.softmax(teacher)
        return student, teacher
