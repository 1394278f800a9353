"""What a teacher answers to the training rows, or the dev rows, read once and kept on disk for all trials.

An artifact holds one file for each part, rows laid end to end without padding in the order of their lengths:

* `logits.npy` float32 [n, C], in span tasks [Σ 2 · S], each row as [2, S] (start, end);
* `cls.npy` float32 [n, L + 1, d];
* `hidden.npy` float16 [Σ (L + 1) · S, d], each row as [L + 1, S, d];
* `scores.npy` float16 [Σ L · h · S²], each row as [L, h, S, S], without mask and softmax;
* `query.npy`, `key.npy`, `value.npy` float16 [Σ L · S, d], each row as [L, S, d];
* `rows.npz`: `order` int64 [n], the row at each place; `lengths` int64 [n] by place; for each part the CRC-32 of every
  row's bytes, uint32 [n] by place.

Where only some layers are kept, all but `cls.npy` hold these in place of the L layers (see `Outputs.layers`).
"""

from __future__ import annotations

import itertools
import math
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill.artifacts import Store, key_of
from distill.errors import UserError
from distill.methods.base import Shape
from distill.models.folder import Head
from distill.models.student import load_classifier
from distill.tasks.base import Task
from distill.teacher import parts as forms
from distill.teacher.facts import MODEL
from distill.teacher.parts import Kept
from distill.teacher.source import OnlineTeacher
from distill.training.batching import Tokens
from distill.training.precision import autocast
from distill.training.settings import Numerics

KIND, ROWS = "outputs", "rows.npz"
# A batch of the one pass: so many rows at most, and tokens with their padding.
_ROWS, _TOKENS = 64, 2048
# Seconds between two lines of progress.
_SILENCE = 10.0


def identity(content: str, tokens: Path, task: Task, head: Head, kept: Kept, numerics: Numerics) -> dict[str, Any]:
    """What determines the outputs. Threads are left out: another machine's are as good.

    Args:
        content: Hash of the teacher's weights and tokenizer, as its facts have it.
        tokens: Artifact of the tokenised data.
    """
    return {
        # To be raised with any change of how a teacher is read or of how its outputs are laid down.
        "form": 2,
        "teacher": content,
        "tokens": tokens.name,
        "task": task.name,
        "head": head,
        "parts": sorted(kept.parts),
        "storage": "float16",
        "device": numerics.device,
        "autocast": numerics.autocast,
        **({} if kept.layers is None else {"layers": list(kept.layers)}),
        **({} if kept.split == "train" else {"split": kept.split}),
    }


def keys(content: str, tokens: Path, task: Task, head: Head, kept: Kept, numerics: Numerics) -> list[str]:
    """Keys of all artifacts that hold at least `kept`; the first holds no more.

    Of layers, those with exactly the same and those with all are looked for.
    """
    more = [part for part in forms.LARGE if part not in kept.parts]
    found = [
        replace(kept, parts=(*kept.parts, *added), layers=layers)
        for count in range(len(more) + 1)
        for added in itertools.combinations(more, count)
        for layers in dict.fromkeys((kept.layers, None))
    ]
    return list(dict.fromkeys(key_of(identity(content, tokens, task, head, one, numerics)) for one in found))


def write(
    store: Store,
    teacher: Path,
    tokens: Path,
    task: Task,
    head: Head,
    kept: Kept,
    numerics: Numerics,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """The artifact of a teacher's outputs, made by one pass in eval mode.

    Args:
        teacher: Artifact of a teacher.
        tokens: Artifact of the tokenised data that the trials read.
        head: Through which the trials read the teacher.
        numerics: Those of the trials, but for the threads.
        say: Takes a line of progress now and then.

    Raises:
        UserError: A number is larger than float16 holds, or not finite.
    """

    def fill(folder: Path) -> dict[str, Any]:
        torch.set_num_threads(numerics.threads)
        source = OnlineTeacher(load_classifier(teacher / MODEL, task, head=head), numerics.device, numerics.autocast)
        rows = Tokens.load(tokens / f"{kept.split}.npz")
        return {
            "encoder": store.facts(teacher).get("encoder"),
            **_read(folder, source, rows, forms.labels_of(task), kept, numerics, say),
        }

    content = store.facts(teacher)["content"]
    return store.build(KIND, identity(content, tokens, task, head, kept, numerics), fill)


def _read(
    folder: Path,
    source: OnlineTeacher,
    rows: Tokens,
    labels: forms.Labels,
    kept: Kept,
    numerics: Numerics,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Ask for every row and write what is answered as it comes; facts."""
    started = told = time.monotonic()
    order = np.argsort(rows.lengths, kind="stable")
    lengths = rows.lengths[order]
    writers = [_Writer(folder, part, source.shape, labels, lengths, kept.layers) for part in kept.parts]
    done = 0
    try:
        for batch in _batches(order, lengths):
            inputs = rows.batch(batch, numerics.device)
            inputs.pop("labels")
            with autocast(numerics):
                answer = source.answer(batch, inputs, frozenset(kept.parts), kept.split, kept.layers)
            for writer in writers:
                writer.add(getattr(answer, writer.part), rows.lengths[batch])
            done += len(batch)
            if time.monotonic() - told > _SILENCE:
                told = time.monotonic()
                say(f"{done} of {len(order)} rows, {told - started:.0f} s.")
    finally:
        for writer in writers:
            writer.close()
    checks: dict[str, Any] = {writer.part: np.array(writer.checks, dtype=np.uint32) for writer in writers}
    np.savez(folder / ROWS, order=order, lengths=lengths, **checks)
    return {
        "rows": len(order),
        "split": kept.split,
        "labels": labels,
        "layers": source.shape.layers,
        "kept_layers": None if kept.layers is None else list(kept.layers),
        "hidden_size": source.shape.hidden_size,
        "heads": source.shape.heads,
        "kind": source.shape.kind,
        "bytes": forms.size(kept.parts, source.shape, labels, lengths, kept.layers),
        "seconds": time.monotonic() - started,
        "threads": numerics.threads,
    }


def _batches(order: np.ndarray, lengths: np.ndarray) -> Iterator[np.ndarray]:
    """Consecutive rows, so many as stay small when padded to the longest, which is the last."""
    start = 0
    while start < len(order):
        end = min(start + _ROWS, len(order))
        while end > start + 1 and (end - start) * lengths[end - 1] > _TOKENS:
            end -= 1
        yield order[start:end]
        start = end


class _Writer:
    """Appends one part of row after row to its file."""

    def __init__(
        self, folder: Path, part: str, teacher: Shape, labels: forms.Labels, lengths: np.ndarray, layers: forms.Layers
    ) -> None:
        self.part = part
        self.checks: list[int] = []
        self._type = torch.float32 if part in forms.SMALL else torch.float16
        self._by_token = part == "logits" and labels is None
        shape: tuple[int, ...]
        if self._by_token:
            shape = (int(forms.row_numbers(part, teacher, labels, lengths.astype(np.int64)).sum()),)
        elif part in forms.SMALL:
            shape = (len(lengths), *forms.row_shape(part, teacher, labels, 0))
        else:
            total = int(forms.row_numbers(part, teacher, labels, lengths.astype(np.int64), layers).sum())
            shape = (total,) if part == "scores" else (total // teacher.hidden_size, teacher.hidden_size)
        self._stream = (folder / f"{part}.npy").open("wb")
        head = {"descr": f"<f{forms.bytes_each(part)}", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._stream, head)

    def add(self, values: Tensor, lengths: np.ndarray) -> None:
        """The part of a batch, as `Outputs` has it: rows along axis 0 of logits (two of each in span tasks), along axis
        1 of all else.

        Raises:
            UserError: A number does not fit, or is none.
        """
        values = values if self.part == "logits" else values.movedim(1, 0)
        values = values.unflatten(0, (-1, 2)) if self._by_token else values
        rounded = values.to(self._type).cpu()
        suspect = self._type == torch.float16 and not bool(rounded.isfinite().all())
        for row, exact, length in zip(rounded, values, lengths.tolist(), strict=True):
            if self.part == "scores":
                row, exact = row[..., :length, :length], exact[..., :length, :length]
            elif self.part in forms.LARGE or self._by_token:
                row, exact = row[:, :length], exact[:, :length]
            # What stands at padded places is not kept and may be anything.
            if suspect and not bool(row.isfinite().all()):
                most = float(exact.abs().max())
                if not math.isfinite(most):
                    raise UserError(
                        f"The teacher's {forms.WORDS[self.part]} are not finite at some row, so it cannot "
                        "teach; train it otherwise (--teacher-lr) or name another --teacher."
                    )
                raise UserError(
                    f"The teacher's {forms.WORDS[self.part]} reach {most:g}, more than the "
                    f"{forms.FLOAT16_MOST:g} that float16 holds; --cache-gb 0 keeps none and asks the teacher itself "
                    "at every step."
                )
            data = row.contiguous().numpy().tobytes()
            self._stream.write(data)
            self.checks.append(zlib.crc32(data))

    def close(self) -> None:
        self._stream.close()
