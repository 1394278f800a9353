"""Who answers for the teacher while a student is trained."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from distill.methods.objective import Outputs, Shape
from distill.models.capture import Capture, shape_of
from distill.teacher.parts import Split


class TeacherSource(Protocol):
    """Gives an objective what it needs of the teacher; objectives cannot tell which source answers."""

    shape: Shape

    def answer(
        self,
        rows: np.ndarray,
        inputs: dict[str, Tensor],
        needs: frozenset[str],
        split: Split = "train",
        layers: tuple[int, ...] | None = None,
    ) -> Outputs:
        """Teacher outputs of one batch.

        Args:
            rows: Row numbers of the batch in its split.
            inputs: `input_ids`, `attention_mask`, `token_type_ids` [B, S].
            needs: What to give: a subset of `distill.methods.base.PARTS`.
            split: Which rows they are numbers of.
            layers: Which layers will be read, as `Outputs.layers` has them; more may be given. All when None.
        """
        ...


class OnlineTeacher:
    """Runs the frozen teacher for every batch, in eval mode and without gradients.

    Args:
        model: A fine-tuned sequence classifier.
        autocast: The type under which it will be run, such as "bfloat16". Its linear layers are then kept in that
            type: autocast would round the same weights to it at every step.
    """

    def __init__(self, model: Any, device: str = "cpu", autocast: str | None = None) -> None:
        self.model = model.to(device).eval().requires_grad_(False)
        if autocast is not None:
            for module in self.model.modules():
                if isinstance(module, nn.Linear):
                    module.to(getattr(torch, autocast))
        self.shape = shape_of(model)
        self._captures: dict[tuple[frozenset[str], tuple[int, ...] | None], Capture] = {}

    @torch.no_grad()
    def answer(
        self,
        rows: np.ndarray,
        inputs: dict[str, Tensor],
        needs: frozenset[str],
        split: Split = "train",
        layers: tuple[int, ...] | None = None,
    ) -> Outputs:
        """As `TeacherSource.answer`; it reads the inputs alone, whatever rows they are."""
        wish = (needs, layers)
        # Only one capture may be attached at a time, or every batch would be collected twice.
        if wish not in self._captures:
            for capture in self._captures.values():
                capture.close()
            self._captures = {wish: Capture(self.model, needs, layers)}
        return self._captures[wish].run(**inputs)
