"""Teacher, data and the teacher's own recipe: as asked, from the hub, or as embedded. Imports without torch and Ray."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill import artifacts
from distill.errors import UserError
from distill.hub import HubUnreachable, words
from distill.methods.base import Method, nearest
from distill.models import embedded, hub
from distill.models.folder import EncoderFolder, check_span_dropout, hub_id, inspect
from distill.tasks import own, registry, rows, windows
from distill.tasks.augmented import counted, with_augmented
from distill.tasks.base import Task, TaskData
from distill.tasks.judged import judged_by
from distill.teacher import ready
from distill.teacher.recipe import defaults
from distill.training.settings import TRAINING_FIELDS, Numerics, Training, evaluated, parse
from trainables import own_data, select
from trainables.config import TEACHER, SweepConfig
from trainables.windows import count

# Seconds that the hub may take to answer where nobody asked for it.
_PATIENCE = 5.0

Hub = dict[str, str]


@dataclass(frozen=True)
class Models:
    """The encoders of a sweep and where the data comes from.

    Attributes:
        teacher_origin, data_origin: "hub", "local" or "embedded".
        teacher_hub: `id` and `revision` (a commit) of a teacher from the hub.
        teacher_mode: "finetune", or "ready" where the teacher is taken as it is.
        data_hub: `id`, `config` and `revision` of data from the hub.
        augmented: Of augmented rows what `distill.tasks.augmented.counted` says.
    """

    task: Task
    data: TaskData
    teacher: EncoderFolder
    teacher_origin: str
    teacher_name: str
    data_origin: str
    notices: tuple[str, ...]
    teacher_hub: Hub | None = None
    teacher_mode: ready.Mode = "finetune"
    data_hub: Hub | None = None
    augmented: dict[str, Any] | None = None


def resolve_models(config: SweepConfig, given: TaskData | None = None) -> Models:
    """Find teacher and data: what is named, else the hub's, else what is embedded, and say so.

    Args:
        given: Rows that are there already, in the place of those that the config names.

    Raises:
        UserError: What was asked for is not there or malformed, or nothing can stand in for it.
    """
    asked = registry.get(config.task) if config.task else None
    if asked is not None:
        # What no rows could make right is refused before any are looked for.
        judged_by(asked, config.metric)
    _check_source(config, asked)
    # The data goes first: it is small, so what is wrong with it shows before a large download.
    found_data = (given.task, given, "local", []) if given is not None else _data(config, asked)
    task, data, data_origin, data_notices = found_data
    augmented = None
    if config.augmented:
        data = with_augmented(data, config.augmented)
        augmented = counted(data, config.augmented)
        data_notices += select.about_augmented(augmented, config.baseline)
    teacher, origin, found, name, notices = _teacher(config)
    mode = ready.mode(config.finetune_teacher, teacher.path, task, name)
    if mode == "ready":
        notices.append(ready.notice(teacher.path, task))
        if config.teacher_lr or config.teacher_epochs or config.teacher_settings or config.teacher_seed:
            notices.append("Options of the teacher's training play no part: it is taken as it is.")
    notices += [*data_notices, *data.notes]
    data_hub = None
    if data.commit is not None and task.hub is not None:
        data_hub = {"id": task.hub.repository, "config": task.hub.config, "revision": data.commit}
    if config.max_train_rows and config.max_train_rows < len(data.train):
        who = "The teacher trains" if augmented else "Training"
        notices.append(f"{who} on {config.max_train_rows} of {len(data.train)} rows.")
        data = data.limit_train(config.max_train_rows, config.seed)
    data = windows.asked(data, config.doc_stride, config.null_threshold)
    data = select.split(data, config.select_on, config.seed)
    if data.report is not None and mode == "ready":
        notices.append(select.UNKNOWN_TEACHER)
    return Models(task, data, teacher, origin, name, data_origin, tuple(notices), found, mode, data_hub, augmented)


def find_encoder(named: str, config: SweepConfig, flag: str) -> tuple[EncoderFolder, str, Hub | None]:
    """An encoder that was named by folder or by hub id: the folder, its origin, and `id` and `revision` on the hub.

    Raises:
        UserError: It is not there, of another kind, or not of `--source`.
    """
    asked = None if config.source == "local" else hub_id(named)
    if asked is None:
        if config.source == "hub":
            raise UserError(f"{flag} {named} is not the name of a model on the hub, which --source hub asks for.")
        return inspect(named, flag), "local", None
    return _from_hub(*asked, flag, hub.PATIENCE)


def _from_hub(name: str, revision: str | None, flag: str, patience: float) -> tuple[EncoderFolder, str, Hub | None]:
    folder = hub.fetch(name, revision, flag, patience=patience)
    return inspect(folder, flag, name), "hub", {"id": name, "revision": folder.name}


def ensure(plan: dict[str, Any]) -> None:
    """Fetch again what a plan took from the hub and the cache has lost, at the same commits and to the same place.

    Raises:
        UserError: It cannot be had.
    """
    for part in ("teacher", "student"):
        found, path = plan[part].get("hub"), plan[part].get("path")
        if found and path:
            # cache / models--NAME / snapshots / commit
            hub.fetch(found["id"], found["revision"], f"--{part}", cache=Path(path).parents[2])


def _check_source(config: SweepConfig, task: Task | None) -> None:
    """Raise UserError where `--source` contradicts what is named."""
    made_up = task if task is not None and task.made_up else None
    named = {"--teacher": config.teacher, "--student": config.student, "--data-dir": config.data_dir}
    if config.source == "embedded":
        for flag, value in named.items():
            if value:
                raise UserError(f"--source embedded takes nothing by name; leave out {flag} {value}, or --source.")
    if config.source == "local":
        if made_up:
            raise UserError(
                f"--source local: the data of {made_up.name} is generated, not read from a folder; leave --source out."
            )
        for flag in ("--teacher", "--data-dir"):
            if not named[flag] and not (flag == "--data-dir" and config.task_file):
                raise UserError(f"--source local needs {flag}, a folder.")
    if config.source == "hub":
        if config.data_dir:
            raise UserError(
                f"--source hub takes the data from the hub; leave out --data-dir {config.data_dir}, or --source."
            )
        if made_up:
            raise UserError(f"--source hub: the data of {made_up.name} is generated; choose another --task.")


def _teacher(config: SweepConfig) -> tuple[EncoderFolder, str, Hub | None, str, list[str]]:
    """The teacher's encoder with origin, place on the hub, name for people, and what to say of it."""
    if config.teacher:
        encoder, origin, found = find_encoder(config.teacher, config, "--teacher")
        return encoder, origin, found, found["id"] if found else encoder.path.name, []
    why = ""
    if config.source != "embedded":
        try:
            return *_from_hub(TEACHER, None, "--teacher", _PATIENCE), TEACHER, []
        except HubUnreachable as error:
            if config.source == "hub":
                raise _only_hub(error) from None
            why = _out_of_reach(error)
    try:
        encoder = inspect(embedded.folder(), "--teacher")
    except UserError as error:
        raise UserError(f"{words(error)}{why}.") from None
    notice = f"No --teacher was named: the embedded encoder serves, {embedded.NAME}{why}."
    return encoder, "embedded", None, embedded.NAME, [notice]


def _data(config: SweepConfig, task: Task | None) -> tuple[Task, TaskData, str, list[str]]:
    """The task that is run, its rows, their origin, and what to say of them.

    Args:
        task: The known one that was asked for; None where a person's files make one.
    """
    if config.task_file or task is None:
        data = own_data.read(config, task)
        return data.task, data, "hub" if data.commit else "local", []
    if config.data_dir:
        return task, rows.read(task, "local", config.data_dir), "local", []
    why = ""
    if task.hub is not None and config.source != "embedded":
        try:
            return task, rows.read(task, "hub"), "hub", []
        except HubUnreachable as error:
            if config.source == "hub":
                raise _only_hub(error) from None
            why = _out_of_reach(error)
    made_up = task if task.made_up else registry.stand_in(task)
    if made_up is None and config.source == "embedded":
        raise UserError(
            f"--source embedded has no data for --task {task.name}; choose --task cola, or leave --source out."
        )
    if made_up is None:
        raise UserError(
            f"--task {task.name} needs --data-dir, a folder in GLUE's layout; no made-up data stands in{why}."
        )
    notices = []
    if made_up is not task:
        notices.append(
            f"No --data-dir was named: made-up data serves instead of {task.name}{why}. The task is called "
            f"{made_up.name}; its scores say nothing about {task.name}."
        )
    return made_up, rows.read(made_up, "embedded"), "embedded", notices


def _only_hub(error: HubUnreachable) -> UserError:
    """Folders are no remedy where `--source hub` asks for the hub."""
    return UserError(f"{str(error).rpartition(': go online')[0]}: go online, or leave --source hub out.")


def _out_of_reach(error: HubUnreachable) -> str:
    return f"; the hub cannot be reached ({error.reason})"


def teacher_recipe(config: SweepConfig, models: Models, training: Training, method: Method) -> dict[str, Any]:
    """The teacher's own training: `lr`, `seed`, `keep` ("best" or "last" epoch) and numbers of `Training`.

    What the recipe says comes first, then `--teacher-set`, then `--teacher-lr` and `--teacher-epochs`.

    Args:
        training: That of the students; the modern teacher shares its length of rows, so that it shares the tokens.

    Raises:
        UserError: A number is unknown or illegal, or rows may be longer than the encoder can read.
    """
    # Late, because that module reads search spaces, which commands without points do not.
    from trainables.points import published_of

    published = published_of(config, method, models.task)
    numbers = defaults(models.teacher.path, models.teacher_origin, models.task, training.max_length, published)
    lr, keep = numbers.pop("lr"), numbers.pop("keep")
    given: dict[str, Any] = {}
    for name, value in config.teacher_settings.items():
        if name not in TRAINING_FIELDS:
            instead = "; --teacher-lr sets it." if name == "lr" else nearest(name, TRAINING_FIELDS)
            raise UserError(f"--teacher-set has no number {name}{instead}")
        try:
            given[name] = parse(name, value)
        except UserError as error:
            raise UserError(f"--teacher-set {error}") from None
    try:
        numbers |= evaluated(given)
    except UserError as error:
        raise UserError(f"--teacher-set {error}") from None
    if config.teacher_epochs:
        if "epochs" in given and given["epochs"] != config.teacher_epochs:
            raise UserError(
                f"--teacher-set epochs={given['epochs']} and --teacher-epochs {config.teacher_epochs} disagree; give "
                "one of them."
            )
        numbers["epochs"] = config.teacher_epochs
    try:
        own = Training(**numbers)
    except UserError as error:
        raise UserError(f"--teacher-set {error}") from None
    check_length(own, models.teacher.positions, "teacher", "--teacher-set")
    span, kind = models.task.kind == "span", models.teacher.model_type
    check_span_dropout(own.classifier_dropout, span, kind, "teacher", "--teacher-set ")
    own.steps_per_epoch(count(models.data, own, models.teacher.path))
    return {
        "lr": config.teacher_lr or lr,
        "seed": config.teacher_seed,
        "keep": keep,
        "training": own.as_dict(),
    }


def shared_part(
    config: SweepConfig,
    models: Models,
    training: Training,
    numerics: Numerics,
    cpus: int,
    method: Method,
) -> dict[str, Any]:
    """The part of a plan that decides what trials share: data, tokens, teacher. `trainables.teacher` needs no more.

    Raises:
        UserError: The teacher's own numbers are unknown, illegal, or too large for its encoder.
    """
    return {
        "task": models.task.name,
        "metric": models.task.metric,
        **({own.PLANNED: own.definition(models.task)} if models.task.own else {}),
        "artifacts": str(artifacts.Store(config.artifacts).place),
        "numerics": numerics.as_dict(),
        "training": training.as_dict(),
        "cpus": cpus,
        "teacher": {
            "origin": models.teacher_origin,
            "hub": models.teacher_hub,
            "mode": models.teacher_mode,
            "name": models.teacher_name,
            "path": str(models.teacher.path),
            "layers": models.teacher.layers,
            "hidden_size": models.teacher.hidden_size,
            "heads": models.teacher.heads,
            "model_type": models.teacher.model_type,
            "sharing": own_sharing(models.teacher),
            "allow_weak": config.allow_weak_teacher,
            **teacher_recipe(config, models, training, method),
        },
    }


def own_sharing(encoder: EncoderFolder) -> dict[str, Any] | None:
    """How an encoder runs layers twice by itself: `mode`, and how many of the top are `repeated`; None where not."""
    return None if encoder.sharing is None else dict(zip(("mode", "repeated"), encoder.sharing, strict=True))


def check_length(training: Training, positions: int, whose: str, flag: str = "--set") -> None:
    """Raise UserError when rows may be longer than an encoder can read."""
    if training.max_length > positions:
        raise UserError(
            f"max_length={training.max_length} exceeds the {positions} positions of the {whose}: "
            f"{flag} max_length={positions}, or less."
        )
