"""The arrays of one golden file, with a record of what was compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Arrays:
    """Reads arrays by key and compares values with them; knows which keys nobody asked for."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self._arrays = arrays
        self._unused = set(arrays)
        self.comparisons = 0

    @classmethod
    def load(cls, path: Path) -> Arrays:
        """All arrays of numbers. An entry with a Python object (None, where a reference gave nothing) is left out."""
        with np.load(path, allow_pickle=False) as file:
            return cls({key: file[key] for key in file.files if not _is_object(file, key)})

    def named(self, prefix: str = "") -> list[str]:
        return [key for key in self._arrays if key.startswith(prefix)]

    def __contains__(self, key: str) -> bool:
        return key in self._arrays

    def __getitem__(self, key: str) -> np.ndarray:
        self._unused.discard(key)
        return self._arrays[key]

    def tensor(self, key: str) -> Tensor:
        return torch.from_numpy(np.array(self[key]))

    def compare(
        self,
        key: str,
        actual: Any,
        *,
        index: int | tuple[int, ...] | None = None,
        rtol: float = 0.0,
        atol: float = 0.0,
    ) -> None:
        """Assert that `actual` is the array `key` (or its part `index`), within `rtol` of the largest entry +
        `atol`.

        The relative part is of the array's largest absolute entry: an entry that is a small difference of
        large ones carries their rounding.
        """
        expected = np.asarray(self[key] if index is None else self[key][index], dtype=np.float64)
        value = actual.detach().cpu().numpy() if isinstance(actual, Tensor) else actual
        value = np.asarray(value, dtype=np.float64)
        where = key if index is None else f"{key}[{index}]"
        assert value.shape == expected.shape, f"{where}: shape {value.shape} instead of {expected.shape}"
        assert np.isfinite(value).all(), f"{where}: not finite"
        error = float(np.abs(value - expected).max(initial=0.0))
        allowed = rtol * float(np.abs(expected).max(initial=0.0)) + atol
        assert error <= allowed, f"{where}: off by {error:.3g}, allowed {allowed:.3g}"
        self.comparisons += 1

    def finish(self) -> None:
        """Assert that something was compared and that no array was left out."""
        assert self.comparisons > 0, "nothing was compared"
        assert not self._unused, f"arrays that the checker does not know: {sorted(self._unused)[:10]}"


def _is_object(file: Any, key: str) -> bool:
    """Whether an entry of an npz file would have to be unpickled, by its header alone."""
    with file.zip.open(f"{key}.npy") as stream:
        read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
        _, _, dtype = read[np.lib.format.read_magic(stream)[0]](stream)
    return bool(dtype.hasobject)
