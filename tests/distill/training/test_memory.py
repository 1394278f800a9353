"""The largest step of a run, tried to see what memory it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from distill import methods
from distill.models.capture import Capture
from distill.training import memory
from distill.training.loop import Run
from distill.training.memory import cuda_peak, longest, peak_bytes, resident_peak
from tests.distill import tiny
from tests.distill.methods.bench import bench
from tests.distill.training import runs


class Watched:
    """A measurer that notes what the work did."""

    def __init__(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        self.run, self.weights, self.asked = run, 0, 0
        self.trained: list[tuple[int, ...]] = []
        self.looked: list[tuple[int, ...]] = []
        forward = Capture.run

        def counted(capture: Capture, **inputs: Any) -> Any:
            if capture._model is not run.student:
                self.asked += 1
            return forward(capture, **inputs)

        monkeypatch.setattr(Capture, "run", counted)
        run.student.register_forward_pre_hook(self._see, with_kwargs=True)

    def _see(self, module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        (self.trained if module.training else self.looked).append(tuple(kwargs["input_ids"].shape))

    def __call__(self, work: Callable[[], None], weights: int) -> int:
        self.weights = weights
        work()
        return 12345


@pytest.mark.parametrize("name", methods.names())
def test_the_longest_batches_are_tried(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs.make(name, rows=20, evaluation_batch=5)
    watched = Watched(run, monkeypatch)
    assert peak_bytes(run, watched) == 12345
    widest, widest_dev = int(run.train.lengths.max()), int(run.dev.lengths.max())
    stages = run.method.stages
    # Without dropout a student learns nothing itself: it is read as it is at dev.
    frozen = sum(not stage.dropout("modern") for stage in stages)
    assert watched.trained == [(8, widest)] * 2 * (len(stages) - frozen)
    judged = sum(not stage.reporting for stage in stages)
    looked = [(5, widest_dev)] * (judged + 1) + [(8, widest)] * 2 * frozen
    assert sorted(watched.looked) == sorted(looked)
    asking = [stage for i, stage in enumerate(run.method.stages) if bench(name, i).objective.uses_teacher]
    assert watched.asked == sum(2 if stage.reporting else 3 for stage in asking)
    # The second step of the last stage has moments, so their memory was there.
    moments = run._parts["optimizer"].state
    assert sum(t.nbytes for state in moments.values() for t in state.values()) > watched.weights / 4


def test_weights_are_those_of_both_networks() -> None:
    def measure(work: Callable[[], None], weights: int) -> int:
        return weights

    run = runs.make("kd")
    assert run.source is not None
    models = (run.student, run.source.model)
    assert peak_bytes(run, measure) == sum(
        t.nbytes for model in models for t in (*model.parameters(), *model.buffers())
    )  # fmt: skip


@pytest.mark.parametrize(
    ("training", "trained"),
    [
        ({"accumulation": 3}, [8] * 4),
        ({"micro": 3}, [3, 3, 2] * 2),
        ({"batch_size": 100}, [20] * 2),
    ],
)
def test_parts_and_accumulation(
    training: dict[str, Any], trained: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    run = runs.make("ft", rows=20, **training)
    watched = Watched(run, monkeypatch)
    peak_bytes(run, watched)
    assert [rows for rows, _ in watched.trained] == trained


def test_padded_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs.make("ft", rows=20, padding="max_length", max_length=30)
    watched = Watched(run, monkeypatch)
    peak_bytes(run, watched)
    assert watched.trained == [(8, 30)] * 2


def test_no_batch_is_wider() -> None:
    tokens, _ = tiny.tokens("rte", 40, 4)
    rows = longest(tokens, 8)
    assert len(rows) == 8
    assert tokens.lengths[rows].min() >= np.sort(tokens.lengths)[-8]
    assert len(longest(tokens, 99)) == 40


def test_generators_and_threads_are_put_back() -> None:
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    peak_bytes(runs_made_beside(), lambda work, weights: (work(), 0)[1])  # type: ignore[func-returns-value]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def runs_made_beside() -> Run:
    """Building a run draws numbers too; these are not what is tested."""
    with memory.unchanged_torch():
        return runs.make("kd", rows=16)


def test_resident_memory_grows_by_what_is_taken() -> None:
    taken = []

    def work() -> None:
        taken.append(np.ones(64 << 20, dtype=np.uint8))
        taken.clear()

    grown = resident_peak(work, 1000)
    assert 60 << 20 <= grown - 1000 <= 100 << 20
    assert resident_peak(lambda: None, 7) < 4 << 20, "an earlier peak is not forgotten"


def test_a_real_step_on_a_cpu() -> None:
    run = runs.make("kd", rows=16)
    assert peak_bytes(run) >= sum(p.nbytes for p in run.student.parameters())


@pytest.mark.parametrize("fits", [True, False])
def test_the_order_of_calls_on_a_gpu(fits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is cached is given back before and after; the peak is read once the device is done."""
    said: list[str] = []

    def noted(name: str) -> Callable[[], int]:
        return lambda: said.append(name) or 77  # type: ignore[func-returns-value]

    for name in ("empty_cache", "reset_peak_memory_stats", "synchronize", "max_memory_reserved"):
        monkeypatch.setattr(torch.cuda, name, noted(name))

    def work() -> None:
        said.append("work")
        if not fits:
            raise torch.OutOfMemoryError("CUDA out of memory")

    start, end = ["empty_cache", "reset_peak_memory_stats", "work"], ["synchronize", "max_memory_reserved"]
    if fits:
        assert cuda_peak(work, 5) == 77
        assert said == [*start, *end, "empty_cache"]
    else:
        with pytest.raises(torch.OutOfMemoryError):
            cuda_peak(work, 5)
        assert said == [*start, "empty_cache"]


@pytest.mark.parametrize(("device", "name"), [("cuda", "cuda_peak"), ("cpu", "resident_peak")])
def test_the_device_decides_how_it_is_measured(device: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs.make("ft")
    monkeypatch.setattr(run, "numerics", type(run.numerics)(device=device))
    monkeypatch.setattr(memory, name, lambda work, weights: 99)
    assert peak_bytes(run) == 99
