"""Proof that confirming runs are what they are taken for: the points they name, with seeds of their own."""

from __future__ import annotations

from collections.abc import Iterator

from trainables.record import Record

# All that decides a run but for its seed.
_SAME = ("method", "params", "recipe", "head", "training")


def check_confirming(record: Record) -> Iterator[str | None]:
    """One item per run: None where it holds, else a sentence."""
    searched = {trial.point["seed"] for trial in record.trials.values()}
    first = {id: group[0].point for id, group in record.confirmed().items()}
    pairs = set()
    for trial in record.confirming.values():
        point, of = trial.point, trial.point["of"]
        base = record.trials[of].point if of in record.trials else first[of]
        wrong = [name for name in _SAME if point.get(name) != base.get(name)]
        fault = None
        if wrong:
            fault = f"{trial.id} is not {of} with another seed: it differs in {', '.join(wrong)}."
        elif point["seed"] in searched:
            fault = f"{trial.id} has seed {point['seed']}, which a trial of the search had."
        elif (of, point["seed"]) in pairs:
            fault = f"{trial.id} is {of} with seed {point['seed']} for the second time."
        pairs.add((of, point["seed"]))
        yield fault
