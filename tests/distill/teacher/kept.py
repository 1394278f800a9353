"""A tiny teacher in a store, and its outputs beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from distill.artifacts import SEAL, Store
from distill.models.folder import Head
from distill.tasks import registry
from distill.teacher import outputs
from distill.teacher.facts import MODEL
from distill.teacher.parts import Kept, Split
from distill.teacher.source import OnlineTeacher
from distill.training.batching import Tokens
from distill.training.settings import Numerics
from tests.distill import tiny

EVERYTHING = ("logits", "cls", "hidden", "scores", "query", "key", "value")
EXACT = Numerics()


def teacher(store: Store, task: str = "cola", **shape: Any) -> Path:
    """The artifact of a random teacher."""
    known = registry.get(task)
    head = {"labels": known.num_labels, "regression": known.kind == "regression", "span": known.kind == "span"}

    def fill(folder: Path) -> dict[str, Any]:
        tiny.classifier(**{"layers": 3, "seed": 1, **head, **shape}).save_pretrained(folder / MODEL)
        return {"content": repr((task, shape)), "encoder": "tiny"}

    return store.build("teacher", {"task": task, **shape}, fill)


def rows(store: Store, task: str = "cola", train: int = 48) -> Path:
    """The artifact of tokenised rows of different lengths."""
    made = tiny.tokens(task, train, 16)

    def fill(folder: Path) -> dict[str, Any]:
        for name, split in zip(("train", "dev"), made, strict=True):
            split.save(folder / f"{name}.npz")
        return {}

    return store.build("tokens", {"task": task, "train": train}, fill)


def written(
    store: Store,
    parts: tuple[str, ...] = EVERYTHING,
    layers: tuple[int, ...] | None = None,
    split: Split = "train",
    task: str = "cola",
    head: Head = "own",
    numerics: Numerics = EXACT,
    **shape: Any,
) -> Path:
    """The artifact of the outputs."""
    made = teacher(store, task, **shape), rows(store, task)
    return outputs.write(store, *made, registry.get(task), head, Kept(parts, layers, split), numerics)


def online(store: Store, task: str = "cola", autocast: str | None = None, **shape: Any) -> OnlineTeacher:
    """The same teacher, asked itself."""
    from distill.models.student import load_classifier

    return OnlineTeacher(load_classifier(teacher(store, task, **shape) / MODEL, registry.get(task)), "cpu", autocast)


def train_rows(store: Store, task: str = "cola") -> Tokens:
    return Tokens.load(rows(store, task) / "train.npz")


def batch(store: Store, chosen: list[int], task: str = "cola", length: int | None = None) -> dict[str, torch.Tensor]:
    """Inputs of some rows."""
    return tiny.inputs_of(train_rows(store, task).batch(np.array(chosen), length=length))


def flip(file: Path, at: int = -1) -> None:
    """Change one bit of one byte."""
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(bytes(data))


__all__ = ["EVERYTHING", "SEAL", "batch", "flip", "online", "rows", "teacher", "train_rows", "written"]
