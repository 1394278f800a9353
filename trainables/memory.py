"""What a trial takes of a GPU's memory: measured before the first one, and fenced in its worker.

Imports torch and Ray only where a GPU or a worker is used; what a share follows from is plain arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from distill import methods
from distill.errors import UserError
from trainables import cluster
from trainables.interrupt import stop_requested
from trainables.resources import Machine
from trainables.shapes import shape_of, student_of
from trainables.steps import batch_rows

Say = Callable[[str], None]
AUTO = "auto"
# A CUDA context and its libraries, which torch's allocator does not count; and room for what it leaves in pieces.
CONTEXT_BYTES, HEADROOM = 500_000_000, 1.2
# Parts of one GPU; further ones would only wait for each other, and Ray's books have four decimals.
_MOST = 100
# What errors say that are not torch's own kind: the driver's, a library's, and that of the main memory.
_WORDS = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "DefaultCPUAllocator: can't allocate memory")


@dataclass(frozen=True)
class Measured:
    """One real step at the longest batch.

    Attributes:
        peak: Bytes that torch held at most; None where the GPU did not suffice.
        device: Bytes that processes of ours may share on the GPU.
    """

    peak: int | None
    device: int


def packed(
    header: dict[str, Any],
    prepared: dict[str, Any],
    say: Say,
    machine: Machine | None = None,
    measure: Callable[[dict[str, Any], dict[str, Any], dict[str, Any]], Measured] | None = None,
) -> dict[str, Any]:
    """The share of a GPU that `--gpus-per-trial auto` stands for, as `prepared.json` has it; empty where nothing asks.

    Args:
        header: Of the sweep.
        prepared: What its trials share.
        say: Takes the arithmetic in one line.
        machine: What the trials are packed onto; what Ray has when None.
        measure: Measures a point given plan and `prepared`; by default a Ray task with a whole GPU.
    """
    plan, asked = header["plan"], header["config"]
    if asked.get("gpus_per_trial") != AUTO or not plan["resources"]["gpus_per_trial"]:
        return {}
    found = {
        point["id"]: (measure or measure_remotely)(plan, prepared, point)
        for point in representatives(plan["points"], plan)
    }
    # The one that does not fit at all is the hungriest.
    name = max(found, key=lambda id: math.inf if (peak := found[id].peak) is None else peak)
    resources = plan["resources"]
    packing, words = share(
        found[name], machine or cluster.whole(), resources["cpus_per_trial"], asked["max_concurrent"]
    )
    say(f"GPU: {words.format(point=name)}")
    return {"resources": {**packing, "measured": {"point": name, "peak_bytes": found[name].peak}}}


def representatives(points: list[dict[str, Any]], plan: dict[str, Any]) -> list[dict[str, Any]]:
    """The hungriest points of each kind: of a method in a recipe, with the outputs it takes of the networks and the
    layers that run twice. Of one kind there are several only where one has larger batches, another larger filters."""
    found: dict[tuple[Any, ...], list[tuple[tuple[int, int], dict[str, Any]]]] = {}
    for point in points:
        recipe = point.get("recipe", plan["recipe"])
        stages = methods.get(point["method"]).stages
        needs = tuple(tuple(sorted(stage.needs(point["params"], recipe))) for stage in stages)
        key = (point["method"], recipe, needs, str(point.get("sharing")))
        size, kept = (batch_rows(plan, point), _beside(plan, point)), found.setdefault(key, [])
        if not any(_covers(other, size) for other, _ in kept):
            kept[:] = [*(one for one in kept if not _covers(size, one[0])), (size, point)]
    return [point for kept in found.values() for _, point in kept]


def _beside(plan: dict[str, Any], point: dict[str, Any]) -> int:
    """How many numbers what is trained on the teacher, and the like of it on the student, consists of."""
    method, params = methods.get(point["method"]), point["params"]
    if (taken := method.taken_of_teacher(params)) is None:
        return 0
    sides = taken.shapes(params, student_of(plan, method, params), shape_of(plan["teacher"])).values()
    return sum(math.prod(shape) for shapes in sides for shape in shapes.values())


def _covers(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return all(a >= b for a, b in zip(one, other, strict=True))


def share(
    measured: Measured, machine: Machine, cpus_per_trial: float, max_concurrent: int | None = None
) -> tuple[dict[str, Any], str]:
    """Share of a GPU and number of trials at once that a measured step allows, and the arithmetic in words.

    No GPU is cut into more parts than cores or `--max-concurrent` can use: what would lie idle serves the trials.
    """
    device = f"{measured.device / 1e9:.1f} GB"
    if measured.peak is None:
        fitting, words = 1, f"one step of {{point}} does not fit into {device}; trials begin with a whole GPU"
    else:
        need = HEADROOM * measured.peak + CONTEXT_BYTES
        fitting = max(1, min(_MOST, math.floor(measured.device / need)))
        words = (
            f"one step of {{point}} at its longest batch takes {measured.peak / 1e9:.1f} GB; with a fifth more and "
            f"{CONTEXT_BYTES / 1e9:.1f} GB for the process {need / 1e9:.1f} GB, of {device}: {fitting} fit"
        )

    def running(parts: int) -> int:
        found = machine.slots(cpus_per_trial, fraction_of(parts))
        return max(1, found if max_concurrent is None else min(found, max_concurrent))

    parts = next(parts for parts in range(1, fitting + 1) if running(parts) == running(fitting))
    if parts < fitting:
        words += f", {parts} can be used"
    words += f"; --gpus-per-trial {fraction_of(parts):g}, {running(parts)} at once."
    return {"gpus_per_trial": fraction_of(parts), "max_concurrent": running(parts)}, words


def fraction_of(parts: int) -> float:
    """One of so many parts of a GPU. Ray counts in ten-thousandths; rounded up, the last part would not fit."""
    return math.floor(10_000 / parts) / 10_000


def fence(share: float) -> None:
    """Keep this process to its share of the GPU; Ray only keeps books. Call before the first allocation.

    A process that wants more runs out of memory itself, instead of taking it from its neighbours.
    """
    if 0 < share < 1:
        import torch

        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(fenced(share, total))


def fenced(share: float, total: int) -> float:
    """Part of a GPU that torch may take, so that shares which fill the GPU leave room for each one's context.

    Args:
        share: Of the GPU, in (0, 1].
        total: Bytes of the GPU.
    """
    return max(share - CONTEXT_BYTES / total, share / 2)


def exhausted(error: BaseException) -> bool:
    """Whether an error says that memory, the GPU's or the machine's, did not suffice."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)


def measure_remotely(plan: dict[str, Any], prepared: dict[str, Any], point: dict[str, Any]) -> Measured:
    """One real step of a point in a Ray task that has a whole GPU.

    Raises:
        UserError: The step failed otherwise than for want of memory.
        Interrupted: The sweep was asked to end meanwhile.
    """
    import ray

    from trainables.prepare import Interrupted

    task = ray.remote(
        num_cpus=plan["resources"]["cpus_per_trial"],
        num_gpus=1,
        # The process that measured must not stay on the GPU.
        max_calls=1,
        max_retries=1,
        scheduling_strategy=cluster.where(),
    )(measure_here)
    pending = task.remote(plan, prepared, point)
    while not ray.wait([pending], timeout=0.5)[0]:
        if stop_requested():
            ray.cancel(pending, force=True)
            raise Interrupted
    try:
        found: Measured = ray.get(pending)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None) or error
        raise UserError(
            f"--gpus-per-trial {AUTO}: a step of {point['id']} could not be measured "
            f"({' '.join(str(cause).split())[:200]}); give the share as a number, such as --gpus-per-trial 1."
        ) from None
    return found


def measure_here(plan: dict[str, Any], prepared: dict[str, Any], point: dict[str, Any]) -> Measured:
    """One real step of a point on this process's GPU."""
    import torch

    from distill.training.memory import peak_bytes
    from trainables import beside
    from trainables.trial import run_of

    free, total = torch.cuda.mem_get_info()
    # Others may be on the GPU; the context of this process is counted with each need.
    device = min(total, free + CONTEXT_BYTES)
    try:
        # Nothing of the teacher's side is made yet, and a step takes as much with anything of its size.
        carried = beside.blank(plan, prepared, point)
        return Measured(peak_bytes(run_of(plan, prepared, point, carried=carried)), device)
    except Exception as error:
        if not exhausted(error):
            raise
    return Measured(None, device)
