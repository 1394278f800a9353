"""`python -m trainables.teacher`: fine-tune a teacher once, in the form that every later sweep finds again."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from trainables.config import Parser, add_model_options, add_teacher_options, from_namespace
from trainables.progress import say
from trainables.sweep import guarded


def parser() -> argparse.ArgumentParser:
    """The command line; unset options stay out of the namespace."""
    root = Parser(
        prog="python -m trainables.teacher",
        description="Fine-tune a teacher and keep it in the store, where every sweep of the same task finds it.",
        argument_default=argparse.SUPPRESS,
    )
    root.add_argument("--task", help="task, such as cola or rte (default: cola)")
    add_model_options(root)
    add_teacher_options(root)
    root.add_argument("--seed", type=int, help="seed of --max-train-rows (default: 0)")
    root.add_argument("--set", action="append", metavar="NAME=VALUE", help="a training number, such as batch_size=16")
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when the teacher is there and knows its task, 2 on bad input."""
    typed = list(sys.argv[1:] if arguments is None else arguments)
    values = vars(parser().parse_args(typed))
    return guarded(lambda: _make(values, typed))


def _make(values: dict[str, Any], typed: list[str]) -> int:
    config = from_namespace(values, typed)
    from distill import methods
    from distill.artifacts import Store
    from distill.errors import UserError
    from trainables import resources
    from trainables.models import check_length, resolve_models, shared_part
    from trainables.points import split_settings
    from trainables.prepare import check_teacher, share

    values, training = split_settings(config, methods.get("ft"), epochs=1)
    if values:
        raise UserError(f"--set {next(iter(values))} is not for teachers here; use --teacher-lr.")
    models = resolve_models(config)
    check_length(training, models.teacher.positions, "teacher")
    machine = resources.detect()
    # The same device and type as a sweep on this machine, or the sweep would not find the teacher.
    numerics = resources.numerics(machine, resources.allot(machine, 1.0, None, None))
    plan = shared_part(config, models, training, numerics, machine.cpus)
    for notice in models.notices:
        say(f"Note: {notice}")
    _, folder = share(plan, models.data, say)
    check_teacher(plan, Store(config.artifacts).facts(folder), len(models.data.dev), say)
    say(f"Folder: {folder / 'model'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
