"""Ray Tune side of the sweep: the command, the plan, the trial, the record, resume and resources.

`trainables.trainable` makes a function for a `ray.tune.Tuner` of your own; see docs/python.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainables.door import student_of, trainable

__all__ = ["student_of", "trainable"]


def __getattr__(name: str) -> Any:
    # Late, because the command answers --help without Ray.
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from trainables import door

    return getattr(door, name)
