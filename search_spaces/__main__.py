"""`python -m search_spaces`: the methods, their published settings and their axes."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

import search_spaces
from search_spaces import show
from search_spaces.names import SpaceError, UnknownName, canonical
from search_spaces.space import file_of

_EPILOG = """\
A search space of your own, for `python -m trainables.sweep --space FILE.yaml`, may be as short as this:

    method: emd
    axes:
      lr: [1e-5, 3e-5]
      beta: 0.02

What it leaves out is taken from the space that ships; an axis that it leaves out is not searched. Begin with one that
ships: python -m search_spaces --method emd --yaml > mine.yaml
"""
_YAML_HEAD = """\
# A search space to edit and to give back: python -m trainables.sweep --method {method} --space FILE.yaml
# Everything but method and axes may be left out; an axis may be a plain list of values, such as lr: [1e-5, 3e-5].
# Without the rows no published setting comes first.
"""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; --help lists the options.\n")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = _Parser(
        prog="python -m search_spaces",
        description="List the distillation methods with their axes, or show the published settings of one. "
        "python -m distill.methods lists settings that no grid has.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--method", help="only this method")
    root.add_argument("--show", action="store_true", help="its published rows and values with their sources")
    root.add_argument("--task", help="with --show: only rows of this task")
    root.add_argument("--layers", type=int, help="with --show: only rows of this many layers")
    root.add_argument("--recipe", help="with --show: modern or published, which decides what acts (default: modern)")
    root.add_argument("--yaml", action="store_true", help="print the space as a file to edit and to give to --space")
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when done, 2 on bad input."""
    asked = parser().parse_args(arguments)
    try:
        text = _text(asked, min(shutil.get_terminal_size().columns, 120))
    except SpaceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(text)
    return 0


def _text(asked: argparse.Namespace, width: int) -> str:
    known = search_spaces.methods()
    if asked.method is not None and asked.method not in known:
        raise UnknownName.of("method", asked.method, known, where="--method: ")
    if (asked.show or asked.yaml) and asked.method is None:
        raise SpaceError(f"--{'show' if asked.show else 'yaml'} needs --method ({', '.join(known)}).")
    if asked.show and asked.yaml:
        raise SpaceError("--show and --yaml exclude each other: one is to read, the other to edit.")
    for name in ("task", "layers", "recipe"):
        if not asked.show and getattr(asked, name) is not None:
            raise SpaceError(f"--{name} says what --show prints; add --show.")
    if asked.yaml:
        return _YAML_HEAD.format(method=asked.method) + file_of(asked.method).read_text(encoding="utf-8").rstrip()
    if not asked.show:
        spaces = [search_spaces.load(name) for name in ([asked.method] if asked.method else known)]
        blocks = ["\n".join(show.overview(space, width)) for space in spaces]
        return "\n\n".join([*blocks, "\n".join(show.footer(width))])
    space = search_spaces.load(asked.method)
    recipe = "modern" if asked.recipe is None else asked.recipe
    if recipe not in search_spaces.RECIPES:
        raise UnknownName.of("recipe", recipe, search_spaces.RECIPES, where="--recipe: ")
    task = None if asked.task is None else canonical(asked.task)
    if task is not None and space.rows and task not in space.tasks:
        raise UnknownName.of("task", asked.task, space.tasks, where="--task: ")
    if asked.layers is not None and asked.layers < 1:
        raise SpaceError(f"--layers {asked.layers} is too small; the least is 1.")
    file = file_of(asked.method)
    return "\n".join(show.rows(space, f"{file.parent.name}/{file.name}", task, asked.layers, recipe, width))


if __name__ == "__main__":
    # `| head` leaves before all is printed; the command then ends in silence, as others do. Windows has no such signal.
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    raise SystemExit(main())
