from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from distill.errors import UserError
from trainables.resources import Machine, Resources, _quota, allot, check_disk, detect, numerics

CPUS, GPUS = Machine(8, 0, True), Machine(16, 2, False)


@pytest.mark.parametrize(
    ("machine", "cpus", "gpus", "most", "wanted"),
    [
        (CPUS, 1.0, None, None, Resources(1.0, 0.0, 8, 1)),
        (CPUS, 0.5, None, None, Resources(0.5, 0.0, 16, 1)),
        (CPUS, 3.0, None, None, Resources(3.0, 0.0, 2, 3)),
        (CPUS, 0.1, None, None, Resources(0.1, 0.0, 80, 1)),
        (CPUS, 1.0, 0.0, 3, Resources(1.0, 0.0, 3, 1)),
        (GPUS, 1.0, None, None, Resources(1.0, 1.0, 2, 1)),
        (GPUS, 1.0, 0.25, None, Resources(1.0, 0.25, 8, 1)),
        (GPUS, 4.0, 0.25, None, Resources(4.0, 0.25, 4, 4)),
        (GPUS, 1.0, 0.3, None, Resources(1.0, 0.3, 6, 1)),
        (GPUS, 1.0, 1 / 3, None, Resources(1.0, 1 / 3, 6, 1)),
        (GPUS, 1.0, 0.0, None, Resources(1.0, 0.0, 16, 1)),
    ],
)
def test_packing(machine: Machine, cpus: float, gpus: float | None, most: int | None, wanted: Resources) -> None:
    assert allot(machine, cpus, gpus, most) == wanted


@pytest.mark.parametrize(
    ("cpus", "gpus", "said"),
    [
        (9.0, None, "9 > 8"),
        (1.0, 0.5, "0.5 > 0"),
        (0.001, None, "the least is 0.01"),
        (float("nan"), None, "no share"),
        (float("inf"), None, "no share"),
        (1.0, float("nan"), "no share"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_arithmetic(cpus: float, gpus: float | None, said: str) -> None:
    with pytest.raises(UserError, match=said):
        allot(CPUS, cpus, gpus, None)


def test_a_trial_takes_one_gpu_at_most() -> None:
    with pytest.raises(UserError, match="one GPU at most"):
        allot(GPUS, 1.0, 2.0, None)


def test_numerics_are_decided_by_the_machine_once() -> None:
    assert numerics(CPUS, allot(CPUS, 2.0, None, None)).as_dict() == {
        "device": "cpu",
        "autocast": "bfloat16",
        "threads": 2,
    }
    assert numerics(Machine(4, 0, False), allot(CPUS, 1.0, None, None)).autocast is None
    assert numerics(GPUS, allot(GPUS, 1.0, 0.5, None)).device == "cuda"
    assert numerics(GPUS, allot(GPUS, 1.0, 0.0, None)).device == "cpu"


@pytest.mark.parametrize(("visible", "wanted"), [("0", 1), ("1", 1), ("11", 1), ("0, 1", 2), ("-1", 0), ("", 0)])
def test_visible_gpus_are_counted(visible: str, wanted: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(Path, "is_dir", lambda path: True)
    monkeypatch.setattr(Path, "iterdir", lambda path: iter(range(4)))
    assert detect().gpus == wanted


def test_too_little_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(10**12, 0, 10**9))
    assert check_disk("--out", tmp_path / "not" / "yet" / "there", 10**9) == 10**9
    with pytest.raises(UserError, match=r"2\.0 GB are needed and 1\.0 GB are free"):
        check_disk("--out", tmp_path, 2 * 10**9)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_cores_of_a_container(tmp_path: Path, files: dict[str, str], cores: float | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert _quota(tmp_path) == cores
