"""Several methods in one command: which sweeps they are, what each takes of what was asked, what is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from distill import methods
from distill.errors import UserError
from tests.trainables.test_bad_input import snapshot
from tests.trainables.test_family import Ask, ask, without_time
from trainables import children, family, plan, sweep
from trainables.config import SweepConfig, from_namespace
from trainables.families import read_family
from trainables.teacher_source import kept_outputs

__all__ = ["ask"]

Plans = dict[str, dict[str, Any]]


def plans(ask: Ask, *typed: str) -> Plans:
    planned = family.plan_family(ask(*typed))
    return {name: header["plan"] for name, header in planned.headers.items()}


def test_a_folder_for_each_method_or_method_and_size(ask: Ask) -> None:
    assert list(plans(ask, "--method", "ft,kd,emd", "--layers", "2")) == ["ft", "kd", "emd"]
    both = plans(ask, "--method", "kd,emd", "--layers", "1,2")
    assert list(both) == ["kd-1L", "kd-2L", "emd-1L", "emd-2L"]
    assert [(one["method"], one["layers"]) for one in both.values()] == [("kd", 1), ("kd", 2), ("emd", 1), ("emd", 2)]


def test_one_teacher_one_data_set_and_students_that_are_cut_alike(ask: Ask) -> None:
    found = plans(ask, "--method", "ft,kd,emd", "--layers", "2")
    for name in ("teacher", "student", "task", "numerics", "select_on"):
        assert len({str(one[name]) for one in found.values()}) == 1, name
    # Published students of kd keep the first layers, those of emd are spread evenly: here all are.
    assert found["kd"]["student"]["kept"] == [2, 4]
    alone = plans(ask, "--method", "ft,kd", "--layers", "2")
    assert {str(one["student"]["kept"]) for one in alone.values()} == {"[1, 2]"}
    asked = plans(ask, "--method", "ft,kd,emd", "--student-layers", "1,4")
    assert {str(one["student"]["kept"]) for one in asked.values()} == {"[1, 4]"}


def test_students_of_methods_that_start_otherwise_start_alike(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    known = methods.get

    def other(name: str) -> methods.Method:
        return replace(known(name), student_inits=("teacher", "pretrained")) if name == "kd" else known(name)

    monkeypatch.setattr(methods, "get", other)
    found = plans(ask, "--method", "ft,kd,emd", "--layers", "2")
    assert {one["student"]["init"] for one in found.values()} == {"pretrained"}
    found = plans(ask, "--method", "ft,kd", "--layers", "2")
    assert {one["student"]["init"] for one in found.values()} == {"teacher"}


def test_undistilled_students_are_swept_once_instead_of_beside_each_method(ask: Ask) -> None:
    def baselines(found: Plans) -> dict[str, int]:
        return {name: children.baselines(one) for name, one in found.items()}

    with_ft = plans(ask, "--method", "ft,kd,emd", "--layers", "2")
    assert baselines(with_ft) == {"ft": 0, "kd": 0, "emd": 0}
    assert {point["params"]["lr"] for point in with_ft["ft"]["points"]} == {5e-5, 1e-4}
    assert {point["method"] for point in with_ft["ft"]["points"]} == {"ft"}
    assert with_ft["ft"]["teacher_source"]["kind"] == "none"
    assert kept_outputs(with_ft["ft"]) == []
    assert baselines(plans(ask, "--method", "kd,emd", "--layers", "2")) == {"kd": 1, "emd": 1}
    assert baselines(plans(ask, "--method", "kd,emd", "--layers", "2", "--no-baseline")) == {"kd": 0, "emd": 0}


def test_a_setting_reaches_the_methods_that_have_it(ask: Ask) -> None:
    typed = ("--method", "ft,kd,emd", "--layers", "2", "--set", "beta=0.005", "--set", "lr=1e-4", "--set", "T=2,3")
    found = family.plan_family(ask(*typed)).headers
    asked = {name: set(header["config"]["settings"]) for name, header in found.items()}
    assert asked == {"ft": {"lr"}, "kd": {"lr", "T"}, "emd": {"beta", "lr", "T"}}
    assert {point["params"]["T"] for point in found["kd"]["plan"]["points"]} == {2.0, 3.0}
    assert [word for word in found["kd"]["command"] if "=" in word] == ["lr=1e-4", "T=2,3"]


def test_a_childs_command_asks_for_the_same_student_and_settings(ask: Ask, tmp_path: Path) -> None:
    typed = ("--method", "ft,kd,emd", "--layers", "2", "--set", "beta=0.005", "--device-seconds", "1h")
    headers = family.plan_family(ask(*typed, "--out", str(tmp_path / "p"))).headers
    for name, header in headers.items():
        own = list(header["command"])
        again = plan.make(from_namespace(_parsed(own), own))
        told, meant = without_time(again), without_time(header)
        assert told.pop("config") | {"beside": ()} == meant.pop("config") | {"beside": ()}, name
        assert told == meant


def test_a_file_for_all_is_written_out_for_each(ask: Ask, tmp_path: Path) -> None:
    """One that lacks a setting of the file would be refused with it."""
    file = tmp_path / "c.yaml"
    file.write_text(
        "method: [kd, mixstep]\nlayers: 2\ndevice_seconds: 1h\nallow_weak_teacher: true\nbaseline: false\nepochs: 3\n"
        "set: {hard: 0.5, lr: [1e-4, 3e-5]}\nadaptors: [LogitMSE]\nteacher_set: {batch_size: 16}\ncache_gb: 2.5\n"
    )
    headers = family.plan_family(ask("--config", str(file), "--out", str(tmp_path / "p"))).headers
    for name, header in headers.items():
        own = list(header["command"])
        assert "--config" not in own
        assert ("hard=0.5" in own) == (name == "mixstep")
        again = plan.make(from_namespace(_parsed(own), own))
        assert [point["hash"] for point in again["plan"]["points"]] == [
            point["hash"] for point in header["plan"]["points"]
        ]
        told, meant = without_time(again)["config"], without_time(header)["config"]
        for one in (told, meant):
            one["beside"], one["settings"] = (), {n: sorted(map(float, v)) for n, v in one["settings"].items()}
            one["teacher_settings"] = {n: float(v) for n, v in one["teacher_settings"].items()}
        assert told == meant, name


def _parsed(typed: list[str]) -> dict[str, Any]:
    from trainables.options import parser

    return vars(parser().parse_args(typed))


def test_points_that_run_in_any_case(ask: Ask) -> None:
    def least(*typed: str) -> dict[str, Any]:
        found = plans(ask, "--method", "ft,kd,emd", "--layers", "2", *typed)
        return {name: one["device_seconds"] for name, one in found.items()}

    three = {"rule": "dearest", "trials": 3}
    assert least() == {"ft": {**three, "trials": 2}, "kd": three, "emd": three}
    assert list(least("--device-seconds", "90m").values()) == [{"rule": "seconds", "seconds": 5400.0}] * 3
    assert list(least("--device-seconds", "none").values()) == [None] * 3
    # A method has its whole grid at hand while its share lasts, unless points are counted alone.
    found = plans(ask, "--method", "kd,emd", "--layers", "2")
    assert len(found["kd"]["points"]) == 36 + 1
    for limit in ("none", "1h"):
        found = plans(ask, "--method", "kd,emd", "--layers", "2", "--device-seconds", limit)
        assert [len(one["points"]) for one in found.values()] == [4, 4]


def test_without_a_number_of_trials_the_smallest_grid_says_it(ask: Ask) -> None:
    typed = list(ask().command)
    at = typed.index("--trials")
    typed[at : at + 2] = ["--method", "ft,kd,emd", "--layers", "2"]
    planned = family.plan_family(from_namespace(_parsed(typed), typed))
    found = {name: header["plan"]["device_seconds"]["trials"] for name, header in planned.headers.items()}
    sizes = {name: len(header["plan"]["points"]) for name, header in planned.headers.items()}
    assert found == {"ft": 2, "kd": 36, "emd": 36}
    assert sizes["emd"] > 36


def test_draws_go_on_behind_the_number_that_was_asked_for(ask: Ask) -> None:
    found = plans(ask, "--method", "ft,kd", "--layers", "2", "--search", "random", "--trials", "5")
    assert [one["device_seconds"]["trials"] for one in found.values()] == [5, 5]
    assert [len(one["points"]) for one in found.values()] == [5, 36]
    found = plans(ask, "--method", "ft,kd", "--layers", "2", "--search", "tpe", "--trials", "5")
    assert [one["search"]["trials"] for one in found.values()] == [5, 36]


def test_the_plan_prints_the_share_of_each(ask: Ask) -> None:
    planned = family.plan_family(ask("--method", "ft,kd,emd", "--layers", "2"))
    lines = family.describe(planned)
    title = "fine-tuning without a teacher, knowledge distillation and BERT-EMD on cola, 2 layers"
    assert lines[0] == f"Sweeps: {title}, recipe modern, each in a folder of its own."
    shares = [line.strip() for line in lines if line.strip().startswith("Device-seconds:")]
    rest = "then as many as the dearest sweep beside it takes for its own."
    assert shares == [f"Device-seconds: {points} points in any case, {rest}" for points in (2, 3, 3)]
    assert any(line.startswith("Device-seconds by arithmetic: ft about ") for line in lines)
    kd = lines[lines.index("kd:") : lines.index("emd:")]
    assert sum("[grid]" in line for line in kd) == 3
    assert "  and up to 33 more of them, while its device-seconds last." in [line[2:] for line in kd]
    assert sum("Teacher: " in line for line in lines) == 1


def test_arithmetic_gives_the_cheaper_method_more_trials() -> None:
    def posed(seconds: float, points: int, least: int, stages: float = 0.0) -> dict[str, Any]:
        return {
            "estimate": {
                **{"seconds": 10 + stages + seconds * points, "teacher_seconds": 10, "trials": points},
                "stage_seconds": stages,
            },
            "resources": {"gpus_per_trial": 0.5, "cpus_per_trial": 1.0, "max_concurrent": 4},
            "device_seconds": {"rule": "dearest", "trials": least},
            "points": [],
            "layers": 4,
        }

    found = children.device_estimates([posed(100, 50, 8), posed(20, 30, 8), posed(20, 50, 8)])
    assert [one["each"] for one in found] == [200, 40, 40]
    assert [one["trials"] for one in found] == [8, 30, 40]
    assert [one["seconds"] for one in found] == [1600, 1200, 1600]
    # What is made before the trials is paid in any case, however few of them there are.
    found = children.device_estimates([posed(20, 50, 8, stages=300), posed(20, 50, 8)])
    assert [(one["shared"], one["trials"], one["seconds"]) for one in found] == [(600, 8, 920), (0, 23, 920)]


def test_the_parent_is_read_back_and_a_lost_child_planned_again(ask: Ask) -> None:
    config = ask("--method", "kd,emd", "--layers", "1,2", "--student-init", "teacher")
    planned = family.plan_family(config)
    assert planned.parent.name.startswith("kd-emd-cola-1-2L-")
    with family.created(planned):
        pass
    assert family.config_of(read_family(planned.parent)) == config
    shutil.rmtree(planned.parent / "kd-2L")
    with family.reopened(planned.parent, False) as (recorders, _):
        again = {recorder.path.name: recorder.record.plan for recorder in recorders}
    for name, header in planned.headers.items():
        assert again[name]["device_seconds"] == header["plan"]["device_seconds"]
        assert [p["hash"] for p in again[name]["points"]] == [p["hash"] for p in header["plan"]["points"]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--method ft,kdd", ("--method kdd", "did you mean kd?")),
        ("--method ft,,kd", ("--method ft,,kd", "empty name")),
        ("--method ft,kd --set beta=1", ("--set beta", "none of ft and kd has it")),
        ("--method ft,kd --set lrr=1", ("--set lrr", "did you mean lr?")),
        ("--method ft,kd --recipe published", ("ft has only the modern recipe", "--recipe modern")),
        ("--method ft,kd --space own.yaml", ("own.yaml is a grid of emd", "--method ft,kd")),
        ("--method ft,kd --device-seconds soon", ("--device-seconds soon", "8h", "dearest")),
        ("--method kd --device-seconds dearest", ("--device-seconds dearest", "several methods")),
        ("--method kd,emd --layers 1,2 --student x", ("--student", "leave one out")),
        ("--method emd,kd --layers 9", ("--layers 9", "1 to 4")),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_sentence(
    ask: Ask, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: str, said: tuple[str, ...]
) -> None:
    axes = "axes: {lr: {values: [1e-4]}}"
    (tmp_path / "own.yaml").write_text(f"method: emd\n{axes}\n")
    before = snapshot(tmp_path)
    typed = [*ask().command, "--layers", "2", *arguments.split()]
    assert sweep.main(typed) == 2
    text = capsys.readouterr().err
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    assert all(word in text for word in said), text
    assert snapshot(tmp_path) == before


def test_published_teachers_that_differ_are_refused_unless_one_is_ready(ask: Ask) -> None:
    headers = family.plan_family(ask("--method", "kd,emd", "--layers", "2")).headers
    children.check_teachers(headers)
    published = methods.get("kd").published
    assert published is not None
    teacher = headers["kd"]["plan"]["teacher"]
    teacher["lr"], teacher["training"] = 1e-3, {**teacher["training"], **published.training}
    said = r"kd and emd were published with teachers trained otherwise \(lr, .*optimizer.*\), and one command has one"
    with pytest.raises(UserError, match=said):
        children.check_teachers(headers)
    for header in headers.values():
        header["plan"]["teacher"]["mode"] = "ready"
    children.check_teachers(headers)


def test_a_grid_of_ones_own_is_for_its_method(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("method: kd\naxes: {lr: {values: [3e-5, 4e-5]}}\n")
    found = plans(ask, "--method", "ft,kd", "--layers", "2", "--space", str(tmp_path / "own.yaml"))
    assert {point["params"]["lr"] for point in found["kd"]["points"]} == {3e-5, 4e-5}
    assert {point["params"]["lr"] for point in found["ft"]["points"]} == {5e-5, 1e-4}


def test_methods_come_from_a_file_and_the_command_line_goes_over_it(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("method: [ft, kd]\nlayers: 2\ndevice_seconds: 2h\n")
    found = from_namespace({"config": str(file)}, [])
    assert (found.method, found.methods, found.device_seconds) == ("ft", ("ft", "kd"), "2h")
    found = from_namespace({"config": str(file), "method": "emd"}, [])
    assert (found.method, found.methods) == ("emd", ())
    file.write_text("method: [ft, kd]\ndevice_seconds: 90\n")
    with pytest.raises(UserError, match="device_seconds is 90, expected a time"):
        from_namespace({"config": str(file)}, [])


def test_one_name_said_twice_is_one_method() -> None:
    found = from_namespace({"method": "kd,kd"}, [])
    assert (found.method, found.methods) == ("kd", ())
    assert SweepConfig().methods == ()
