"""Shares of a GPU from a measured step, the fence, and what follows when memory does not suffice."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from distill import methods
from distill.methods.base import Stage
from tests.trainables.sweeps import create
from trainables import cluster, memory, retry
from trainables.cluster import Node
from trainables.memory import CONTEXT_BYTES, HEADROOM, Measured
from trainables.resources import Machine, allot, notices

GB = 10**9


@pytest.mark.parametrize(
    ("peak", "device", "machine", "most", "share", "running"),
    [
        # 1.2 · 10 + 0.5 = 12.5 of 80: 6 fit.
        (10, 80, Machine(64, 1, False), None, 0.1666, 6),
        (10, 80, Machine(64, 2, False), None, 0.1666, 12),
        # Three parts of an odd size: the thirds add up to no more than the whole.
        (20, 80, Machine(64, 1, False), None, 0.3333, 3),
        # Cores for 4 trials on 2 GPUs: what a finer cut would leave idle, the trials have.
        (10, 80, Machine(4, 2, False), None, 0.5, 4),
        (10, 80, Machine(64, 2, False), 3, 0.5, 3),
        (10, 80, Machine(1, 1, False), None, 1.0, 1),
        # Needs more than half, needs more than all: a whole one.
        (50, 80, Machine(64, 1, False), None, 1.0, 1),
        (79, 80, Machine(64, 1, False), None, 1.0, 1),
        # Tiny networks do not ask for a thousandth.
        (0, 80, Machine(1000, 1, False), None, 0.01, 100),
    ],
)
def test_shares(peak: float, device: float, machine: Machine, most: int | None, share: float, running: int) -> None:
    packing, words = memory.share(Measured(int(peak * GB), int(device * GB)), machine, 1.0, most)
    assert packing == {"gpus_per_trial": share, "max_concurrent": running}
    assert f"--gpus-per-trial {share:g}, {running} at once" in words
    per_gpu = math.ceil(running / machine.gpus)
    # Ray's books hold ten-thousandths.
    assert per_gpu * round(share * 10_000) <= 10_000
    if peak < 60:
        assert per_gpu * (HEADROOM * peak * GB + CONTEXT_BYTES) <= device * GB


def test_the_arithmetic_is_said() -> None:
    _, words = memory.share(Measured(10 * GB, 80 * GB), Machine(4, 1, False), 1.0)
    assert words.format(point="p03") == (
        "one step of p03 at its longest batch takes 10.0 GB; with a fifth more and 0.5 GB for the process 12.5 GB, of "
        "80.0 GB: 6 fit, 4 can be used; --gpus-per-trial 0.25, 4 at once."
    )


def test_a_step_that_does_not_fit_begins_with_a_whole_gpu() -> None:
    packing, words = memory.share(Measured(None, 16 * GB), Machine(8, 2, False), 1.0)
    assert packing == {"gpus_per_trial": 1.0, "max_concurrent": 2}
    assert "does not fit into 16.0 GB; trials begin with a whole GPU" in words


def test_every_share_divides_a_gpu_with_room_for_each_process() -> None:
    total = 80 * GB
    for parts in range(2, 101):
        share = memory.fraction_of(parts)
        assert parts * round(share * 10_000) <= 10_000
        assert Machine(1000, 1, False).slots(1, share) == parts
        room = parts * memory.fenced(share, total) * total
        assert room < total
        if parts <= 80:
            assert room + parts * CONTEXT_BYTES <= total * (1 + 1e-9)


def test_the_fence_stands_before_the_first_allocation_and_only_around_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[float] = []

    class Device:
        total_memory = 10 * GB

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: Device)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", calls.append)
    for share in (0.0, 1.0):
        memory.fence(share)
    assert calls == []
    memory.fence(0.25)
    assert calls == [pytest.approx(0.25 - 0.05)]


def test_a_trial_is_fenced_before_anything_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainables import trial

    order: list[Any] = []
    monkeypatch.setattr(memory, "fence", order.append)
    monkeypatch.setattr(trial, "train_point", lambda *arguments: order.append(arguments[-1]))
    config = {"point": "p00", "recorded": 0, "resources": {"CPU": 1.0, "GPU": 0.25}, "micro": 4}
    trial.train_in(config, tmp_path, lambda row: None, lambda: None)
    assert order == [0.25, 4]


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            True,
        ),
        (MemoryError(), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (ValueError("CUDA error: out of memory"), False),
    ],
)
def test_what_counts_as_want_of_memory(error: Exception, wanted: bool) -> None:
    assert memory.exhausted(error) is wanted


def test_one_step_is_measured_on_what_others_leave_free(monkeypatch: pytest.MonkeyPatch) -> None:
    from distill.training import memory as steps
    from trainables import beside, trial

    class Device:
        peak: int | Exception = 7 * GB

    def peak(run: Any) -> int:
        assert run == ("plan", "prepared", "point", {"carried": {}})
        if isinstance(Device.peak, Exception):
            raise Device.peak
        return Device.peak

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (30 * GB, 80 * GB))
    monkeypatch.setattr(trial, "run_of", lambda *arguments, **named: (*arguments, named))
    monkeypatch.setattr(beside, "blank", lambda *arguments: {})
    monkeypatch.setattr(steps, "peak_bytes", peak)
    measured = memory.measure_here("plan", "prepared", "point")  # type: ignore[arg-type]
    assert measured == Measured(7 * GB, 30 * GB + CONTEXT_BYTES)
    Device.peak = torch.OutOfMemoryError("2 GiB")
    assert memory.measure_here("plan", "prepared", "point").peak is None  # type: ignore[arg-type]
    Device.peak = ValueError("a bug")
    with pytest.raises(ValueError, match="a bug"):
        memory.measure_here("plan", "prepared", "point")  # type: ignore[arg-type]


def plan(**resources: Any) -> dict[str, Any]:
    found = {"cpus_per_trial": 1.0, "gpus_per_trial": 1.0, "max_concurrent": 1, "gpus": 1, **resources}
    training = {"batch_size": 16}
    points = [
        {"id": "p00", "method": "emd", "params": {"lr": 1e-4}},
        {"id": "p01", "method": "emd", "params": {"lr": 1e-4, "batch_size": 64}},
        {"id": "ft", "method": "ft", "params": {"lr": 1e-4}},
        {"id": "p02", "method": "emd", "params": {"lr": 1e-4, "batch_size": 32}},
    ]
    return {"resources": found, "cpus": 8, "recipe": "modern", "training": training, "points": points}


def test_the_hungriest_of_one_point_of_each_kind_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    said: list[str] = []

    def measure(plan: dict[str, Any], prepared: dict[str, Any], point: dict[str, Any]) -> Measured:
        asked.append(point["id"])
        return Measured({"p01": 15, "ft": 2}[point["id"]] * GB, 80 * GB)

    monkeypatch.setattr(Stage, "needs", lambda *a: frozenset(), raising=False)
    header = {"plan": plan(), "config": {"gpus_per_trial": "auto", "max_concurrent": None}}
    found = memory.packed(header, {}, said.append, Machine(8, 1, False), measure)
    assert sorted(asked) == ["ft", "p01"]
    assert found["resources"]["gpus_per_trial"] == 0.25
    assert found["resources"]["max_concurrent"] == 4
    assert found["resources"]["measured"] == {"point": "p01", "peak_bytes": 15 * GB}
    assert said[0].startswith("GPU: one step of p01 at its longest batch takes 15.0 GB")


def test_filters_beside_the_networks_count() -> None:
    """Wider filters, or more of them, take more; a point is passed over where another has all that at least."""

    def point(id: str, **values: Any) -> dict[str, Any]:
        rows = {"batch_size": values.pop("batch_size")} if "batch_size" in values else {}
        return {"id": id, "method": "ted", "params": methods.get("ted").resolve(values, "modern") | rows}

    network = {"layers": 4, "hidden_size": 8, "heads": 2, "sharing": None}
    shared = {**plan(), "student": network, "teacher": network}

    def chosen(*points: dict[str, Any]) -> list[str]:
        return [found["id"] for found in memory.representatives(list(points), shared)]

    narrow, wide = point("narrow"), point("wide", filter_output_dim=64)
    between, deep = point("between", filter_output_dim=16), point("deep", filter_output_dim=64, filter_nonlinear=True)
    assert chosen(narrow, wide, between) == chosen(wide, between, narrow) == ["wide"]
    assert chosen(narrow, deep, wide) == ["deep"]
    assert chosen(point("few", filter_interval=2), narrow) == ["narrow"]
    assert chosen(point("full", batch_size=64), wide, between) == ["full", "wide"]
    assert chosen(narrow, wide, point("both", batch_size=64, filter_output_dim=64)) == ["both"]


def test_shares_are_packed_onto_every_node_of_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four trials fit a GPU, and 4 cores can use 2 halves of each of a node's 2 GPUs: 4 trials a node, and 2 nodes."""
    monkeypatch.setattr(cluster, "alive", lambda: (Node("a", "a", 4, 2), Node("b", "b", 4, 2), Node("head", "c", 0, 0)))
    found = plan(gpus=4, max_concurrent=4)
    header = {"plan": {**found, "cpus": 4}, "config": {"gpus_per_trial": "auto", "max_concurrent": None}}
    packed = memory.packed(header, {}, lambda line: None, measure=lambda *a: Measured(15 * GB, 80 * GB))["resources"]
    assert (packed["gpus_per_trial"], packed["max_concurrent"]) == (0.5, 8)


def test_nothing_is_measured_where_nobody_asks_or_no_gpu_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(plan: dict[str, Any], prepared: dict[str, Any], point: dict[str, Any]) -> Measured:
        pytest.fail("measured")

    asked = {"gpus_per_trial": 0.5, "max_concurrent": None}
    assert memory.packed({"plan": plan(), "config": asked}, {}, print, measure=never) == {}
    without = plan(gpus_per_trial=0.0, gpus=0)
    assert (
        memory.packed({"plan": without, "config": {**asked, "gpus_per_trial": "auto"}}, {}, print, measure=never) == {}
    )


def test_what_was_measured_lies_over_the_plan_and_not_in_it(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", points=1)
    before = sweep.record.plan["points"][0]["hash"]
    sweep.record.prepared = {"resources": {"gpus_per_trial": 0.25, "max_concurrent": 4, "measured": {}}}
    trial = sweep.record.trials["p00"]
    assert sweep.record.resources["max_concurrent"] == 4
    assert retry.given(sweep.record, trial) == {"CPU": 1.0, "GPU": 0.25}
    assert sweep.record.plan["resources"]["gpus_per_trial"] == 0.0
    assert trial.point["hash"] == before
    sweep.close()


def test_tries_after_want_of_memory(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", points=1)
    record = sweep.record
    record.header["plan"]["training"] = {"batch_size": 6}
    record.prepared = {"resources": {"gpus_per_trial": 0.25}}

    def tries(point: str) -> list[tuple[float, int]]:
        found = []
        trial = record.trials[point]
        while (following := retry.next_try(record, trial)) is not None:
            sweep.retry(point, "out of memory", *following)
            assert trial.retry is not None
            found.append((trial.retry["resources"]["GPU"], trial.retry["micro"]))
        return found

    # Parts of a batch have another flow between the layers than the batch: BERT-EMD is not cut.
    assert tries("p00") == [(1.0, 1)]
    assert tries("ft") == [(1.0, 1), (1.0, 2), (1.0, 4), (1.0, 6)]
    retry.failed(sweep, "ft", "out of memory: 2 GiB.")
    assert record.trials["ft"].cause == (
        "out of memory: 2 GiB; begin a sweep with a smaller --set batch_size (--set accumulation=2 keeps the rows of a "
        "step)"
    )
    sweep.close()


def test_other_failures_are_not_tried_again(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", points=1)
    retry.failed(sweep, "ft", "ValueError: out of memory")
    assert sweep.record.trials["ft"].cause == "ValueError: out of memory"
    assert sweep.record.trials["ft"].retry is None
    sweep.close()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (0.3, "0.3 leaves 10% of each GPU idle: 3 fit, as with 0.3333"),
        (0.6, "0.6 leaves 40% of each GPU idle: 1 fits, as with 1"),
        (0.25, None),
        (1 / 3, None),
        (0.3333, None),
        (1.0, None),
        (0.0, None),
        (None, None),
        ("auto", "one step is measured before the first trial"),
    ],
)
def test_shares_that_leave_a_gpu_idle_are_told(asked: Any, said: str | None) -> None:
    machine = Machine(8, 1, False)
    allotted = allot(machine, 1.0, None if asked == "auto" else asked, None)
    found = notices(asked, allotted, machine.gpus)
    assert (said in found[0]) if said else found == []


def test_auto_without_a_gpu_is_told() -> None:
    machine = Machine(8, 0, False)
    found = notices("auto", allot(machine, 1.0, None, None), 0)
    assert found == ["--gpus-per-trial auto: there is no GPU here, so trials take none."]
