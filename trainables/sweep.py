"""`python -m trainables.sweep`: from one command to a study, a report and a student."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.command_line import refuse_empty
from distill.errors import UserError, error_line
from distill.output import say
from trainables.budget import Limits, Watch, exit_code, left, tell_halt
from trainables.config import SweepConfig, from_namespace
from trainables.families import is_family
from trainables.options import parser
from trainables.record import FINISHED, read

if TYPE_CHECKING:
    from distill.tasks.base import TaskData
    from trainables.recorder import Recorder

INTERRUPTED, FAILED = 130, 1
# What concerns one session and not the plan.
SESSION_OPTIONS = ("time_budget", "max_failures", "max_consecutive_failures", "address", "dashboard", "storage")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0 when every point is finished; 1 when none has a score, or as many failed as were allowed to; 2 on bad input;
        3 when the time budget ended it; 130 on Ctrl-C.
    """
    typed = list(sys.argv[1:] if arguments is None else arguments)
    values = vars(parser().parse_args(typed))
    return guarded(lambda: _resume(values) if "resume" in values else _start(values, typed))


def guarded(command: Callable[[], int]) -> int:
    """Run a command; what a person can mend becomes one sentence and exit code 2, Ctrl-C exit code 130."""
    from search_spaces import SpaceError

    try:
        return command()
    except (UserError, SpaceError) as error:
        print(error_line(error), file=sys.stderr, flush=True)
        return 2
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr, flush=True)
        return INTERRUPTED


def _start(values: dict[str, Any], typed: list[str]) -> int:
    config = from_namespace(values, typed)
    limits = Limits(config.time_budget, config.max_failures, config.max_consecutive_failures)
    if config.sizes or config.methods:
        return _start_family(config, bool(values.get("dry_run")), typed, limits)
    from trainables import places, resources
    from trainables import plan as planning
    from trainables.describe import describe
    from trainables.recorder import Recorder, refuse_occupied

    out = Path(config.out).expanduser().absolute() if config.out else None
    if out is not None:
        refuse_occupied(out)
    header, data = planning.make_with_rows(config, places.machine(config.address))
    out = out or _new_folder(config, header["plan"])
    for line in describe(header):
        say(line)
    estimate = header["plan"]["estimate"]
    resources.check_disk("--out", out, estimate["disk_bytes"])
    resources.check_disk("--artifacts", Path(header["plan"]["artifacts"]), estimate["artifact_bytes"])
    if values.get("dry_run"):
        say("Dry run: nothing was started.")
        return 0
    existed = out.is_dir()
    recorder = Recorder.create(out, header)
    try:
        return drive([recorder], data, typed, limits=limits)
    except UserError:
        # Refused before any trial began (a teacher that cannot teach): the folder holds nothing worth keeping,
        # and would be in the way of the mended command.
        if all(row["kind"] == "session" for row in recorder.record.rows):
            shutil.rmtree(out)
            if existed:
                out.mkdir()
        raise


def _start_family(config: SweepConfig, dry: bool, typed: list[str], limits: Limits) -> int:
    from trainables import family

    planned = family.plan_family(config)
    for line in family.describe(planned):
        say(line)
    family.check_disk(planned)
    if dry:
        say("Dry run: nothing was started.")
        return 0
    with family.created(planned) as recorders:
        return drive(recorders, planned.data, typed, planned.parent, limits)


def _resume(values: dict[str, Any]) -> int:
    others = sorted(set(values) - {"resume", "allow_changed", *SESSION_OPTIONS})
    if others:
        raise UserError(
            f"--resume continues a sweep as it was planned; --{others[0].replace('_', '-')} cannot change it. "
            "Start a new sweep for that."
        )
    from trainables import places
    from trainables.recorder import Recorder

    refuse_empty(values)
    values = places.brought(values)
    path = Path(values["resume"]).expanduser().absolute()
    again = [
        word for name in SESSION_OPTIONS if name in values for word in (f"--{name}".replace("_", "-"), values[name])
    ]
    typed = ["--resume", values["resume"], *map(str, again)]
    if is_family(path):
        return _resume_family(path, values, typed)
    limits = Limits.again([read(path)], values)
    data = reopened(path, bool(values.get("allow_changed")), address=values.get("address"))
    recorder = Recorder(path)
    everyone = recorder.record.everything()
    done = sum(t.state in ("COMPLETE", "PRUNED", "FAIL") for t in everyone)
    say(f"Resuming {path}: {done} of {len(everyone)} trials are finished.")
    return drive([recorder], data, typed, limits=limits, typed=values)


def _resume_family(path: Path, values: dict[str, Any], typed: list[str]) -> int:
    from trainables import family

    with family.reopened(path, bool(values.get("allow_changed")), values.get("address")) as (recorders, data):
        records = [recorder.record for recorder in recorders]
        limits = Limits.again(records, values)
        trials = [trial for record in records for trial in record.everything()]
        done = sum(trial.state in FINISHED for trial in trials)
        say(f"Resuming {path}: {done} of {len(trials)} trials of {len(recorders)} sweeps are finished.")
        return drive(recorders, data, typed, path, limits, values)


def reopened(path: Path, allow_changed: bool, command: str = "--resume", address: str | None = None) -> TaskData:
    """The rows of a sweep that is to go on.

    Args:
        command: What a person wanted, for messages.
        address: Of the session's cluster as typed.

    Raises:
        UserError: The folder holds no sweep, or what decides its values has changed.
    """
    from trainables.changes import refuse_changed
    from trainables.prepare import load_data

    header = read(path).header
    data = load_data(header["config"], header["plan"])
    refuse_changed(header, data, allow_changed, command, address)
    return data


def _new_folder(config: SweepConfig, plan: dict[str, Any]) -> Path:
    name = f"{plan['method']}-{plan['task']}-{plan['layers']}L-{time.strftime('%Y%m%d-%H%M%S')}"
    return Path("sweeps").absolute() / name


def drive(
    recorders: Sequence[Recorder],
    data: TaskData,
    arguments: list[str],
    parent: Path | None = None,
    limits: Limits | None = None,
    typed: Mapping[str, Any] | None = None,
) -> int:
    """Prepare, run what is missing, report. Whatever happens, the records stay whole and the folders are released.

    Args:
        recorders: Of one sweep, or of several on the same rows, whose points are run in turn.
        parent: The folder that holds the sweeps of a family; None for a single sweep.
        limits: Of this session; those of a further session to which none is given when None.
        typed: Options of this session by name; the sweep's own where they say nothing.
    """
    # Ray copies these to its workers; set before it starts.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import ray

    from trainables import (
        confirmation,
        engine,
        interrupt,
        memory,
        places,
        preparing,
        progress,
        shares,
        stage_work,
        survive,
    )
    from trainables.finish import finish
    from trainables.prepare import Interrupted, check_room, prepare

    records = [recorder.record for recorder in recorders]
    limits = limits or Limits.again(records, {})
    for recorder in recorders:
        recorder.session(arguments, limits.as_dict())
    plan = recorders[0].record.plan
    folder = parent or recorders[0].path
    started = time.monotonic()
    say(f"Folder: {folder}")
    engine.catch_signals(say)
    watch = Watch(recorders, limits)
    place = places.Places(recorders, parent, typed or {})

    def begin_ray() -> str | None:
        return engine.start_ray(plan, dashboard=place.dashboard, address=place.address)

    def renew() -> None:
        ray.shutdown()
        begin_ray()

    try:
        place.begin()
        # A session may have ended between a search and what comes after it.
        shares.settle(recorders, say)
        confirmation.begin(recorders, say)
        if any(recorder.record.left for recorder in recorders):
            tell = progress.once(say)
            with preparing.noted(folder, tell) as note:
                waiting = [recorder for recorder in recorders if recorder.record.left]
                for recorder in waiting:
                    check_room(recorder.record.header, data, note)
                address = begin_ray()
                place.check()
                name = engine.worker_name([recorder.record.plan for recorder in recorders])
                if address or place.dashboard:
                    where = address or "not available"
                    say(f"Ray dashboard: {where} (actors {name}; `ray get-auth-token` prints its token)")
                for recorder in waiting:
                    header = recorder.record.header
                    shared = prepare(header, data, note, engine.stop_requested)
                    earlier = stage_work.known(recorder.record)
                    recorder.prepared({**shared, **memory.packed(header, shared, note), **earlier})
                stage_work.share(waiting, note, engine.stop_requested)
            function = place.function()
            watch.begin()
            with progress.make(records) as view:
                for recorder in recorders:
                    recorder.listeners.append(view)
                survive.run(recorders, function, renew, view.say)
                shares.settle(recorders, view.say)
                begun = False
                # Also where a limit or Ctrl-C ended the session just now: what is yet to run is to be told.
                with interrupt.writing():
                    begun = confirmation.begin(recorders, view.say)
                # What is interrupted here stands before its first trial, and the session ends as always.
                with contextlib.suppress(Interrupted):
                    if begun and not engine.stop_requested():
                        waiting = [recorder for recorder in recorders if recorder.record.left]
                        stage_work.share(waiting, view.say, engine.stop_requested)
                        place.renew()
                        survive.run(recorders, function, renew, view.say)
                for recorder in recorders:
                    recorder.listeners.remove(view)
            ray.shutdown()
            tell_halt(recorders, say)
        place.end()
        say(f"Time: {(time.monotonic() - started) / 60:.1f} min.")
        for recorder in recorders:
            for line in finish(recorder):
                say(line)
        if parent is not None:
            from analysis import family as page

            say(f"Report of all: {page.write(parent)}")
        place.publish()
    except Interrupted:
        say("Stopped before the first trial.")
        tell_halt(recorders, say)
    finally:
        ray.shutdown()
        watch.close()
        place.close()
        unfinished = sum(recorder.record.left for recorder in recorders)
        for recorder in recorders:
            recorder.close()
    if unfinished:
        for recorder in recorders:
            for line in left(recorder.record):
                say(f"{recorder.path.name}: {line}" if parent else line)
        if idle := watch.idle():
            say(idle)
        say(f"{unfinished} {'trial is' if unfinished == 1 else 'trials are'} unfinished. Continue with:")
        say(f"  python -m trainables.sweep --resume {folder}{limits.options(records, idle is not None)}")
        return exit_code(INTERRUPTED)
    without = [recorder.path for recorder in recorders if recorder.record.best_trial() is None]
    for path in without:
        say(f"No configuration reached an evaluation; {path.name + '/' if parent else ''}trials/*/failure.txt say why.")
    return FAILED if without else 0


def drive_later(recorder: Recorder, data: TaskData, limits: Limits, no_run: bool) -> int:
    """Run what was just added to a sweep that exists, or leave it to `--resume`."""
    if no_run:
        recorder.close()
        say(f"Run them with: python -m trainables.sweep --resume {recorder.path}")
        return 0
    return drive([recorder], data, ["--resume", str(recorder.path)], limits=limits)


if __name__ == "__main__":
    sys.exit(main())
