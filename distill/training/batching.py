"""Tokenised data and the order of batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill.models.masks import note
from distill.tasks.base import Examples
from distill.tasks.decoding import Spans

# Batches per length-sorted group: large enough to leave little padding, small enough to keep batches random.
_GROUP = 32
# Rows that are tokenised at a time.
_ROWS = 10_000


@dataclass(frozen=True)
class Tokens:
    """One tokenised split, rows laid end to end (ragged, no padding).

    Attributes:
        ids: int32 [total], token ids of all rows.
        types: int8 [total], segment ids.
        offsets: int64 [n + 1]; row i is `ids[offsets[i]:offsets[i + 1]]`.
        labels: int64 or float32 [n]; of a span task, whose rows here are windows over rows, int64 [n, 2]: the positions
            where the answer begins and ends, 0 where the window does not hold all of it.
        pad: Id of the padding token.
        spans: Of the windows of a split that is predicted, what leads back to text.
    """

    ids: np.ndarray
    types: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
    pad: int
    spans: Spans | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    @property
    def gold(self) -> np.ndarray:
        """What predictions are judged by and stored with: the labels; of windows whether each row has an answer."""
        return self.labels if self.spans is None else self.spans.answerable

    @property
    def by_position(self) -> bool:
        """Whether the classes of a row are its tokens."""
        return self.labels.ndim == 2

    def batch(
        self, rows: np.ndarray, device: torch.device | str = "cpu", length: int | None = None
    ) -> dict[str, Tensor]:
        """`input_ids`, `attention_mask`, `token_type_ids` [B, S] and `labels` [B] of some rows.

        Of windows `labels` is [2B], the start and the end of one behind those of the other, as their logits are
        (`distill.models.positions`).

        Args:
            length: S; the longest of the rows when None.

        Raises:
            ValueError: A row is longer than `length`.
        """
        lengths = self.lengths[rows]
        longest = int(lengths.max())
        if length is not None and longest > length:
            raise ValueError(f"a row of {longest} tokens does not fit into {length}")
        shape = (len(rows), length or longest)
        places = np.arange(shape[1])
        real = places < lengths[:, None]
        # Where each real token stands; at padding a place that surely exists.
        found = np.where(real, self.offsets[rows, None] + places, 0)
        ids = np.where(real, self.ids[found], self.pad).astype(np.int64)
        types = np.where(real, self.types[found], 0).astype(np.int64)
        mask = real.astype(np.int64)
        arrays = {
            "input_ids": ids,
            "attention_mask": mask,
            "token_type_ids": types,
            "labels": self.labels[rows].reshape(-1),
        }
        batch = {name: torch.from_numpy(array).to(device, non_blocking=True) for name, array in arrays.items()}
        note(batch["attention_mask"], full=bool(lengths.min() == shape[1]))
        return batch

    def save(self, file: Path) -> None:
        """As arrays in `file`; texts that belong to windows go into a JSON file beside it."""
        spans = {} if self.spans is None else {name: getattr(self.spans, name) for name in _SPAN_ARRAYS}
        if self.spans is not None:
            self.spans.save(_texts(file))
        np.savez(
            file,
            ids=self.ids,
            types=self.types,
            offsets=self.offsets,
            labels=self.labels,
            pad=np.int64(self.pad),
            **spans,
        )

    @classmethod
    def load(cls, file: Path) -> Tokens:
        with np.load(file) as arrays:
            found = {name: arrays[name] for name in _SPAN_ARRAYS if name in arrays}
            return cls(
                **{name: arrays[name] for name in ("ids", "types", "offsets", "labels")},
                pad=int(arrays["pad"]),
                spans=Spans.load(_texts(file), found) if found else None,
            )


# Of `Spans`, which the others of its fields are text beside.
_SPAN_ARRAYS = ("rows", "begins", "ends")


def _texts(file: Path) -> Path:
    return file.with_name(f"{file.stem}_answers.json")


def tokenise(examples: Examples, tokenizer: Any, max_length: int) -> Tokens:
    """Tokenise one split, truncating to `max_length` tokens (the longer sentence of a pair first)."""
    ids, types, lengths = [], [], [0]
    # What the tokenizer gives takes many times the memory of the arrays, and augmented rows are many.
    for start in range(0, max(len(examples), 1), _ROWS):
        part = slice(start, start + _ROWS)
        encoded = tokenizer(
            list(examples.first[part]),
            list(examples.second[part]) if examples.second is not None else None,
            truncation="longest_first",
            max_length=max_length,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=True,
        )
        lengths += [len(row) for row in encoded["input_ids"]]
        ids.append(np.fromiter((i for row in encoded["input_ids"] for i in row), dtype=np.int32))
        types.append(np.fromiter((i for row in encoded["token_type_ids"] for i in row), dtype=np.int8))
    return Tokens(
        ids=np.concatenate(ids),
        types=np.concatenate(types),
        offsets=np.cumsum(lengths).astype(np.int64),
        labels=examples.labels,
        pad=int(tokenizer.pad_token_id),
    )


def training_order(
    lengths: np.ndarray,
    batch_size: int,
    seed: int,
    epoch: int,
    *,
    by_length: bool = True,
    drop_last: bool = False,
) -> Iterator[np.ndarray]:
    """Row numbers of each batch of an epoch, a function of (seed, epoch) only.

    Rows are shuffled, sorted by length within groups of some batches, cut into batches, and the batches shuffled:
    batches hold rows of like length, so little is padding.

    Args:
        by_length: False leaves the sorting out, for batches that are all padded to one length: they hold rows of any
            length then.
        drop_last: Leave out as many rows as would make an incomplete batch, other ones in each epoch.
    """
    generator = np.random.default_rng([seed, epoch])
    rows = generator.permutation(len(lengths))
    if drop_last:
        # Before the sorting, after which the last ones are the longest.
        rows = rows[: len(rows) // batch_size * batch_size]
    group = batch_size * _GROUP
    batches: list[np.ndarray] = []
    for start in range(0, len(rows), group):
        part = rows[start : start + group]
        if by_length:
            part = part[np.argsort(lengths[part], kind="stable")]
        batches.extend(part[i : i + batch_size] for i in range(0, len(part), batch_size))
    for i in generator.permutation(len(batches)):
        yield batches[i]


def in_groups(batches: Iterator[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    """So many batches at a time; the last group may hold fewer."""
    while group := list(itertools.islice(batches, size)):
        yield group


def in_parts(batches: Sequence[np.ndarray], micro: int) -> Iterator[tuple[np.ndarray, float]]:
    """Each batch of an optimizer step in at most `micro` parts, with the share of each part in the step's mean.

    Batches count alike, whatever their rows; the parts of one count by theirs.
    """
    for rows in batches:
        for part in np.array_split(rows, min(micro, len(rows))):
            yield part, len(part) / len(rows) / len(batches)


def evaluation_order(lengths: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Row numbers of each batch, sorted by length so that little is padding."""
    rows = np.argsort(lengths, kind="stable")
    for start in range(0, len(rows), batch_size):
        yield rows[start : start + batch_size]
