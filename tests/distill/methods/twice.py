"""A made-up method for tests: patient distillation of a student whose layers run twice."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from distill import methods
from distill.methods import base
from distill.methods.base import Hyperparameter, Method
from distill.models.repeats import Sharing

NAME = "twice"


def sharing(values: dict[str, Any]) -> Sharing | None:
    if values["sps"] == "none":
        return None
    repeat = values["sps_repeat"]
    return Sharing(values["sps"], "all" if repeat == 0 else repeat)


def method() -> Method:
    pkd = methods.get("pkd")
    (stage,) = pkd.stages
    return replace(
        pkd,
        name=NAME,
        title="patience, twice",
        hyperparameters=(
            *pkd.hyperparameters,
            Hyperparameter("sps", "choice", "swap", "layers that run twice", choices=("none", "share", "swap")),
            Hyperparameter("sps_repeat", "int", 0, "how many of the top", low=0, active=lambda v: v["sps"] != "none"),
        ),
        stages=(replace(stage, depends_on=(*stage.depends_on, "sps", "sps_repeat")),),
        sharing=sharing,
    )


def register(patch: pytest.MonkeyPatch) -> Method:
    """Let the package find the method by its name."""
    module: Any = ModuleType(f"distill.methods.{NAME}")
    module.METHOD = method()
    patch.setitem(sys.modules, module.__name__, module)
    known = base.names()
    patch.setattr(base, "names", lambda: (*known, NAME))
    return module.METHOD
