"""What a person should know of a sweep's points: what was named in vain, or in other words. No torch, no Ray."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from distill.methods.base import Method
from distill.published import name_in_rows
from distill.tasks.base import Task
from search_spaces import SearchSpace, every_size, format_params, point_id
from search_spaces.axes import GRADES
from trainables.config import SweepConfig
from trainables.draws import ADAPTIVE


def about_names(
    config: SweepConfig, method: Method, space: SearchSpace, values: Collection[str], acting: Collection[str]
) -> list[str]:
    """Of what a person named, with `--set` or as an axis of a file, that which changes nothing in any point.

    Args:
        values: Names that have values over those of the grid, some of them for other reasons.
        acting: Names that any point has.
    """
    named = {name for name in values if name in config.settings}
    if config.space is not None:
        named |= {axis.name for axis in space.axes if len(axis.values) > 1}
    idle = [hyper.name for hyper in method.hyperparameters if hyper.name in named and hyper.name not in acting]
    if not idle:
        return []
    return [
        f"{' and '.join(idle)} would change nothing here (recipe {config.recipe}): points that differ in nothing else "
        "are one."
    ]


def about_grid(
    config: SweepConfig, task: Task, space: SearchSpace, layers: int, published: bool, values: Collection[str]
) -> str:
    """Where the points come from if not from a row of task and size; empty where nothing is to be said.

    Args:
        published: Whether there is such a row.
        values: Names that have values over those of the grid.
    """
    called = name_in_rows(task)
    if task.made_up:
        whence = "rows of other tasks" if config.search == "published" else "axes"
        note = f"{task.name} is made-up data: nothing is published for it. "
        note += f"The points come from the {whence} of {space.title}."
    elif task.own and space.rows:
        note = f"{task.name} is a task of your own, for which no row is published: the points {_whence(config, space)}."
    elif not published:
        note = space.missing_row(called, layers) + "."
        if config.search == "published":
            note = f"{note.partition(';')[0]}; the points are those of other tasks or sizes."
    else:
        note = ""
    if config.search != "published":
        note += every_size.told(space, called, layers, config.recipe, values)
    return note


def _whence(config: SweepConfig, space: SearchSpace) -> str:
    """Where the points of a task come from that nobody has published, after "the points"."""
    how = "come from ranges around the values of" if config.search in ADAPTIVE else "come from"
    if config.space is not None:
        return f"{how} the {'rows' if config.search == 'published' else 'axes'} of {config.space}"
    if config.search == "published":
        return f"come from the rows of all tasks that {space.title} was published with"
    ours = any(value.grade != GRADES[0] for axis in space.active(config.recipe) for value in axis.values)
    beside = ", with values of ours beside these" if ours else ""
    return f"{how} the axes of {space.title}, which hold what it was published with for any task{beside}"


class Words:
    """Values that stand for those a person gave, because they mean the same beside the others of their point."""

    def __init__(self, method: Method, named: Collection[str]) -> None:
        """
        Args:
            named: Names that the person gave values.
        """
        self._hypers = [hyper for hyper in method.hyperparameters if hyper.name in named]
        self._found: dict[tuple[str, str, str], set[str]] = {}

    def see(self, chosen: dict[str, Any], params: dict[str, Any]) -> None:
        """Look at what a point was asked to have, and has."""
        for hyper in self._hypers:
            name = hyper.name
            if name in chosen and name in params and chosen[name] != params[name]:
                changed = (name, format_params({name: chosen[name]}), format_params({name: params[name]}))
                self._found.setdefault(changed, set()).add(point_id(params))

    def told(self, points: Sequence[dict[str, Any]]) -> list[str]:
        """One sentence for each such value.

        Args:
            points: Of the plan.
        """
        ids = [point_id(point["params"]) for point in points if point["origin"] != "baseline"]
        lines = []
        for (name, asked, found), of in self._found.items():
            count = sum(id in of for id in ids)
            where = "" if count == len(ids) else f" in {count} of {len(ids)} points"
            help = next(hyper.help for hyper in self._hypers if hyper.name == name)
            if count:
                lines.append(f"{asked} is written {found}{where}, which means the same there ({help}).")
        return lines


def about_count(config: SweepConfig, found: int, total: int, wanted: int | None) -> list[str]:
    """That there are fewer points than were asked for, or more than the plan has.

    Args:
        found: Different distilled points.
        total: So many are looked for.
        wanted: So many the plan takes; None is all.
    """
    if config.search in ADAPTIVE:
        if config.search == "random" and found < total:
            return [f"Only {found} different points can be drawn from these ranges; {total} were wanted."]
    elif config.trials is not None and found < config.trials:
        return [
            f"--trials {config.trials}: --search {config.search} has no more than {found} different "
            f"point{'' if found == 1 else 's'} here; --search random or tpe finds more."
        ]
    elif wanted is not None and config.trials is None and found > wanted:
        return [f"On embedded data the plan is cut to {wanted} of {found} points; --trials changes that."]
    return []
