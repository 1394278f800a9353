from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fake_sweep import build

Build = Callable[..., Path]


@pytest.fixture
def sweep(tmp_path: Path) -> Build:
    """Builds a fake sweep with the changes it is given; small, so that bootstraps are quick."""

    def make(**changes: Any) -> Path:
        return build(tmp_path / "sweep", **{"dev_rows": 300, **changes})

    return make
