"""The science of distillation in plain PyTorch: losses, methods, models, tasks, teachers and the training loop.

`distill.run` trains one student by one method in this process; see docs/python.md.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# A step's largest tensors (first the gradient of the word embeddings) are mapped afresh by the C library each time, and
# the kernel clears them page by page. Large pages make that cheap. Torch reads this at its first allocation.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
# Between two parallel pieces of a step, a thread of torch's OpenMP waits busily for about as long as the kernel gives
# it. Where something else runs on the same cores, it keeps the very thread from running that it waits for. Short
# waiting costs next to nothing on idle cores (benchmarks/crowded.py). Read when torch is imported.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

if TYPE_CHECKING:
    from distill.api import Distilled, run
    from distill.errors import UserError
    from distill.tasks.base import TaskData
    from distill.tasks.own import own_data
    from distill.training.settings import Training

__all__ = ["Distilled", "TaskData", "Training", "UserError", "own_data", "run"]

_HOMES = {
    "Distilled": "distill.api",
    "TaskData": "distill.tasks.base",
    "own_data": "distill.tasks.own",
    "Training": "distill.training.settings",
    "UserError": "distill.errors",
    "run": "distill.api",
}


def __getattr__(name: str) -> Any:
    # Late, because the command answers --help without torch.
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(_HOMES[name]), name)
