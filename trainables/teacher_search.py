"""`python -m trainables.teacher --search`: a teacher's own small search over learning rates and epochs.

Every candidate is an ordinary teacher of the store, so what is finished outlives any kill and is found by every sweep
with the same options.
"""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.artifacts import Store
from distill.errors import UserError
from distill.output import say
from trainables.teacher_work import Remote, TeacherDiverged, TeacherOrder, wait

if TYPE_CHECKING:
    from trainables.teacher import Job

# Around the default learning rate, which follows the encoder.
_FACTORS = (0.5, 1.0, 2.0)
_POLL = 0.5


@dataclass(frozen=True)
class Candidate:
    """One point of the search.

    Attributes:
        plan: What a sweep's plan says of its teacher.
        key: Kind and key of its artifact.
    """

    lr: float
    epochs: int
    plan: dict[str, Any]
    order: TeacherOrder
    key: tuple[str, str]

    @property
    def label(self) -> str:
        return f"lr {_plain(self.lr)}, {self.epochs} epoch{'s' if self.epochs > 1 else ''}"


@dataclass(frozen=True)
class Outcome:
    """What became of a candidate: an artifact with its facts, or a reason why there is none."""

    candidate: Candidate
    folder: Path | None = None
    facts: dict[str, Any] | None = None
    reason: str | None = None

    @property
    def score(self) -> float:
        return float("-inf") if self.facts is None else float(self.facts["score"])


def search(job: Job, dry_run: bool) -> int:
    """Run the candidates that the store lacks, packed on the machine, and tell the best of all.

    Returns:
        0, or 130 where a person stopped it.

    Raises:
        UserError: The teacher is not to be fine-tuned, every candidate failed, or the best cannot teach.
    """
    if job.models.teacher_mode == "ready":
        raise UserError(
            f"--search fine-tunes, and {job.models.teacher_name} was fine-tuned already; name a pre-trained encoder, "
            "or train it all the same with --finetune-teacher always."
        )
    candidates = _candidates(job)
    store = Store(candidates[0].order.store)
    found = {c.key: folder for c in candidates if (folder := store.get(*c.key))}
    missing = [candidate for candidate in candidates if candidate.key not in found]
    for line in _describe(job, candidates, missing):
        say(line)
    if dry_run:
        say("Dry run: nothing was started.")
        return 0
    _check_disk(job, store.place, len(missing))
    outcomes = [_outcome(c, found[c.key]) for c in candidates if c.key in found]
    if missing:
        from distill.tasks import tokens
        from trainables.sweep import INTERRUPTED

        order = missing[0].order
        tokens.prepare(store, job.models.data, Path(order.encoder), order.training["max_length"])
        if not _train(job, missing, outcomes.append):
            done = sum(outcome.folder is not None for outcome in outcomes)
            say(
                f"Stopped: {done} of {len(candidates)} candidates are in the store and will not be trained again. "
                "The same command goes on."
            )
            return INTERRUPTED
    return _conclude(job, outcomes)


def _candidates(job: Job) -> list[Candidate]:
    """The grid, in the order in which it is shown."""
    from trainables.prepare import teacher_order

    usual = job.plan(None, None)["teacher"]
    epochs = usual["training"]["epochs"]
    rates = job.rates or tuple(factor * usual["lr"] for factor in _FACTORS)
    lengths = job.epochs or sorted({max(1, epochs // 2), max(1, 3 * epochs // 4), epochs})
    found = []
    for lr, count in itertools.product(rates, lengths):
        plan = job.plan(lr, count)
        order = teacher_order(plan, job.models.data)
        # One thread each, or as many as a candidate's cores; the teacher's identity is the same.
        order = replace(order, numerics={**order.numerics, "threads": job.resources.threads})
        found.append(Candidate(lr, count, plan, order, order.key()))
    return found


def _describe(job: Job, candidates: Sequence[Candidate], missing: Sequence[Candidate]) -> list[str]:
    resources, order = job.resources, candidates[0].order
    gpus = f", {resources.gpus_per_trial:g} GPU" if resources.gpus_per_trial else ""
    waiting = {candidate.key for candidate in missing}
    return [
        f"Search: {job.models.teacher_name} fine-tuned on {job.models.task.name}, {len(job.models.data.train)} "
        f"training rows, {len(job.models.data.dev)} dev rows, seed {order.seed}.",
        f"Candidates: {len(candidates)}, of which the store has {len(candidates) - len(missing)}.",
        *(f"  {candidate.label}{'' if candidate.key in waiting else '  [in the store]'}" for candidate in candidates),
        f"Resources: {resources.max_concurrent} at once, {resources.cpus_per_trial:g} CPU{gpus} and "
        f"{resources.threads} thread(s) each, on {job.machine.cpus} cores and {job.machine.gpus} GPUs; "
        f"{order.numerics['autocast'] or 'float32'} on {order.numerics['device']}.",
        f"Artifacts: {order.store}.",
    ]


def _check_disk(job: Job, place: Path, missing: int) -> None:
    from trainables.resources import check_disk

    teacher = job.models.teacher
    weights = 4 * (teacher.vocabulary * teacher.hidden_size + teacher.layers * 12 * teacher.hidden_size**2)
    if missing:
        check_disk("--artifacts", place, missing * weights)


def _outcome(candidate: Candidate, folder: Path) -> Outcome:
    return Outcome(candidate, folder, Store(candidate.order.store).facts(folder))


def _train(job: Job, missing: Sequence[Candidate], done: Callable[[Outcome], None]) -> bool:
    """Train candidates as many at once as fit; whether all were (and nobody stopped it)."""
    import ray

    from trainables.engine import start_ray

    resources = job.resources
    # The longest first, so that the last ones to run are short.
    queue = sorted(missing, key=lambda candidate: -candidate.epochs)
    running: dict[Remote, Candidate] = {}
    start_ray({"cpus": job.machine.cpus, "resources": {"gpus": job.machine.gpus}}, dashboard=False)
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while queue or running:
            while queue and len(running) < resources.max_concurrent:
                candidate = queue.pop(0)
                running[Remote(candidate.order, resources.cpus_per_trial, resources.gpus_per_trial)] = candidate
                say(f"{candidate.label}: started.")
            finished = wait(list(running), _POLL)
            for work, candidate in running.items():
                for line in work.lines():
                    say(f"{candidate.label}: {line}")
            for work in finished:
                candidate = running.pop(work)
                outcome = _finish(candidate, work)
                done(outcome)
                told = outcome.reason or f"done, {job.models.task.metric} {outcome.score:.3f}"
                say(f"{candidate.label}: {told}.")
        return True
    except KeyboardInterrupt:
        return False
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        ray.shutdown()
        for work in running:
            work.close()


def _finish(candidate: Candidate, work: Remote) -> Outcome:
    try:
        return _outcome(candidate, work.result())
    except TeacherDiverged:
        return Outcome(candidate, reason="diverged")
    except UserError as error:
        return Outcome(candidate, reason=f"failed: {str(error).rstrip('.')}")


def _conclude(job: Job, outcomes: list[Outcome]) -> int:
    """The table, the best candidate and how sweeps find it."""
    from trainables.prepare import make_teacher

    outcomes = ranked(outcomes)
    for line in table(job.models.task.metric, outcomes):
        say(line)
    best = outcomes[0]
    if best.folder is None:
        if all(outcome.reason == "diverged" for outcome in outcomes):
            raise UserError("Every candidate diverged; try lower rates with --set lr=…")
        raise UserError(f"No candidate was made; the first {outcomes[0].reason}.")
    finished = sum(outcome.folder is not None for outcome in outcomes)
    if finished > 1:
        say(
            f"Note: the best of {finished} was chosen by the same dev rows that score it, so its score is optimistic: "
            "expect less on new rows."
        )
    made = make_teacher(best.candidate.plan, job.models.data, job.head, say)
    say(f"Folder: {made.folder / 'model'}")
    say("Sweeps with the same models and data find it with:")
    say(f"  {flags(job, best.candidate)}")
    return 0


def ranked(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The best first, among equals the one of fewer epochs; whatever came to nothing last.

    The order in which candidates ended plays no part, so that a search that was broken off ends alike.
    """
    return sorted(outcomes, key=lambda found: (-found.score, found.candidate.epochs, found.candidate.lr))


def table(metric: str, outcomes: Sequence[Outcome]) -> list[str]:
    """One line per candidate; without a score, the reason."""
    lines = [f"{'lr':>9}  {'epochs':>6}  {metric:>16}  {'95 % interval':>16}  {'seconds':>7}"]
    for number, outcome in enumerate(outcomes):
        candidate, facts = outcome.candidate, outcome.facts
        head = f"{_plain(candidate.lr):>9}  {candidate.epochs:>6}  "
        if facts is None:
            lines.append(f"{head}{outcome.reason}")
            continue
        low, high = facts["verdict"]["interval"]
        remark = "" if facts["verdict"]["ok"] else "  cannot teach"
        best = "  best" if number == 0 else ""
        lines.append(
            f"{head}{facts['score']:>16.3f}  {f'{low:.3f} to {high:.3f}':>16}  {facts['seconds']:>7.0f}{best}{remark}"
        )
    return lines


def flags(job: Job, candidate: Candidate) -> str:
    """The options with which a sweep plans this very teacher."""
    config = job.config
    found = [f"--teacher-lr {_plain(candidate.lr)}", f"--teacher-epochs {candidate.epochs}"]
    # Without it the teacher's rows are as long as those of the sweep, which may be set otherwise.
    settings = {"max_length": candidate.order.training["max_length"], **config.teacher_settings}
    found += [f"--teacher-set {name}={value}" for name, value in settings.items()]
    if config.teacher_seed:
        found.append(f"--teacher-seed {config.teacher_seed}")
    if config.finetune_teacher == "always":
        found.append("--finetune-teacher always")
    if config.metric is not None:
        found.append(f"--metric {config.metric}")
    if config.recipe != "modern":
        found.append(f"--recipe {config.recipe}")
    if config.gpus_per_trial is not None:
        found.append(f"--gpus-per-trial {config.gpus_per_trial:g}")
    return " ".join(found)


def _plain(rate: float) -> str:
    """A learning rate as one would type it, without losing a digit."""
    short = f"{rate:g}"
    return short if float(short) == rate else repr(rate)
