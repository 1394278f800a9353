"""The door for a person's own `ray.tune.Tuner`: a function trainable, and the student out of a result."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from distill import methods
from distill.arguments import mapping
from distill.errors import UserError
from distill.methods.base import nearest
from distill.output import say
from distill.tasks.base import TaskData
from distill.training.settings import TRAINING_FIELDS
from trainables.config import SweepConfig, from_namespace
from trainables.own_data import OWN

STUDENT = "student"
# What a person's own Tuner decides, or what belongs to a sweep's folder.
_ELSEWHERE = {
    "space": "param_space of your Tuner",
    "trials": "num_samples of your TuneConfig",
    "baseline": "your Tuner, which runs nothing beside your trials",
    "search": "search_alg of your TuneConfig",
    "scheduler": "scheduler of your TuneConfig",
    "grace": "scheduler of your TuneConfig",
    "reduction_factor": "scheduler of your TuneConfig",
    "max_concurrent": "max_concurrent_trials of your TuneConfig",
    "time_budget": "time_budget_s of your TuneConfig",
    "max_failures": "stop of your RunConfig",
    "max_consecutive_failures": "stop of your RunConfig",
    "keep_students": "checkpoint_config of your RunConfig",
    "out": "storage_path of your RunConfig",
    "storage": "storage_path of your RunConfig",
    "address": "your ray.init",
    "dashboard": "your ray.init",
    "sizes": "layers, one size a call",
    "methods": "method, one method a call",
    "beside": "method, one method a call",
    "device_seconds": "time_budget_s of your TuneConfig",
    "confirm": "your Tuner, which can try the best again with other seeds",
    "cache_gb": "the function itself, which asks the teacher and keeps nothing of its outputs",
    "artifacts_gb": "python -m distill.artifacts gc",
}
_HIDDEN = ("command", "method", "task", "layers")


def trainable(
    method: str,
    *,
    task: str | TaskData | None = None,
    layers: int | None = None,
    progress: Callable[[str], None] = say,
    **options: Any,
) -> Callable[[dict[str, Any]], None]:
    """A function trainable for `ray.tune.Tuner`: one call trains one student.

    Data, tokens and teacher are found or made here, in the calling process, and kept in the store; the function
    carries their paths and plain numbers only. On a cluster the store must lie where all nodes see it.

    The trial's config is flat: hyper-parameters of the method, training numbers, and `seed`. What it leaves out takes
    the defaults fixed here; an unknown name fails the trial before it trains, with the nearest known name.

    The function reports once per evaluation, with a checkpoint each time, a flat dict: the task's metric by its name
    (such as `mcc`), the same as `value`, the largest so far as `best`, further metrics by name, `epoch` (passes over
    the rows, a float), `evaluation` (from 1), `terms/NAME` (mean of each loss term since the last evaluation, with
    `terms/total`), `lr` and `seconds`. With `select_on="train-holdout:SHARE"` the metrics are those of rows held out of
    the training set, and `dev/NAME` those on dev, of the student that is best so far. A checkpoint holds all that is
    needed to go on bit for bit, and the student that is best so far, so the newest one of a trial is enough
    (`CheckpointConfig(num_to_keep=1)`).

    A loss that is no longer finite raises, and Tune marks the trial as failed; nothing that is not finite is reported.
    Every try of `FailureConfig(max_failures=N)` goes on from the last checkpoint and meets the same fault.

    Args:
        method: Name of a distillation method, such as "emd".
        task: Name of the task, or rows (`distill.own_data` makes them of files, data sets and lists); None is "cola",
            or what `task_file` among the options makes.
        layers: Layers of the student.
        progress: Takes one line at a time while data and teacher are made.
        **options: Options of the command by name (`teacher`, `data_dir`, `student`, `student_layers`, `recipe`,
            `augmented`, `epochs`, `seed`, `source`, `max_train_rows`, `artifacts`, `cpus_per_trial`, …),
            `settings` and `teacher_settings` as dicts, and training numbers by name (`batch_size=16`).

    Returns:
        A function of one dict, with the resources of a trial attached; `ray.tune.with_resources` replaces them.

    Raises:
        UserError: As the command: an unknown name, an illegal value, models or data that cannot be had or do not fit,
            a teacher that cannot teach.

    Example:
        >>> import search_spaces, trainables
        >>> from ray import tune
        >>> train = trainables.trainable("emd", task="cola-made-up", layers=3)  # doctest: +SKIP
        >>> space = search_spaces.load("emd").ray("cola", 3)  # doctest: +SKIP
        >>> tune.Tuner(train, param_space=space).fit()  # doctest: +SKIP
    """
    rows = task if isinstance(task, TaskData) else None
    config = _config(method, task, layers, options)
    from ray import tune

    from trainables.door_plan import plan_trials
    from trainables.door_trial import train

    spec = plan_trials(config, progress, rows)

    def function(config: dict[str, Any]) -> None:
        train(spec, config)

    # Ray names experiments by it and `Tuner.restore` asks for the same one.
    function.__name__ = function.__qualname__ = f"{method}_{spec['task']}_{spec['layers']}L".replace("-", "_")
    return tune.with_resources(function, {"cpu": config.cpus_per_trial, "gpu": spec["gpus"]})


def student_of(source: Any, out: str | os.PathLike[str] | None = None) -> Path:
    """The best student of a trial as a folder in Hugging Face form, with its tokenizer.

    Args:
        source: A `ray.tune.Result` (its newest checkpoint has the trial's best student so far), or a checkpoint.
        out: New or empty folder that it is copied to; None leaves it where it is, inside the checkpoint.

    Returns:
        The folder; `AutoModelForSequenceClassification.from_pretrained` reads it.

    Raises:
        UserError: There is no checkpoint, it is none of ours, it is in remote storage and `out` is not given, or `out`
            is not empty.
    """
    checkpoint = getattr(source, "checkpoint", source)
    if checkpoint is None:
        raise UserError(f"The result in {source.path} has no checkpoint: the trial ended before its first evaluation.")
    if not hasattr(checkpoint, "as_directory"):
        raise UserError(f"student_of takes a result or a checkpoint of Ray Tune, not a {type(source).__name__}.")
    target = None if out is None else Path(out).expanduser().absolute()
    if target is not None and target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"out {out} is there already and not an empty folder; name a new one.")
    from pyarrow.fs import LocalFileSystem

    if target is None and not isinstance(checkpoint.filesystem, LocalFileSystem):
        raise UserError(f"The checkpoint {checkpoint.path} is in remote storage; name a folder to copy to with out=.")
    with checkpoint.as_directory() as folder:
        found = Path(folder) / STUDENT
        if not (found / "config.json").exists():
            raise UserError(f"The checkpoint {checkpoint.path} holds no student; it is not from trainables.trainable.")
        if target is None:
            return found
        shutil.copytree(found, target, dirs_exist_ok=True)
    return target


def _config(method: str, task: str | TaskData | None, layers: int | None, options: dict[str, Any]) -> SweepConfig:
    """The options as the command would have them.

    Raises:
        UserError: A name is unknown or belongs elsewhere, or a value has another type or is out of range.
    """
    if not methods.get(method).needs_teacher:
        raise UserError(f"method {method} has no teacher; give your Tuner a method that distils.")
    kinds = {entry.name: str(entry.type) for entry in fields(SweepConfig) if entry.name not in _HIDDEN}
    settings, teacher_settings = (mapping(name, options.pop(name, None)) for name in ("settings", "teacher_settings"))
    values: dict[str, Any] = {"method": method}
    if isinstance(task, TaskData):
        for name in ("data_dir", "task_file", "source"):
            if options.get(name) is not None:
                raise UserError(f"trainable: {name} names rows, and task holds rows already; leave one of them out.")
    elif task is not None:
        values["task"] = _typed("task", task, "str")
    if layers is not None:
        values["layers"] = _typed("layers", layers, "int")
    for name, value in options.items():
        if name in _ELSEWHERE:
            raise UserError(f"trainable takes no {name}: that is decided by {_ELSEWHERE[name]}.")
        if name in kinds:
            if value is not None:
                values[name] = _typed(name, value, kinds[name])
        elif name in TRAINING_FIELDS:
            settings[name] = value
        else:
            known = [*(kind for kind in kinds if kind not in _ELSEWHERE), *TRAINING_FIELDS]
            raise UserError(f"trainable has no option {name}{nearest(name, known)}")
    for what, given in (("settings", settings), ("teacher_settings", teacher_settings)):
        for name, value in given.items():
            if isinstance(value, (list, tuple, dict)):
                raise UserError(f"{what}: {name} takes one value here; several go into the param_space of your Tuner.")
    values["set"] = [f"{name}={value}" for name, value in settings.items()]
    values["teacher_set"] = [f"{name}={value}" for name, value in teacher_settings.items()]
    # The plan is asked for its models and checks only; the points are the Tuner's.
    config = from_namespace({**values, "baseline": False, "scheduler": "none", "trials": 1}, [])
    if not isinstance(task, TaskData):
        return config
    return replace(config, task=OWN if task.task.own else task.task.name)


def _typed(name: str, value: Any, kind: str) -> Any:
    """`value` if it has the option's type; folders may be paths."""
    if name == "student_layers":
        listed = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
        if not listed or not all(isinstance(layer, int) and not isinstance(layer, bool) for layer in value):
            raise UserError(f"trainable: student_layers is {value!r}, expected layers such as (3, 6, 9, 12).")
        return tuple(value)
    if kind.startswith("str") and isinstance(value, (str, os.PathLike)):
        return os.fspath(value)
    word = kind.split(" ")[0]
    expected = {"int": (int,), "float": (int, float), "bool": (bool,)}.get(word, ())
    if not isinstance(value, expected) or (word != "bool" and isinstance(value, bool)):
        raise UserError(f"trainable: {name} is {value!r}, expected {word}.")
    return value
