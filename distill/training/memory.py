"""How much memory a run takes, found by trying its largest step."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distill.training.batching import Tokens
from distill.training.loop import Run
from distill.training.machine import unchanged_torch
from distill.training.predictions import look

Measure = Callable[[Callable[[], None], int], int]

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_bytes(run: Run, measure: Measure | None = None) -> int:
    """Peak device memory of a run: its weights, its teacher, and the largest step and the largest look at dev.

    Steps are real ones, of every stage: forward, backward, and the optimizer with its moments, on the longest training
    rows, as many as a batch holds (in parts, where the run cuts batches).

    **The run is spent by it**: build one to be measured and drop it. Torch's generators and threads are put back.

    Args:
        run: Freshly built; its student and its online teacher, if any, are counted, whether or not on the device yet.
        measure: Called with the work to do and the bytes of the weights; gives the peak. By default `cuda_peak` or
            `resident_peak`, after the run's device. A GPU's context, some hundred MiB for each process, is in neither.

    Raises:
        torch.OutOfMemoryError: Even alone it does not fit onto the GPU.
    """
    device = run.numerics.device

    def work() -> None:
        run.rehearse(longest)
        rows = longest(run.dev, run.training.evaluation_batch)
        look(run.student.eval(), run.dev, rows, device)

    with unchanged_torch():
        torch.set_num_threads(run.numerics.threads)
        take = measure or (cuda_peak if torch.device(device).type == "cuda" else resident_peak)
        return take(work, sum(tensor.nbytes for tensor in _weights(run)))


def longest(tokens: Tokens, count: int) -> np.ndarray:
    """Row numbers of the longest rows: no batch of as many rows is wider, however it is drawn."""
    return np.argsort(tokens.lengths, kind="stable")[-count:]


def cuda_peak(work: Callable[[], None], weights: int) -> int:
    """What torch's allocator has taken from the current GPU at most by the end of `work`.

    That is what other processes cannot have, and a little more than the tensors in it. Absolute, so whatever else this
    process holds on the GPU counts too; the weights, which are there, need not be added.
    """
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    try:
        work()
        torch.cuda.synchronize()
        return int(torch.cuda.max_memory_reserved())
    finally:
        # A run that did not fit must not take the room of what is tried next.
        gc.collect()
        torch.cuda.empty_cache()


def resident_peak(work: Callable[[], None], weights: int) -> int:
    """By how much the process's resident memory grew at its peak during `work`, and the weights, which were there.

    An estimate: memory that the process had freed and kept is used again without growth, so in a process that did
    other work before it is too low. Where the kernel cannot forget an earlier peak (anywhere but on Linux), growth
    below that does not show either.
    """
    gc.collect()
    before = _forget_peak()
    work()
    return max(0, _peak() - before) + weights


def _forget_peak() -> int:
    """Start the process's peak afresh; the bytes that are resident now."""
    if not _RESET.exists():
        return _peak()
    _RESET.write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    if _STATUS.exists():
        return _status("VmHWM")
    import resource

    # Bytes on macOS, KiB elsewhere.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _status(name: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def _weights(run: Run) -> Iterator[Tensor]:
    teacher = getattr(run.source, "model", None)
    for model in (run.student, *([] if teacher is None else [teacher])):
        yield from model.parameters()
        yield from model.buffers()
