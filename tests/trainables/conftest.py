from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.trainables.commands import as_before


@pytest.fixture(autouse=True, scope="package")
def no_waiting_for_the_disk() -> Iterator[None]:
    """These tests kill processes, not the machine, and would spend most of their time in `fsync`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


# What a Ray that is still there has left in the environment, which `as_before` takes away behind each file.
_left: dict[str, str] = {}


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    """Ray as a sweep starts it, with two cores; the same one for all files that follow each other and ask for it."""
    import ray

    from trainables import engine

    with as_before():
        if ray.is_initialized():
            os.environ.update(_left)
        else:
            before = dict(os.environ)
            engine.start_ray({"cpus": 2, "resources": {"gpus": 0}}, dashboard=False)
            _left.clear()
            _left.update((name, value) for name, value in os.environ.items() if before.get(name) != value)
        yield


def _asks(item: pytest.Item) -> bool:
    return "ray" in getattr(item, "fixturenames", ())


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End the Ray of the fixture before a file in which nothing asks for it."""
    if nextitem is not None and any(_asks(other) for other in item.session.items if other.path == nextitem.path):
        return
    if any(_asks(other) for other in item.session.items if other.path == item.path):
        import ray

        ray.shutdown()
