"""Real commands in processes that need not import torch, transformers and Ray, which takes longer than tiny sweeps.

A server that has imported them (multiprocessing's own) forks; in its child, everything of this project is imported and
run anew, as by `python -m`.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess

# What commands and trials import of other people's: nothing of it begins anything, or holds threads of Python's.
LIBRARIES = (
    *("torch", "transformers.models.auto.modeling_auto", "transformers.models.auto.tokenization_auto"),
    *("transformers.models.bert.modeling_bert", "transformers.models.bert.tokenization_bert"),
    *("ray", "ray.tune", "optuna", "pandas", "plotly.graph_objects", "sklearn.metrics", "tensorboardX", "jinja2"),
)


def start(module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[ForkServerProcess, int]:
    """Run `python -m module` in a session of its own; its process, and a descriptor from which its output is read.

    Args:
        environment: All of its variables. Those that a library reads when it is imported come too late.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(LIBRARIES))
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=_main, args=(module, list(arguments), dict(environment), writer))
    # The server, which the first of them starts, reads its variables from here: Ray keeps some from its import on.
    kept = dict(os.environ)
    _set(environment)
    try:
        process.start()
    finally:
        _set(kept)
    writer.close()
    told = os.dup(reader.fileno())
    reader.close()
    return process, told


def _main(module: str, arguments: list[str], environment: dict[str, str], writer: Connection) -> None:
    os.setsid()
    os.dup2(writer.fileno(), 1)
    os.dup2(writer.fileno(), 2)
    writer.close()
    _set(environment)
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _set(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
