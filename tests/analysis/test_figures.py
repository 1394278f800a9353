"""Learning curves, slices and loss terms."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from analysis import curves, drawing, slices, terms
from tests.analysis.conftest import Build
from trainables.record import Record, read


def lines(record: Record) -> tuple[Any, dict[str, Any]]:
    """The learning curves and their lines by trial."""
    figure = curves.learning_curves(record)
    assert figure is not None
    return figure, {trace.name: trace for trace in figure.data}


def test_learning_curves(sweep: Build) -> None:
    record = read(sweep())
    figure, drawn = lines(record)
    assert set(drawn) == {"stops", *(trial.id for trial in record.trials.values() if trial.best)}
    assert drawn["ft"].line.dash == "dash"
    best = record.best_trial()
    assert best is not None
    others = [trace for name, trace in drawn.items() if name not in (best.id, "stops")]
    assert all(drawn[best.id].line.width > trace.line.width for trace in others)
    rungs = [shape.x0 for shape in figure.layout.shapes if shape.x0 == shape.x1]
    assert sorted(rungs) == record.plan["scheduler"]["rungs"]
    words = " ".join(str(note.text) for note in figure.layout.annotations)
    for word in ("teacher", "ft undistilled", "best", "rung 1", "rung 2"):
        assert word in words


def test_stops_say_by_which_cutoff(sweep: Build) -> None:
    record = read(sweep(hand=("p03",)))
    stops = lines(record)[1]["stops"]
    told = dict(zip((text.split("</b>")[0].removeprefix("<b>") for text in stops.text), stops.text, strict=True))
    early = {t.id for t in record.trials.values() if t.state in ("PRUNED", "FAIL")}
    assert set(told) == early
    for place, name in enumerate(told):
        trial = record.trials[name]
        assert trial.last is not None
        assert (stops.x[place], stops.y[place]) == (trial.last["epoch"], trial.last["value"])
        symbol = stops.marker.symbol[place]
        if trial.stop is not None:
            assert f"stopped at rung {trial.stop['rung']:g}: {trial.last['value']:.3f}" in told[name]
            assert f"is below the cutoff {trial.stop['cutoff']:.3f}" in told[name]
            assert symbol == "x"
    assert "stopped by hand after epoch 2" in told["p03"]
    assert stops.marker.symbol[list(told).index("p03")] == "square"
    assert "failed: RuntimeError: CUDA out of memory &lt;2 GiB&gt;" in told["p02"]
    assert stops.marker.symbol[list(told).index("p02")] == "triangle-down"


def test_fractional_epochs(sweep: Build) -> None:
    record = read(sweep(epochs=2, evaluations_per_epoch=4))
    figure, drawn = lines(record)
    assert list(drawn["ft"].x) == [0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]
    assert figure.layout.xaxis.range[0] < 0.25
    assert figure.layout.xaxis.range[1] >= 2
    assert [shape.x0 for shape in figure.layout.shapes if shape.x0 == shape.x1] == [1.0]


def test_of_many_trials_only_those_with_a_role_are_named(sweep: Build) -> None:
    record = read(sweep(points=24, embedded=False))
    figure, drawn = lines(record)
    named = {str(note.text).removeprefix("<b>").split()[0] for note in figure.layout.annotations if note.xshift == 8}
    best = record.best_trial()
    assert best is not None
    assert named == {best.id, "ft", "p00"}
    losers = set(drawn) - {*named, "stops"}
    assert len(losers) == 22
    assert all(drawn[name].opacity < 1 for name in losers)
    assert all(drawn[name].opacity == 1 for name in named)


def test_rungs_that_are_close_are_not_named_on_each_other(sweep: Build) -> None:
    figure, _ = lines(read(sweep(epochs=20, dev_rows=60)))
    assert sorted(shape.x0 for shape in figure.layout.shapes if shape.x0 == shape.x1) == [1, 2, 4, 8, 16]
    named = sorted(note.x for note in figure.layout.annotations if str(note.text).startswith("rung"))
    assert named == [4, 8, 16]


def test_names_at_the_ends_keep_apart(sweep: Build) -> None:
    figure, _ = lines(read(sweep(scheduler="none", fail=())))
    low, high = figure.layout.yaxis.range
    per_pixel = (high - low) / (figure.layout.height - 90)
    ends = [note for note in figure.layout.annotations if note.xanchor == "left" and note.x == 4]
    spots = sorted(note.y / per_pixel + note.yshift for note in ends)
    assert len(spots) == 9
    assert min(b - a for a, b in itertools.pairwise(spots)) > 13
    assert spots[-1] <= high / per_pixel + 1e-6


def test_slices(sweep: Build) -> None:
    record = read(sweep(embedded=False))
    drawn = slices.slices(record)
    assert list(drawn) == ["alpha", "beta", "T", "lr"]
    assert drawn["beta"].layout.xaxis.type == "log"
    assert drawn["alpha"].layout.xaxis.type == "linear"
    marks = [symbol for trace in drawn["beta"].data for symbol in trace.marker.symbol]
    unfinished = [t for t in record.trials.values() if t.score is not None and t.state in ("PRUNED", "FAIL")]
    assert marks.count("circle-open") == len(unfinished)
    assert len(marks) == sum(t.score is not None and not t.is_baseline for t in record.trials.values())
    assert len({tuple(figure.layout.yaxis.range) for figure in drawn.values()}) == 1


@pytest.mark.parametrize("tried", [0.001, 0.0007])
def test_the_published_value_is_marked_whether_it_was_tried_or_not(sweep: Build, tried: float) -> None:
    record = read(sweep(embedded=False))
    for trial in record.trials.values():
        if trial.params.get("beta") == 0.001:
            trial.point["params"]["beta"] = tried
    figure = slices.slices(record)["beta"]
    (line,) = [shape for shape in figure.layout.shapes if shape.x0 == shape.x1]
    assert line.x0 == 0.001
    assert any(note.text == "published" for note in figure.layout.annotations)
    assert 0.001 in figure.layout.xaxis.tickvals
    low, high = (10**end for end in figure.layout.xaxis.range)
    assert low < 0.0007
    assert high > 0.01


def test_slices_of_words(sweep: Build) -> None:
    record = read(sweep(points=3))
    for trial, value in zip(record.trials.values(), ("current", None, "frozen", "v2020"), strict=True):
        trial.point["params"] |= {} if value is None else {"update": value, "joint": value == "frozen"}
    drawn = slices.slices(record)
    assert drawn["update"].layout.xaxis.type == "category"
    assert list(drawn["joint"].layout.xaxis.ticktext) == ["no", "yes"]


def test_training_values_are_sliced_like_any_other(sweep: Build) -> None:
    assert list(slices.slices(read(sweep(settings=True))))[-1] == "batch_size"


@pytest.mark.parametrize(
    ("values", "log"),
    [
        ([2e-5, 3e-5, 5e-5, 1e-4], True),
        ([0.001, 0.005, 0.01], True),
        ([1e-5, 2e-5, 3e-5, 4e-5, 5e-5, 6e-5, 7e-5, 1e-4], True),
        ([0.0, 0.1, 0.2, 0.25, 0.5, 1.0], False),
        ([5.0], False),
        ([1.2345678e-5, 1.2345679e-5], True),
    ],
    ids=str,
)
def test_ticks_keep_apart(values: list[float], log: bool) -> None:
    """Laid out on a plot of 180 pixels in letters 6 pixels wide, no two words of a row touch; the ends are written."""
    import math

    figure = drawing.go.Figure(layout=drawing.layout("", ""))
    drawing.set_ticks(figure, values, log)
    axis = figure.layout.xaxis
    low, high = axis.range
    rows: dict[int, list[tuple[float, float]]] = {}
    for value, text in zip(axis.tickvals, axis.ticktext, strict=True):
        words = text.replace("<br>", "")
        if words:
            middle = ((math.log10(value) if log else value) - low) / (high - low) * 180
            rows.setdefault(text.count("<br>"), []).append((middle - 3 * len(words), middle + 3 * len(words)))
    for row in rows.values():
        assert all(right + 4 <= left for (_, right), (left, _) in itertools.pairwise(sorted(row)))
    assert list(axis.tickvals) == values
    assert axis.ticktext[0]
    assert axis.ticktext[-1]


def test_learning_rates_of_the_demo_stand_in_two_rows() -> None:
    figure = drawing.go.Figure(layout=drawing.layout("", ""))
    drawing.set_ticks(figure, [2e-5, 3e-5, 5e-5, 1e-4], log=True)
    assert list(figure.layout.xaxis.ticktext) == ["2e−5", "<br>3e−5", "5e−5", "0.0001"]


def test_many_values_get_round_ticks(sweep: Build) -> None:
    record = read(sweep(points=24, fail=()))
    for number, trial in enumerate(record.trials.values()):
        trial.point["params"]["lr"] = 1.234e-5 * 1.1**number
    axis = slices.slices(record)["lr"].layout.xaxis
    assert {2e-5, 5e-5} <= set(axis.tickvals)
    assert len(axis.tickvals) < 8


def test_best_so_far_never_falls(sweep: Build) -> None:
    figure = curves.best_so_far(read(sweep()))
    assert figure is not None
    line = next(trace for trace in figure.data if trace.mode == "lines")
    assert list(line.y) == sorted(line.y)


def test_loss_terms_have_a_panel_each(sweep: Build) -> None:
    record = read(sweep())
    drawn = terms.loss_terms(record)
    assert list(drawn) == ["soft", "hard", "embedding", "attention", "hidden", "total"]
    assert [trace.name for trace in drawn["soft"].data] == ["best"]
    assert [trace.name for trace in drawn["hard"].data] == ["best", "undistilled"]
    base = record.trials["ft"]
    assert list(drawn["hard"].data[1].y) == [row["terms"]["hard"] for row in base.evaluations.values()]
    assert drawn["hard"].data[1].line.dash == "dash"
    assert drawn["soft"].layout.yaxis.type is None


def test_a_term_that_falls_far_is_drawn_on_a_log_scale(sweep: Build) -> None:
    record = read(sweep())
    best = record.best_trial()
    assert best is not None
    for number, row in best.evaluations.items():
        row["terms"] = {"soft": 10.0**-number, "hidden": 0.0 if number == 2 else 10.0**-number, "total": None}
    drawn = terms.loss_terms(record)
    assert drawn["soft"].layout.yaxis.type == "log"
    assert drawn["hidden"].layout.yaxis.type is None


@pytest.mark.parametrize("draw", [curves.learning_curves, curves.best_so_far, slices.slices, terms.loss_terms])
def test_nothing_to_draw(sweep: Build, draw: Any) -> None:
    assert not draw(read(sweep(events=0)))
    if draw is not curves.learning_curves:
        # One point makes no course and no comparison.
        assert not draw(read(sweep(points=1, epochs=1, scheduler="none", fail=())))


def test_a_single_evaluation_has_one_tick(sweep: Build) -> None:
    figure, _ = lines(read(sweep(points=1, epochs=1, scheduler="none")))
    assert list(figure.layout.xaxis.tickvals) == [1.0]
