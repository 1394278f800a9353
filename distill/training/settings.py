"""Numbers of a training run that are not the method's. Imports without torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Training:
    """How a run is trained, whatever it minimises.

    Attributes:
        epochs: Passes over the training rows.
        batch_size: Rows per optimizer step.
        warmup: Share of all steps in which the learning rate rises linearly from 0.
        weight_decay: Decoupled decay of weight matrices.
        clip: Largest global gradient norm; 0 switches clipping off.
        max_length: Tokens per row, longer ones are truncated.
        evaluation_batch: Rows per forward pass in evaluation.
    """

    epochs: int = 10
    batch_size: int = 32
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip: float = 1.0
    max_length: int = 128
    evaluation_batch: int = 64

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Numerics:
    """What decides the last bits of every value: device, threads and the type of matrix products.

    Attributes:
        device: "cpu" or "cuda".
        autocast: "bfloat16" or None. Training only; evaluation runs in float32, so that a saved student gives
            the recorded score wherever it is loaded.
        threads: Threads of one trial on a CPU.
    """

    device: str = "cpu"
    autocast: str | None = None
    threads: int = 1

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


TRAINING_FIELDS = tuple(field.name for field in fields(Training))
