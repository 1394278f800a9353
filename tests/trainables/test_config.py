from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from distill.artifacts import PLACE
from distill.errors import UserError
from trainables.config import SweepConfig, from_namespace, read_config
from trainables.options import parser
from trainables.sweep import main


def asked(*arguments: str) -> SweepConfig:
    return from_namespace(vars(parser().parse_args(arguments)), list(arguments))


def test_defaults() -> None:
    config = asked()
    assert (config.method, config.task, config.scheduler, config.seed, config.baseline) == (
        "emd",
        "cola",
        "asha",
        0,
        True,
    )
    assert config.layers is None
    assert config.settings == {}


EVERY_OPTION = (
    "--method kd --task rte --layers 6 --trials 3 --no-baseline --seed 7 --epochs 9 --scheduler none "
    "--grace 2 --reduction-factor 4 --cpus-per-trial 0.5 --gpus-per-trial 0.25 --max-concurrent 3 "
    "--teacher-lr 1e-4 --teacher-epochs 2 --teacher-seed 5 --allow-weak-teacher --keep-students 1 "
    "--max-train-rows 100 --student-layers 1,2 --student-init teacher --set T=1,2 --set lr=1e-5 --recipe published "
    "--space /s.yaml --augmented /a.tsv --source hub --finetune-teacher never --teacher-set clip=2 "
    "--teacher-set batch_size=8"
)


def test_every_option_arrives() -> None:
    config = asked(*EVERY_OPTION.split())
    assert config.as_dict() == {
        **SweepConfig().as_dict(),
        **{"method": "kd", "task": "rte", "layers": 6, "trials": 3, "baseline": False, "seed": 7, "epochs": 9},
        **{"scheduler": "none", "grace": 2, "reduction_factor": 4, "cpus_per_trial": 0.5, "gpus_per_trial": 0.25},
        **{"max_concurrent": 3, "teacher_lr": 1e-4, "teacher_epochs": 2, "teacher_seed": 5, "keep_students": 1},
        **{"allow_weak_teacher": True, "max_train_rows": 100, "student_layers": (1, 2), "student_init": "teacher"},
        **{"settings": {"T": ["1", "2"], "lr": ["1e-5"]}, "command": config.command, "recipe": "published"},
        **{"space": "/s.yaml", "augmented": "/a.tsv", "source": "hub", "finetune_teacher": "never"},
        **{"teacher_settings": {"clip": "2", "batch_size": "8"}},
    }


def test_command_line_over_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("task: rte\nepochs: 7\nseed: 3\nkeep-students: 9\n")
    config = asked("--config", str(file), "--epochs", "2")
    assert (config.task, config.epochs, config.seed, config.keep_students, config.method) == ("rte", 2, 3, 9, "emd")


def test_set_of_the_command_line_replaces_the_files(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("set: {lr: [1.0e-5, 2.0e-5], T: 3, hidden: false}\n")
    config = asked("--config", str(file), "--set", "lr=5e-5")
    assert config.settings == {"lr": ["5e-5"], "T": [3], "hidden": [False]}


def test_folders_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = asked("--data-dir", "glue", "--teacher", "~/bert", "--out", "/x/../y")
    assert config.data_dir == str(tmp_path / "glue")
    assert config.teacher == str(Path.home() / "bert")
    assert config.artifacts is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epoch: 3\n", "unknown option epoch; did you mean epochs?"),
        ("epochs: three\n", "epochs is 'three', expected int"),
        ("epochs: 2.5\n", "expected int"),
        ("epochs: true\n", "expected int"),
        ("baseline: 1\n", "expected bool"),
        ("task: 3\n", "expected str"),
        ("cpus_per_trial: .nan\n", "must be a number above 0"),
        ("student_layers: [1, x]\n", "not a list of numbers"),
        ("student_layers: [1, 2.5]\n", "not a list of numbers"),
        ("student_init: teachr\n", "did you mean teacher?"),
        ("scheduler: ashe\n", "did you mean asha?"),
        ("set: [1, 2]\n", "set must hold hyper-parameters"),
        ("set: {lr: []}\n", "--set lr has no value"),
        ("- 1\n", "must hold options"),
        ("a: [\n", "not valid YAML"),
        ("", "must hold options"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        asked("--config", str(file))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_config(str(tmp_path / "none.yaml"))
    with pytest.raises(UserError, match="cannot be read"):
        read_config(str(tmp_path))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not valid YAML"):
        read_config(str(tmp_path / "binary"))


@pytest.mark.parametrize(
    "arguments",
    [
        "--layers 0",
        "--epochs 0",
        "--epochs -3",
        "--trials 0",
        "--grace 0",
        "--reduction-factor 1",
        "--max-concurrent 0",
        "--max-train-rows 1",
        "--teacher-epochs 0",
        "--keep-students 0",
        "--seed -1",
        f"--seed {2**64}",
        "--teacher-seed -1",
        "--cpus-per-trial 0",
        "--cpus-per-trial -1",
        "--cpus-per-trial nan",
        "--cpus-per-trial inf",
        "--gpus-per-trial -0.5",
        "--gpus-per-trial nan",
        "--teacher-lr 0",
        "--teacher-lr 1",
        "--teacher-lr nan",
        "--student-layers 1,,2",
        "--student-layers one",
        "--set lr",
        "--set =3",
        "--set lr=",
        "--set lr=,",
        "--student x --student-layers 1,2",
        "--student x --student-init teacher",
        "--layers four",
        "--layers 2,0",
        "--scheduler bohb",
        "--gpus-per-trial some",
        "--cache-gb -1",
    ],
)
def test_bad_values_name_their_flag(arguments: str) -> None:
    with pytest.raises(UserError) as caught:
        asked(*arguments.split())
    flag = arguments.split()[0]
    assert flag in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("arguments", ["--search bohb", "--no-such-flag", "--layers"])
def test_what_the_parser_refuses_is_one_line_and_code_2(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        asked(*arguments.split())
    said: Any = capsys.readouterr()
    assert left.value.code == 2
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_models_are_folders_where_there_is_one_and_hub_ids_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "name").mkdir(parents=True)
    config = asked("--teacher", "org/name", "--student", "org/other@v1.0")
    assert config.teacher == str(tmp_path / "org" / "name")
    assert config.student == "org/other@v1.0"
    assert asked("--student", "./org/other").student == str(tmp_path / "org" / "other")
    assert asked("--source", "local", "--student", "org/other").student == str(tmp_path / "org" / "other")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--teacher-set", "clip=1,2"), "--teacher-set clip takes one value, not 2"),
        (("--teacher-set", "clip"), "--teacher-set clip is not of the form NAME=VALUE"),
        (("--set", "=1"), "not of the form NAME=V1,V2"),
        (("--set", "lr= "), "not of the form NAME=V1,V2"),
        (("--set", "lr=1e-5,,2e-5"), "--set lr=1e-5,,2e-5 has an empty value between its commas; take a comma out"),
        (("--set", "lr=1e-5,"), "has an empty value between its commas"),
    ],
)
def test_assignments_that_are_refused(arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(UserError, match=said):
        asked(*arguments)


def test_a_file_may_hold_the_teachers_numbers(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("teacher_set: {clip: 2, batch_size: 8}\nrecipe: published\n")
    config = asked("--config", str(file), "--teacher-set", "clip=3")
    assert config.teacher_settings == {"clip": "3", "batch_size": 8}
    assert config.recipe == "published"
    file.write_text("teacher_set: {clip: [1, 2]}\n")
    with pytest.raises(UserError, match="teacher_set must hold numbers"):
        asked("--config", str(file))
    file.write_text("recipe: publishd\n")
    with pytest.raises(UserError, match="--recipe publishd is unknown; did you mean published"):
        asked("--config", str(file))


NAMED = (
    "out",
    "storage",
    "teacher",
    "student",
    "data-dir",
    "augmented",
    "artifacts",
    "space",
    "config",
    "address",
    "time-budget",
)


@pytest.mark.parametrize("name", NAMED)
def test_an_empty_value_is_no_name(name: str, tmp_path: Path) -> None:
    said = f"--{name} is empty, as from a shell variable that is not set; give it a value, or leave it out"
    for empty in ("", "  "):
        with pytest.raises(UserError, match=said):
            asked(f"--{name}", empty)
    if name != "config":
        (tmp_path / "c.yaml").write_text(f"{name}: ''\n")
        with pytest.raises(UserError, match=said):
            asked("--config", str(tmp_path / "c.yaml"))


def test_a_resumed_session_takes_no_empty_value_either(capsys: pytest.CaptureFixture[str]) -> None:
    for more in (["--resume", ""], ["--resume", "s", "--address", ""], ["--resume", "s", "--storage", " "]):
        assert main(more) == 2
        assert f"error: {more[-2]} is empty, as from a shell variable" in capsys.readouterr().err


def test_the_names_that_the_page_on_settings_gives_a_file(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "baseline: false\nallow_weak_teacher: true\nlayers: [2, 3]\nstudent_layers: [3, 6]\ntime_budget: 90m\nepochs:\n"
    )
    found = asked("--config", str(tmp_path / "c.yaml"))
    assert (found.baseline, found.allow_weak_teacher, found.sizes) == (False, True, (2, 3))
    assert (found.student_layers, found.time_budget, found.epochs) == ((3, 6), "90m", None)
    for name in ("config", "resume", "allow_changed", "dry_run", "no_baseline"):
        (tmp_path / "c.yaml").write_text(f"{name}: true\n")
        with pytest.raises(UserError, match=f"unknown option {name}"):
            asked("--config", str(tmp_path / "c.yaml"))


def test_help_names_the_variable_of_the_store() -> None:
    assert f"(default: ${PLACE}, else distill-tune/artifacts in" in " ".join(parser().format_help().split())


def test_a_time_that_is_a_number_is_told_its_form(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("time_budget: 90\n")
    with pytest.raises(UserError, match=r"time_budget is 90, expected a time such as 45s, 90m, 8h, 1h30m or 2d\."):
        asked("--config", str(tmp_path / "c.yaml"))
