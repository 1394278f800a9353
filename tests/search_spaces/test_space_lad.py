"""LAD's published settings, typed a second time."""

from __future__ import annotations

import pytest

import search_spaces
from distill import methods
from distill.published import for_task

# Student's rate, gates' rate, epochs, temperature, share of the soft labels, weight of the hidden states, steps between
# checkpoints, warm-up; then the teacher's rate, epochs, steps of warm-up, epochs of its schedule where it has more.
PUBLISHED = {
    "mnli": (1e-4, 5e-7, 4, 10, 0.5, 500, 2000, 0.1, 3e-5, 3, 10000, 0),
    "qnli": (1e-4, 1e-6, 4, 10, 0.5, 1000, 1000, 0.1, 3e-5, 3, 3274, 0),
    "qqp": (5e-4, 5e-7, 5, 10, 0.7, 1000, 3000, 0.1, 2e-5, 3, 10233, 0),
    "sst2": (1e-4, 1e-6, 20, 20, 0.5, 1000, 2000, 0.3, 2e-5, 3, 1894, 0),
    "mrpc": (7e-4, 5e-6, 20, 10, 0.5, 500, 50, 0.1, 7e-5, 3, 1, 0),
    "rte": (7e-4, 3e-5, 10, 10, 0.5, 1000, 50, 0.1, 7e-5, 3, 115, 5),
}


@pytest.fixture(scope="module")
def lad() -> search_spaces.SearchSpace:
    return search_spaces.load("lad")


def test_the_settings(lad: search_spaces.SearchSpace) -> None:
    assert {(row.task, row.layers) for row in lad.rows} == {(task, 6) for task in PUBLISHED}
    for row in lad.rows:
        lr, gate_lr, epochs, temperature, soft, hidden, steps, warmup, *teacher = PUBLISHED[row.task]
        assert row.values == {
            "soft": soft,
            "hard": pytest.approx(1 - soft),
            "hidden": hidden,
            "T": temperature,
            "gate_lr": gate_lr,
            "lr": lr,
        }
        assert search_spaces.canonical(row.source.split()[-1]) == row.task
        published = methods.get("lad").published
        assert published is not None
        found = for_task(published, lad, row.task)
        assert found.training == {
            "max_length": 128,
            "padding": "max_length",
            "epochs": epochs,
            "evaluation_steps": steps,
            **({"warmup": warmup} if warmup != 0.1 else {}),
        }
        assert (found.teacher["lr"], found.teacher["epochs"], found.teacher["keep"]) == (*teacher[:2], "last")
        assert (found.teacher["warmup_steps"], found.teacher.get("schedule_epochs", 0)) == (teacher[2], teacher[3])


def test_the_grid(lad: search_spaces.SearchSpace) -> None:
    published, _, ours = search_spaces.GRADES
    assert {a.name: {v.value: v.grade for v in a.values} for a in lad.axes} == {
        "soft": dict.fromkeys((0.5, 0.7), published),
        "hard": dict.fromkeys((0.3, 0.5), published),
        "hidden": dict.fromkeys((500, 1000), published),
        "T": dict.fromkeys((10, 20), published),
        "gate_lr": dict.fromkeys((5e-7, 1e-6, 5e-6, 3e-5), published),
        "lr": {**dict.fromkeys((1e-4, 5e-4, 7e-4), published), 5e-5: ours, 3e-4: ours},
    }
    assert lad.epochs.grade == ours
    assert (len(lad.grid()), len(lad.grid("published"))) == (320, 192)
    assert "no published row for task cola with 6 layers" in lad.missing_row("cola", 6)


def test_our_rates_are_for_pretrained_embeddings(lad: search_spaces.SearchSpace) -> None:
    modern, published = ({p.params["lr"] for p in lad.points("rte", 6, r)} for r in search_spaces.RECIPES)
    assert modern - published == {5e-5, 3e-4}
    assert published == {row.values["lr"] for row in lad.rows} == {1e-4, 5e-4, 7e-4}
    assert all("ours" not in axis.values[0].grade for axis in lad.active("published"))


@pytest.mark.parametrize(("task", "layers", "grade"), [("cola", 6, "task"), ("stsb", 4, "task"), ("rte", 4, "size")])
def test_values_of_other_tasks_and_sizes_are_ours(
    lad: search_spaces.SearchSpace, task: str, layers: int, grade: str
) -> None:
    marked = f"ours for this {grade}"
    for axis in lad.active("modern", task, layers):
        known = {v.value: v.grade for v in lad.axis(axis.name).values}
        assert {v.value: v.grade for v in axis.values} == {
            value: marked if was == "published" else was for value, was in known.items()
        }
    found = lad.points(task, layers)
    assert {grade for point in found for grade in point.grades.values()} == {marked, "ours"}
    assert {point.origin for point in found} == {"grid"}
    assert set(lad.point(None, "modern", task, layers).grades.values()) == {marked}
    assert {grade for point in lad.settings(task, layers) for grade in point.grades.values()} == {marked}


def test_values_of_a_published_setting_are_published(lad: search_spaces.SearchSpace) -> None:
    first, *rest = lad.points("rte", 6)
    assert set(first.grades.values()) == {"published"}
    assert {grade for point in rest for grade in point.grades.values()} == {"published", "ours"}
    # Without a task nothing is known of it.
    assert {grade for point in lad.grid() for grade in point.grades.values()} == {"published", "ours"}


def test_defaults_are_those_of_the_declaration(lad: search_spaces.SearchSpace) -> None:
    declared = methods.get("lad").resolve({}, "modern")
    assert {axis.name: axis.default for axis in lad.axes}.items() <= declared.items()
