"""A teacher whose answers lie on disk: nothing is computed, and no process holds its weights."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distill.artifacts import SEAL, Store, hash_file
from distill.methods.objective import Outputs, Shape
from distill.models.positions import PADDED
from distill.teacher import parts as forms
from distill.teacher.outputs import ROWS
from distill.teacher.parts import Split


class DamagedOutputs(Exception):
    """A teacher's outputs are not as they were written; the next start of the sweep makes them again."""


class CachedTeacher:
    """Gives what artifacts of `distill.teacher.outputs` hold, memory-mapped and shared by all processes of a node.

    All but logits and [CLS] is what the teacher gives, rounded to float16, in float32; padded places are 0. Each row is
    compared with its checksum when this process reads it for the first time.

    Args:
        folder: The artifact of the training rows, or a copy of its folder.
        dev: That of the dev rows, where these are asked for too.

    Raises:
        DamagedOutputs: A file is missing, short, or another one than was sealed.
    """

    def __init__(self, folder: Path | str, dev: Path | str | None = None) -> None:
        self.folder = Path(folder)
        self._dev = None if dev is None else CachedTeacher(dev)
        try:
            facts = Store(self.folder.parent).facts(self.folder)
            self.shape = Shape(facts["layers"], facts["hidden_size"], facts["heads"], kind=facts["kind"])
            self._labels: forms.Labels = None if facts["labels"] is None else int(facts["labels"])
            self._layers = None if facts.get("kept_layers") is None else tuple(facts["kept_layers"])
            sealed = json.loads((self.folder / SEAL).read_text())["files"]
            if hash_file(self.folder / ROWS) != sealed[ROWS]:
                raise ValueError(f"{ROWS} is not as sealed")
            with np.load(self.folder / ROWS) as table:
                order, self._lengths = table["order"], table["lengths"]
                self._checks = {name: table[name] for name in table.files if name in forms.WORDS}
            self._parts = {part: self._open(part) for part in self._checks}
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise self._damaged(str(error)) from error
        self._place = np.empty(len(order), dtype=np.int64)
        self._place[order] = np.arange(len(order))
        self._starts = {
            part: np.concatenate([[0], np.cumsum(self._numbers(part))]).astype(np.int64) for part in self._parts
        }
        self._read = {part: np.zeros(len(order), dtype=bool) for part in self._parts}

    @property
    def parts(self) -> frozenset[str]:
        """What it can be asked for."""
        return frozenset(self._parts)

    def answer(
        self,
        rows: np.ndarray,
        inputs: dict[str, Tensor],
        needs: frozenset[str],
        split: Split = "train",
        layers: tuple[int, ...] | None = None,
    ) -> Outputs:
        """As `TeacherSource.answer`, on the device of `inputs`; always with all layers that are kept.

        Raises:
            ValueError: It does not hold what is asked for, or the rows are not those of `inputs`.
            DamagedOutputs: A row is not as it was written.
        """
        if split == "dev":
            if self._dev is None:
                raise ValueError(f"{self.folder} holds the training rows alone, and dev rows are asked for")
            return self._dev.answer(rows, inputs, needs)
        if missing := needs - self.parts:
            raise ValueError(f"{self.folder} holds no {', '.join(sorted(missing))} of the teacher")
        mask = inputs["attention_mask"]
        places = self._place[rows]
        lengths = self._lengths[places]
        # On a GPU the mask is not read back, which would make the step wait.
        if mask.shape[0] != len(rows) or mask.shape[1] < lengths.max() or not _agree(mask, lengths):
            raise ValueError(f"{self.folder} holds other rows than those asked for: their lengths differ")

        def gather(part: str) -> Tensor:
            return self._gather(part, places, lengths, mask.shape[1]).to(mask.device, non_blocking=True).float()

        found = {part: gather(part) for part in sorted(needs | {"logits"})}
        return Outputs(**found, layers=self._layers)

    def _gather(self, part: str, places: np.ndarray, lengths: np.ndarray, width: int) -> Tensor:
        """A part of some rows in the shape of `Outputs`, padded with 0 to `width` tokens."""
        padded = forms.row_shape(part, self.shape, self._labels, width, self._layers)
        by_token = part == "logits" and self._labels is None
        batch = np.full(
            (len(places), *padded) if part == "logits" else (padded[0], len(places), *padded[1:]),
            PADDED if by_token else 0,
            dtype=self._parts[part].dtype,
        )
        for i, (place, length) in enumerate(zip(places.tolist(), lengths.tolist(), strict=True)):
            values = self._row(part, place, length)
            if by_token:
                batch[i, :, :length] = values
            elif part == "logits":
                batch[i] = values
            elif part == "cls":
                batch[:, i] = values
            elif part == "scores":
                batch[:, i, :, :length, :length] = values
            else:
                batch[:, i, :length] = values
        return torch.from_numpy(batch.reshape(-1, width) if by_token else batch)

    def _row(self, part: str, place: int, length: int) -> np.ndarray:
        starts = self._starts[part]
        values = self._parts[part][starts[place] : starts[place + 1]]
        if not self._read[part][place]:
            if zlib.crc32(values.data) != self._checks[part][place]:
                raise self._damaged(f"{part}.npy is not as it was written")
            self._read[part][place] = True
        return values.reshape(forms.row_shape(part, self.shape, self._labels, length, self._layers))

    def _open(self, part: str) -> np.ndarray:
        mapped = np.load(self.folder / f"{part}.npy", mmap_mode="r")
        if mapped.size != int(self._numbers(part).sum()):
            raise ValueError(f"{part}.npy has another size than its rows")
        # A plain array over the same pages: slices of a memmap cost microseconds each.
        return np.asarray(mapped).view(np.ndarray).reshape(-1)

    def _numbers(self, part: str) -> np.ndarray:
        return forms.row_numbers(part, self.shape, self._labels, self._lengths, self._layers)

    def _damaged(self, what: str) -> DamagedOutputs:
        reason = " ".join(what.split())[:200]
        return DamagedOutputs(
            f"the teacher's outputs in {self.folder} are damaged ({reason}); the next start of the sweep makes them "
            "again"
        )


def _agree(mask: Tensor, lengths: np.ndarray) -> bool:
    return mask.device.type != "cpu" or np.array_equal(mask.sum(dim=1).numpy(), lengths)
