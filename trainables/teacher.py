"""`python -m trainables.teacher`: make a teacher once, in the form that every later sweep finds again."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from distill.command_line import Parser
from distill.errors import UserError
from distill.output import say
from trainables.config import RECIPES, SweepConfig, from_namespace
from trainables.options import add_model_options, add_own_options, add_teacher_options
from trainables.sweep import guarded

if TYPE_CHECKING:
    from distill.models.folder import Head
    from distill.training.settings import Training
    from trainables.models import Models
    from trainables.resources import Machine, Resources


def parser() -> argparse.ArgumentParser:
    """The command line; unset options stay out of the namespace."""
    root = Parser(
        prog="python -m trainables.teacher",
        description="Make a teacher and keep it in the store, where every sweep of the same task finds it: fine-tune "
        "an encoder, or take one that was fine-tuned already.",
        argument_default=argparse.SUPPRESS,
    )
    root.add_argument("--task", help="task, such as cola or rte (default: cola)")
    add_model_options(root)
    add_own_options(root)
    add_teacher_options(root)
    root.add_argument("--recipe", choices=RECIPES, help="the teacher of a sweep with this recipe (default: modern)")
    root.add_argument("--method", help="whose published recipe (default: emd)")
    root.add_argument("--seed", type=int, help="seed of --max-train-rows (default: 0)")
    root.add_argument(
        "--set",
        action="append",
        metavar="NAME=VALUE",
        help="as --teacher-set, and lr and epochs too; with --search these two take several values, as in lr=2e-5,5e-5",
    )
    root.add_argument(
        "--search",
        action="store_true",
        help="fine-tune over a small grid of learning rates and epochs, and tell the best",
    )
    root.add_argument("--cpus-per-trial", type=float, help="with --search: cores of one candidate (default: 1)")
    root.add_argument(
        "--gpus-per-trial", type=float, help="GPUs of one candidate, fractions allowed; 0 trains on cores"
    )
    root.add_argument("--max-concurrent", type=int, metavar="N", help="with --search: at most N candidates at once")
    root.add_argument("--dry-run", action="store_true", help="print what would be done and stop")
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when the teacher is there and knows its task, 2 on bad input, 130 on Ctrl-C."""
    typed = list(sys.argv[1:] if arguments is None else arguments)
    values = vars(parser().parse_args(typed))
    return guarded(lambda: _run(values, typed))


@dataclass(frozen=True)
class Job:
    """A teacher as asked, with everything found that it depends on.

    Attributes:
        config: What was asked, without the learning rate and the epochs.
        rates, epochs: The values that were asked for; empty where none were.
        training: Of the trials that will read the teacher.
        head: Through which they will read it.
        resources: What one candidate of a search takes.
    """

    config: SweepConfig
    rates: tuple[float, ...]
    epochs: tuple[int, ...]
    models: Models
    training: Training
    head: Head
    machine: Machine
    resources: Resources

    def plan(self, lr: float | None, epochs: int | None) -> dict[str, Any]:
        """What a sweep's plan says of a teacher of this rate and these epochs (None: the default)."""
        from distill import methods
        from trainables.models import shared_part
        from trainables.resources import numerics

        config = replace(self.config, teacher_lr=lr, teacher_epochs=epochs)
        # The same device and type as a sweep with these options, or it would not find the teacher.
        used = numerics(self.machine, self.resources)
        return shared_part(config, self.models, self.training, used, self.machine.cpus, methods.get(config.method))


def _run(values: dict[str, Any], typed: list[str]) -> int:
    search, dry_run = (bool(values.pop(name, False)) for name in ("search", "dry_run"))
    if not search:
        for name in ("cpus_per_trial", "max_concurrent"):
            if name in values:
                raise UserError(f"--{name.replace('_', '-')} packs the candidates of --search; leave it out without.")
    config = from_namespace(values, typed)
    job = _resolve(config)
    for notice in job.models.notices:
        say(f"Note: {notice}")
    if config.recipe == "modern" and "method" in values:
        say("Note: --method plays no part: the modern recipe has one teacher for all methods.")
    if search:
        from trainables.teacher_search import search as run_search

        return run_search(job, dry_run)
    for name, given in (("lr", job.rates), ("epochs", job.epochs)):
        if len(given) > 1:
            raise UserError(f"--set {name} takes one value, not {len(given)}; --search tries several.")
    return _make(job, dry_run)


def _resolve(config: SweepConfig) -> Job:
    """Everything that is looked up before anything is made."""
    from distill import methods
    from distill.models.folder import check_head
    from trainables import resources
    from trainables.judging import judged
    from trainables.models import check_length, resolve_models
    from trainables.points import split_settings

    method = methods.get(config.method)
    if config.recipe == "published" and method.published is None:
        raise UserError(f"--recipe published: {method.title} has only the modern recipe here.")
    config, rates, epochs = _settle(config)
    models = judged(resolve_models(config), config, method)
    _, training = split_settings(config, method, models.task)
    check_length(training, models.teacher.positions, "teacher")
    head = method.head(config.recipe)
    check_head(head, models.teacher.model_type, "--teacher")
    machine = resources.detect()
    allotted = resources.allot(machine, config.cpus_per_trial, config.gpu_share, config.max_concurrent)
    return Job(config, rates, epochs, models, training, head, machine, allotted)


def _settle(config: SweepConfig) -> tuple[SweepConfig, tuple[float, ...], tuple[int, ...]]:
    """Sort `--set` into learning rates, epochs and numbers of the teacher's training.

    Raises:
        UserError: A name is unknown, a value illegal, or two options say the same thing.
    """
    from distill.methods.base import nearest
    from distill.training.settings import TRAINING_FIELDS

    numbers, given = dict(config.teacher_settings), dict(config.settings)
    rates = tuple(_rate(text) for text in given.pop("lr", []))
    texts = [("--set", text) for text in given.pop("epochs", [])]
    if "epochs" in numbers:
        texts.append(("--teacher-set", numbers.pop("epochs")))
    epochs = tuple(_parse(flag, "epochs", text) for flag, text in texts)
    for name, listed in given.items():
        if name not in TRAINING_FIELDS:
            raise UserError(f"--set {name} is unknown{nearest(name, ['lr', *TRAINING_FIELDS])}")
        if len(listed) != 1:
            raise UserError(f"--set {name} takes one value, not {len(listed)}.")
        numbers[name] = _parse("--set", name, listed[0])
    for name, values, flag, value in (
        ("lr", rates, "--teacher-lr", config.teacher_lr),
        ("epochs", epochs, "--teacher-epochs", config.teacher_epochs),
    ):
        if values and value is not None:
            raise UserError(f"--set {name} and {flag} say the same thing; give one of them.")
    rates = tuple(dict.fromkeys(rates)) or ((config.teacher_lr,) if config.teacher_lr is not None else ())
    epochs = tuple(dict.fromkeys(epochs)) or ((config.teacher_epochs,) if config.teacher_epochs is not None else ())
    bare = replace(config, settings={}, teacher_settings=numbers, teacher_lr=None, teacher_epochs=None)
    return bare, rates, epochs


def _parse(flag: str, name: str, text: Any) -> Any:
    from distill.training.settings import parse

    try:
        return parse(name, text)
    except UserError as error:
        raise UserError(f"{flag} {error}") from None


def _rate(text: Any) -> float:
    try:
        rate = float(text)
    except ValueError:
        raise UserError(f"--set lr={text} is not a number.") from None
    if not 0 < rate < 1:
        raise UserError(f"--set lr={text} must lie between 0 and 1.")
    return rate


def _make(job: Job, dry_run: bool) -> int:
    from trainables.prepare import make_teacher, teacher_order
    from trainables.teacher_work import find

    plan = job.plan(next(iter(job.rates), None), next(iter(job.epochs), None))
    if dry_run:
        order = teacher_order(plan, job.models.data)
        known = "in the store" if find(order) else "to be made"
        say(f"Teacher: {plan['teacher']['name']}, {order.words()}, on {plan['numerics']['device']}; {known}.")
        say("Dry run: nothing was started.")
        return 0
    made = make_teacher(plan, job.models.data, job.head, say)
    say(f"Folder: {made.folder / 'model'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
