"""What a machine decides: whether its processor multiplies in bfloat16, threads, and how memory is had."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from distill import methods
from distill.tasks import registry
from distill.training import machine
from distill.training.assemble import assemble
from distill.training.machine import give_back, take_over, unchanged_torch
from distill.training.settings import Numerics, Training, multiplies_in_bfloat16
from tests.distill import tiny

X86 = (
    "processor\t: {number}\nvendor_id\t: GenuineIntel\nmodel name\t: some bf16 machine\nflags\t\t: fpu sse2 {flags}\n\n"
)
ARM = "processor\t: {number}\nBogoMIPS\t: 243.75\nFeatures\t: fp asimd {flags}\nCPU part\t: 0xd40\n\n"


@pytest.mark.parametrize(
    ("form", "flags", "expected"),
    [
        (X86, ["avx512f avx512_bf16"] * 2, True),
        (X86, ["avx512f amx_bf16 amx_tile"] * 2, True),
        (X86, ["avx2 avx512f avx512bw amx_int8"] * 2, False),
        (X86, ["avx512_bf16", "avx512f"], False),
        (ARM, ["sve i8mm bf16"] * 4, True),
        (ARM, ["sve svebf16"] * 4, True),
        (ARM, ["sve i8mm"] * 4, False),
        (ARM, ["bf16", "bf16", "", ""], False),
        (ARM, [], False),
    ],
)
def test_processors(form: str, flags: list[str], expected: bool, tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("".join(form.format(number=i, flags=words) for i, words in enumerate(flags)))
    assert multiplies_in_bfloat16(info) is expected


def test_no_word_of_the_kernel(tmp_path: Path) -> None:
    assert multiplies_in_bfloat16(tmp_path / "none") is False


def test_threads_are_the_planned_ones(encoder: Path) -> None:
    before = torch.get_num_threads()
    with unchanged_torch():
        for threads in (2, 1, 3):
            assemble(
                methods.get("ft"), registry.get("cola"), encoder, (1, 2), tiny.tokens("cola", 16, 8),
                params={"lr": 1e-4}, training=Training(), numerics=Numerics("cpu", None, threads),
            )  # fmt: skip
            assert torch.get_num_threads() == threads
    assert torch.get_num_threads() == before


def _faults() -> int:
    """Pages that the kernel clears for a tensor as large as a gradient of word embeddings, had a second time."""
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(12_000_000)
        found = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return found


@pytest.mark.skipif(not machine._glibc(), reason="another C library")
def test_large_tensors_take_memory_that_is_there() -> None:
    """11,719 pages of 4 KiB, or some hundreds of larger ones."""
    give_back()
    try:
        fresh = _faults()
        assert fresh > 20
        take_over(Numerics("cpu", None, torch.get_num_threads()))
        assert _faults() < fresh / 10
    finally:
        give_back()
    assert _faults() > fresh / 2


def test_nothing_is_asked_of_another_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_glibc", lambda: False)
    monkeypatch.setattr(machine.ctypes, "CDLL", lambda name: pytest.fail("called"))
    take_over(Numerics("cpu", None, torch.get_num_threads()))
    give_back()


def test_a_gpu_leaves_the_hosts_memory_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_mallopt", lambda option, value: pytest.fail("called"))
    take_over(Numerics("cuda", None, torch.get_num_threads()))


def test_values_do_not_depend_on_it() -> None:
    """Memory that is not fresh holds what was there before; nobody may read it."""
    model, batch = tiny.classifier(dropout=0.0).eval(), tiny.batch()
    expected = model(**batch).logits.detach().numpy()
    take_over(Numerics("cpu", None, torch.get_num_threads()))
    try:
        assert np.array_equal(model(**batch).logits.detach().numpy(), expected)
    finally:
        give_back()
