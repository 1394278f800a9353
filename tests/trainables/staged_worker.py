"""Ray's workers know the method of two stages that is made for tests, and note each beginning of its first stage."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.distill.methods import two_stage

NOTES = "TWO_STAGE_NOTES"


def setup() -> None:
    """What each worker process does first."""
    method = two_stage.register(pytest.MonkeyPatch())
    first, second = method.stages

    def noted(setting: Any) -> Any:
        with Path(os.environ[NOTES]).open("a") as stream:
            stream.write(f"{os.getpid()}\n")
        return two_stage.intermediate(setting)

    module: Any = sys.modules[f"distill.methods.{two_stage.NAME}"]
    module.METHOD = replace(method, stages=(replace(first, objective=noted), second))
