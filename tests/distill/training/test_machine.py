"""What a machine decides: whether its processor multiplies in bfloat16, threads, and how memory is had."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from distill import methods
from distill.tasks import registry
from distill.training.assemble import assemble
from distill.training.machine import unchanged_torch
from distill.training.settings import Numerics, Training, multiplies_in_bfloat16
from tests.distill import tiny

X86 = "processor\t: {number}\nvendor_id\t: GenuineIntel\nmodel name\t: a bf16 one\nflags\t\t: fpu sse2 {flags}\n\n"
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


_FAULTS = """
import resource, distill, torch
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(12_000_000)
    found = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(found)
"""
_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(not _PAGES.exists() or "[never]" in _PAGES.read_text(), reason="a kernel without large pages")
def test_large_tensors_take_large_pages() -> None:
    """A tensor as large as a gradient of word embeddings: 11,719 pages of 4 KiB, each cleared on its own, or 23."""
    found = {}
    for asked in ("0", None):
        own = {"THP_MEM_ALLOC_ENABLE": asked} if asked is not None else {}
        rest = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}
        run = subprocess.run(
            [sys.executable, "-c", _FAULTS], check=True, capture_output=True, text=True, env={**rest, **own}
        )
        found[asked] = int(run.stdout)
    assert found[None] < 2000 < found["0"]


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, "1000"),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ""),
    ],
)
def test_threads_wait_shortly_unless_asked_otherwise(own: dict[str, str], expected: str) -> None:
    rest = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    program = "import os, distill; print(os.environ.get('GOMP_SPINCOUNT', ''))"
    run = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, env={**rest, **own}
    )
    assert run.stdout.strip() == expected
