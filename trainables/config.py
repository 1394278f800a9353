"""What a person asked: the command line over a configuration file over defaults. Imports without torch and Ray."""

from __future__ import annotations

import contextlib
import difflib
import math
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from distill.command_line import refuse_empty
from distill.errors import UserError
from distill.methods.base import nearest
from distill.models.folder import hub_id
from trainables import adaptors, budget, option_values, own_data, storage
from trainables.refused import check_scheduler

# What serves where nothing is named and the hub answers.
TEACHER = "google-bert/bert-base-uncased"
DATA = "nyu-mll/glue"
SEARCHES = ("published", "grid", "random", "tpe")
SCHEDULERS = ("asha", "median", "none")
DASHBOARDS = ("ray", "none")
RECIPES = ("modern", "published")
SOURCES = ("hub", "local", "embedded")
FINETUNING = ("auto", "always", "never")
LABEL_KINDS = ("classification", "regression")
STUDENT_INITS = ("pretrained", "teacher")
# What every generator of random numbers takes.
LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class SweepConfig:
    """One sweep as asked. None means: left to the plan.

    Attributes:
        metric: What chooses epochs and points in the place of the task's own metric; None leaves it to task and recipe.
        source: Where teacher, student and data come from; None takes what is named, then the hub, then what is
            embedded.
        task: Name of a known task; empty where `task_file` makes one.
        task_file: File, or data set on the hub, with the training rows.
        dev_file: File with the rows that choose.
        dev_split: The split of a data set on the hub that chooses.
        text_column, pair_column, label_column: What the columns of these files are called.
        label_kind: "classification" or "regression"; None is guessed.
        augmented: File with the rows that students train on instead of the task's own.
        finetune_teacher: Whether the teacher is trained here; "auto" leaves one alone that was trained for the task.
        sizes: Layer counts of several students, each swept in a folder of its own; then `layers` is None.
        methods: Several methods, each swept in a folder of its own; `method` is the first of them.
        beside: Methods that are swept beside this one in the same parent, so that nothing of theirs is run again here.
        device_seconds: What each sweep may use of the devices: a time such as "90m", "dearest" or "none"; None is
            "dearest" where there are several methods, else "none".
        select_on: Which rows choose epoch and configuration: "dev", or "train-holdout:SHARE".
        doc_stride, null_threshold: Of span tasks, as in `distill.tasks.base.Windows`; None is what is usual.
        teacher_filters, student_filters: Folders with what TED would train: the teacher's filters, and the fine-tuned
            student with its own.
        grace: Epochs before which nothing is stopped; None is 1, or no early stopping where that leaves no rung.
        confirm: "3x5": the best 3 again with 5 fresh seeds when the search has ended.
        gpus_per_trial: A number, or "auto" for a share measured on the device.
        time_budget: Such as "90m"; None is unlimited.
        cache_gb: Largest size of the teacher's hidden states and attention scores on disk, in 1e9 bytes.
        artifacts_gb: Size that the store is kept below; None is unlimited.
        address: Of a running Ray cluster; None starts Ray on this machine.
        dashboard: "ray", or "none" where Ray is started without it.
        storage: Any fsspec path that every node reaches; None where all see this machine's folders.
        settings: `--set`: hyper-parameters of method or training, each with the values to run.
        teacher_settings: `--teacher-set`: numbers of the teacher's own training.
        command: The arguments as typed.
    """

    method: str = "emd"
    task: str = "cola"
    metric: str | None = None
    recipe: str = "modern"
    space: str | None = None
    source: str | None = None
    layers: int | None = None
    sizes: tuple[int, ...] = ()
    methods: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    teacher: str | None = None
    student: str | None = None
    student_layers: tuple[int, ...] | None = None
    student_init: str | None = None
    data_dir: str | None = None
    task_file: str | None = None
    dev_file: str | None = None
    dev_split: str | None = None
    text_column: str | None = None
    pair_column: str | None = None
    label_column: str | None = None
    label_kind: str | None = None
    augmented: str | None = None
    max_train_rows: int | None = None
    doc_stride: int | None = None
    null_threshold: float | None = None
    epochs: int | None = None
    trials: int | None = None
    seed: int = 0
    baseline: bool = True
    select_on: str = "dev"
    confirm: str | None = None
    search: str = "grid"
    scheduler: str = "asha"
    grace: float | None = None
    reduction_factor: int | None = None
    cpus_per_trial: float = 1.0
    gpus_per_trial: float | str | None = None
    max_concurrent: int | None = None
    time_budget: str | None = None
    device_seconds: str | None = None
    max_failures: int | None = None
    max_consecutive_failures: int = 5
    cache_gb: float = 8.0
    finetune_teacher: str = "auto"
    teacher_lr: float | None = None
    teacher_epochs: int | None = None
    teacher_seed: int = 0
    allow_weak_teacher: bool = False
    teacher_filters: str | None = None
    student_filters: str | None = None
    keep_students: int = 3
    out: str | None = None
    artifacts: str | None = None
    artifacts_gb: float | None = None
    address: str | None = None
    dashboard: str = "ray"
    storage: str | None = None
    settings: dict[str, list[Any]] = field(default_factory=dict)
    teacher_settings: dict[str, Any] = field(default_factory=dict)
    command: tuple[str, ...] = ()

    @property
    def gpu_share(self) -> float | None:
        """`gpus_per_trial` as a number; None where it is to be found out, NaN where it is neither."""
        if self.gpus_per_trial in (None, "auto"):
            return None
        try:
            return float(str(self.gpus_per_trial))
        except ValueError:
            return math.nan

    def as_dict(self) -> dict[str, Any]:
        """Plain data for the record."""
        return asdict(self)


_FOLDERS = ("data_dir", "augmented", "artifacts", "out", "space", "teacher_filters", "student_filters")


def from_namespace(values: dict[str, Any], command: list[str]) -> SweepConfig:
    """Merge the command line over `--config` over defaults and check every number.

    Args:
        values: The parsed namespace, holding only what was typed.

    Raises:
        UserError: A name is unknown or a number out of range.
    """
    values = dict(values)
    refuse_empty(values)
    merged = read_config(values.pop("config")) if "config" in values else {}
    refuse_empty(merged)
    typed, of_file = _assignments("--set", values.pop("set", [])), merged.pop("settings", {})
    listed_there = merged.get("methods") or (merged.get("method", SweepConfig.method),)
    method = str(values.get("method") or ",".join(listed_there))
    of_file = adaptors.spread(merged.pop("adaptors", None), method, of_file, "--config: adaptors", "set")
    typed = adaptors.spread(values.pop("adaptors", None), method, typed, "--adaptors", "--set")
    # One number by two names: what is typed counts, whichever name the file has.
    if "epochs" in typed:
        merged.pop("epochs", None)
    if "epochs" in values:
        of_file.pop("epochs", None)
    settings = {**of_file, **typed}
    for name, listed in settings.items():
        if not listed:
            raise UserError(f"--set {name} has no value; write NAME=V1,V2.")
    teacher_settings = dict(merged.pop("teacher_settings", {}))
    typed = _assignments("--teacher-set", values.pop("teacher_set", []))
    if "epochs" in typed:
        merged.pop("teacher_epochs", None)
    if "teacher_epochs" in values:
        teacher_settings.pop("epochs", None)
    for name, listed in typed.items():
        if len(listed) != 1:
            raise UserError(f"--teacher-set {name} takes one value, not {len(listed)}.")
        teacher_settings[name] = listed[0]
    for name in ("resume", "dry_run", "allow_changed"):
        values.pop(name, None)
    with contextlib.suppress(KeyError, ValueError):
        # "auto", and what is no number, stays a text.
        values["gpus_per_trial"] = float(values["gpus_per_trial"])
    if isinstance(values.get("layers"), str):
        values |= option_values.sizes("--layers", values.pop("layers"))
        merged.pop("sizes", None)
    if "method" in values:
        values |= option_values.several("--method", values["method"])
    if isinstance(values.get("student_layers"), str):
        values["student_layers"] = _layers(values["student_layers"])
    values = own_data.settle({**merged, **values})
    for name in _FOLDERS:
        # A sweep may be resumed, and its best.yaml read, from another working directory.
        if values.get(name):
            values[name] = absolute(values[name])
    if values.get("storage"):
        values["storage"] = storage.normal(values["storage"])
    for name in ("teacher", "student"):
        if values.get(name) and (values.get("source") == "local" or hub_id(values[name]) is None):
            values[name] = absolute(values[name])
    config = replace(
        SweepConfig(), **values, settings=settings, teacher_settings=teacher_settings, command=tuple(command)
    )
    check(config)
    return config


def _assignments(flag: str, texts: list[str]) -> dict[str, list[Any]]:
    """`NAME=V1,V2` arguments as name to list of texts; the last of a name counts."""
    found: dict[str, list[Any]] = {}
    for text in texts:
        name, _, listed = text.partition("=")
        if not listed.strip(" ,") or not name.strip():
            raise UserError(f"{flag} {text} is not of the form NAME={'V1,V2' if flag == '--set' else 'VALUE'}.")
        values = [value.strip() for value in listed.split(",")]
        if not all(values):
            raise UserError(f"{flag} {text} has an empty value between its commas; take a comma out.")
        found[name.strip()] = values
    return found


def absolute(path: str) -> str:
    """`path` as seen from any working directory."""
    return str(Path(path).expanduser().absolute())


def read_config(file: str) -> dict[str, Any]:
    """Options from a YAML file (`set:` holds the hyper-parameters), checked by name.

    Raises:
        UserError: The file is missing, not YAML, or names an unknown option.
    """
    import yaml

    try:
        content = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"--config {file} does not exist.") from error
    except OSError as error:
        raise UserError(f"--config {file} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"--config {file} is not valid YAML: {' '.join(str(error).split())[:160]}") from error
    if not isinstance(content, dict):
        raise UserError(f"--config {file} must hold options as NAME: VALUE.")
    content.pop("schema", None)
    hidden = {"settings", "teacher_settings", "command", "sizes", "methods", "beside"}
    options = {f.name: f for f in fields(SweepConfig) if f.name not in hidden}
    lists = ("set", "teacher_set", "adaptors")
    found: dict[str, Any] = {}
    for name, value in content.items():
        key = str(name).replace("-", "_")
        if key == "set":
            if not isinstance(value, dict):
                raise UserError(f"--config {file}: set must hold hyper-parameters as NAME: VALUE.")
            found["settings"] = {str(n): list(v) if isinstance(v, list) else [v] for n, v in value.items()}
        elif key == "adaptors" and value is not None:
            found[key] = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        elif key in ("teacher_set", "teacher_settings"):
            if not isinstance(value, dict) or any(isinstance(v, (list, dict)) for v in value.values()):
                raise UserError(f"--config {file}: teacher_set must hold numbers as NAME: VALUE.")
            found["teacher_settings"] = {str(n): v for n, v in value.items()}
        elif key in (*options, "adaptors"):
            # Nothing after the colon leaves the option at its default.
            if value is not None and key == "layers" and isinstance(value, list):
                found |= option_values.sizes(f"--config {file}: layers", ",".join(map(str, value)))
            elif value is not None and key == "method":
                listed = ",".join(map(str, value)) if isinstance(value, list) else _typed(key, value, file)
                found |= option_values.several(f"--config {file}: method", listed)
            elif value is not None:
                found[key] = _typed(key, value, file)
        else:
            raise UserError(f"--config {file} has an unknown option {name}{nearest(key, [*options, *lists])}")
    return found


def _typed(name: str, value: Any, file: str) -> Any:
    """A value of a configuration file in its option's type."""
    kind = str(next(f.type for f in fields(SweepConfig) if f.name == name))
    if name == "student_layers":
        return _layers(",".join(map(str, value)) if isinstance(value, list) else str(value))
    if name in ("time_budget", "device_seconds") and not isinstance(value, str):
        raise UserError(f"--config {file}: {name} is {value!r}, expected a time such as 45s, 90m, 8h, 1h30m or 2d.")
    expected: tuple[type, ...] = (str,)
    if name == "gpus_per_trial" and value == "auto":
        return value
    if kind.startswith("bool"):
        expected = (bool,)
    elif kind.startswith("int"):
        expected = (int,)
    elif kind.startswith("float"):
        expected = (int, float)
        if isinstance(value, str):
            # YAML 1.1 takes a number with an exponent but no point, such as 5e-5, for a text.
            with contextlib.suppress(ValueError):
                value = float(value)
    if not isinstance(value, expected) or (expected != (bool,) and isinstance(value, bool)):
        raise UserError(f"--config {file}: {name} is {value!r}, expected {kind.split(' ')[0]}.")
    return value


def _layers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--student-layers {text} is not a list of numbers such as 3,6,9,12.") from None


def check(config: SweepConfig) -> None:
    """Numbers that are wrong whatever the models and data are.

    Raises:
        UserError: Naming the flag.
    """
    lowest = {
        "layers": 1,
        "epochs": 1,
        "trials": 1,
        "reduction_factor": 2,
        "max_failures": 1,
        "max_consecutive_failures": 1,
        "max_concurrent": 1,
        "max_train_rows": 2,
        "doc_stride": 0,
        "teacher_epochs": 1,
        "keep_students": 1,
        "seed": 0,
        "teacher_seed": 0,
    }
    for name, low in lowest.items():
        value = getattr(config, name)
        if value is not None and value < low:
            raise UserError(f"--{name.replace('_', '-')} {value} is too small; the least is {low}.")
    for name in ("seed", "teacher_seed"):
        if (seed := getattr(config, name)) > LARGEST_SEED:
            raise UserError(f"--{name.replace('_', '-')} {seed} is too large; the largest is {LARGEST_SEED}.")
    if not 0 < config.cpus_per_trial < math.inf:
        raise UserError(f"--cpus-per-trial {config.cpus_per_trial:g} must be a number above 0.")
    if (share := config.gpu_share) is not None and not 0 <= share < math.inf:
        raise UserError(f"--gpus-per-trial {config.gpus_per_trial} must be 0 or a number above it, or auto.")
    if config.null_threshold is not None and not math.isfinite(config.null_threshold):
        raise UserError(f"--null-threshold {config.null_threshold:g} must be a finite number.")
    if not 0 <= config.cache_gb < math.inf:
        raise UserError(f"--cache-gb {config.cache_gb:g} must be 0 or a number above it.")
    if config.time_budget is not None:
        budget.seconds(config.time_budget)
    if config.device_seconds is not None:
        option_values.check_device_seconds(config)
    if config.artifacts_gb is not None and not 0 < config.artifacts_gb < math.inf:
        raise UserError(f"--artifacts-gb {config.artifacts_gb:g} must be a number above 0.")
    if config.grace is not None and not 0 < config.grace < math.inf:
        raise UserError(f"--grace {config.grace:g} must be a number of epochs above 0.")
    if any(size < 1 for size in config.sizes):
        raise UserError(f"--layers {','.join(map(str, config.sizes))}: the least is 1.")
    if config.teacher_lr is not None and not 0 < config.teacher_lr < 1:
        raise UserError(f"--teacher-lr {config.teacher_lr:g} must lie between 0 and 1.")
    # Late, because --help must not wait for numpy.
    from distill.tasks.holdout import parse, refuse_augmented

    if parse(config.select_on) is not None and config.augmented:
        refuse_augmented(config.select_on, augmented=f"--augmented {config.augmented}")
    own_data.check(config)
    if config.student and (config.student_layers or config.student_init):
        raise UserError("--student names a whole encoder; --student-layers and --student-init shape a truncated one.")
    if config.confirm is not None:
        option_values.parse_confirm(config.confirm)
    words = {
        "search": SEARCHES,
        "student_init": STUDENT_INITS,
        "label_kind": LABEL_KINDS,
        "recipe": RECIPES,
        "source": SOURCES,
        "finetune_teacher": FINETUNING,
        "dashboard": DASHBOARDS,
    }
    check_scheduler(config.scheduler, SCHEDULERS)
    for name, known in words.items():
        word = getattr(config, name)
        if word is not None and word not in known:
            close = difflib.get_close_matches(word, known, n=1, cutoff=0.0)[0]
            raise UserError(f"--{name.replace('_', '-')} {word} is unknown; did you mean {close}?")
