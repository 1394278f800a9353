"""What to try next, asked of Optuna's TPE: one point at a time, from what the record holds. Imports without Ray."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import search_spaces
from distill import methods
from distill.tasks.planned import task_of
from distill.training.settings import Training
from search_spaces import format_params
from search_spaces.ranges import Range
from trainables.draws import PATIENCE, graded, next_number, suggestion_seed
from trainables.plan import derived
from trainables.points import Maker, id_of
from trainables.record import COMPLETE, DIVERGED, FAIL, PRUNED, Record, Trial


def suggest(record: Record) -> tuple[list[dict[str, Any]], int]:
    """The next point of a sweep whose points are suggested, and its number k.

    Suggestion k draws with the seed hash(seed, k), and k goes on where the record ends, so that a resumed sweep does
    not repeat itself. A point that is there already is drawn again with the next k.

    Returns:
        One point, complete as those of a plan are; none after many draws in a row that were there already.
    """
    plan = record.plan
    search, fixed = plan["search"], Training(**plan["training"])
    ranges = [Range.from_dict(found) for found in search["ranges"]]
    kind = task_of(plan).kind
    maker = Maker(methods.get(plan["method"]), plan["recipe"], fixed, kind == "regression", plan["layers"])
    known = {search_spaces.point_id(t.params) for t in _of_the_method(record) if t.point["seed"] == plan["seed"]}
    k = last = max((row["k"] for row in record.rows if row["kind"] == "suggest"), default=0)
    while k - last < PATIENCE:
        k += 1
        chosen = ask(record, ranges, suggestion_seed(search["seed"], k), search["startup"])
        point = maker.point(chosen, graded(chosen, ranges), "suggested")
        if search_spaces.point_id(point["params"]) not in known:
            return [_named(record, point, ranges)], k
    return [], k


def ask(record: Record, ranges: Sequence[Range], seed: int, startup: int) -> dict[str, Any]:
    """What TPE makes of the distilled trials so far.

    The study is built anew from the record, which stays the only authority. Trials that wait or run count as the worst
    (Optuna's constant liar), so that workers which ask at the same time get different points; the undistilled baseline
    is kept out, because its learning rate is another method's.

    Args:
        seed: Of this suggestion.
        startup: Until so many trials have ended, points are drawn at random.

    Returns:
        Name to value, of every range.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup, constant_liar=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    told = [_told(trial, ranges) for trial in _of_the_method(record)]
    study.add_trials([trial for trial in told if trial is not None])
    drawn = study.ask({found.name: _distribution(found) for found in ranges if not found.fixed}).params
    return {found.name: found.values[0] if found.fixed else found.settle(drawn[found.name]) for found in ranges}


def _told(trial: Trial, ranges: Sequence[Range]) -> Any:
    """A trial as TPE sees it; None for one that failed for a reason which says nothing of its point."""
    import optuna

    states = optuna.trial.TrialState
    steps = {n: float(row["value"]) for n, row in sorted(trial.evaluations.items()) if row["value"] is not None}
    state, value = states.RUNNING, None
    if trial.state == COMPLETE:
        state, value = states.COMPLETE, trial.score
    elif trial.state == PRUNED:
        state = states.PRUNED
    elif trial.state == FAIL:
        if not str(trial.cause).startswith(DIVERGED):
            return None
        # TPE ranks a pruned trial without any value behind all others, whatever the scale of the metric.
        state, steps = states.PRUNED, {}
    # A value that a person added beyond the range is no evidence about what lies in it.
    params = {r.name: trial.params[r.name] for r in ranges if r.name in trial.params and r.holds(trial.params[r.name])}
    return optuna.trial.create_trial(
        state=state,
        value=value,
        params=params,
        distributions={found.name: _distribution(found) for found in ranges if found.name in params},
        intermediate_values=steps,
    )


@lru_cache(maxsize=256)
def _distribution(found: Range) -> Any:
    from optuna import distributions

    if found.values:
        return distributions.CategoricalDistribution(found.values)
    assert found.low is not None
    assert found.high is not None
    if found.whole:
        return distributions.IntDistribution(int(found.low), int(found.high), log=found.log)
    return distributions.FloatDistribution(found.low, found.high, log=found.log)


def _of_the_method(record: Record) -> list[Trial]:
    return [trial for trial in record.trials.values() if not trial.is_baseline]


def _named(record: Record, point: dict[str, Any], ranges: Sequence[Range]) -> dict[str, Any]:
    """A suggested point with id, number, label, hash and stages."""
    plan = record.plan
    number = max(next_number(plan["points"]), sum(p["seed"] == plan["seed"] for p in plan["points"]))
    free = [found.name for found in ranges if not found.fixed]
    baseline = any(p["origin"] == "baseline" for p in plan["points"])
    point |= {
        "id": id_of(number, plan["search"]["trials"] + baseline),
        "number": len(plan["points"]),
        "seed": plan["seed"],
        "label": format_params(point["params"], free),
    }
    return point | derived(point, plan, record.header["fingerprint"])
