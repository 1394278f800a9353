"""What stages may hand on beside the student's weights, and the other things that a stage may declare of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from distill.artifacts import Store
from distill.methods.base import Hyperparameter, Method, Stage
from distill.methods.objective import Objective, Outputs, Setting, Term
from distill.models.capture import Capture
from distill.models.parameters import BODY, OUTPUT, named, output_layer, redraw
from distill.training import checkpoint, stages
from distill.training.loop import Run
from distill.training.optim import build, clip
from distill.training.settings import Training
from tests.distill import tiny
from tests.distill.training import runs


class Reader(Objective):
    """Labels from [CLS] of the last layer, by a linear map of its own: the encoder stays as it is."""

    own_needs = frozenset({"cls"})
    uses_teacher = False

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.map = nn.Linear(setting.student.hidden_size, setting.num_labels)

    def forward(self, student: Outputs, teacher: Outputs | None, batch: dict[str, Tensor]) -> dict[str, Term]:
        assert student.cls is not None
        return {"read": Term(functional.cross_entropy(self.map(student.cls[-1].float()), batch["labels"]), 1.0)}

    def leaves(self) -> dict[str, Tensor]:
        return {f"map.{name}": value for name, value in self.map.state_dict().items()}

    def observation(self) -> dict[str, Any]:
        return {"norm": float(self.map.weight.detach().norm()), "of": "reader"}


class Guess(Objective):
    """Whether the label is 1, by a head of its own on what the classifier reads."""

    own_needs = frozenset({"pooled"})
    uses_teacher = False

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.head = nn.Linear(setting.student.hidden_size, 4)

    def forward(self, student: Outputs, teacher: Outputs | None, batch: dict[str, Tensor]) -> dict[str, Term]:
        assert student.pooled is not None
        return {"guess": Term(functional.cross_entropy(self.head(student.pooled.float()), batch["labels"]), 1.0)}

    def observation(self) -> dict[str, Any]:
        return {"of": "guess"}


class Both(Objective):
    """Labels, and what the map of an earlier stage reads."""

    own_needs = frozenset({"cls"})
    uses_teacher = False

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.map = nn.Linear(setting.student.hidden_size, setting.num_labels)
        self.map.load_state_dict({name: setting.carried[f"map.{name}"] for name in ("weight", "bias")})
        self.begun = self.map.weight.detach().clone()
        self.given = setting.carried.get("given")

    def forward(self, student: Outputs, teacher: Outputs | None, batch: dict[str, Tensor]) -> dict[str, Term]:
        assert student.cls is not None
        hard = functional.cross_entropy(student.logits.float(), batch["labels"])
        read = functional.cross_entropy(self.map(student.cls[-1].float()), batch["labels"])
        return {"hard": Term(hard, 1.0), "read": Term(read, 0.5)}

    def observation(self) -> dict[str, Any]:
        return {"last": True}


def _training(params: dict[str, Any], recipe: str) -> dict[str, Any]:
    return {"epochs": 3, "lr": 3e-3}


def method(keep: str = "best-metric", drops: bool = False) -> Method:
    """Three stages: a map on the frozen encoder, the body by another head, everything by a new output layer."""
    return Method(
        name="handing",
        title="handing on",
        reference="made for tests",
        hyperparameters=(Hyperparameter("lr", "float", 1e-3, "peak learning rate", low=1e-8, high=1.0),),
        stages=(
            Stage(
                "read",
                Reader,
                depends_on=(),
                trainable=(),
                reporting=False,
                training=_training,
                keep=lambda recipe: keep,  # type: ignore[arg-type, return-value]
                dropout=lambda recipe: drops,
            ),
            Stage(
                "guess", Guess, depends_on=(), trainable=(BODY,), reporting=False, training=_training, needs=_nothing
            ),
            Stage("both", Both, depends_on=("lr",), redraws=(OUTPUT,), needs=_nothing),
        ),
        needs_teacher=False,
    )


def _nothing(params: dict[str, Any], recipe: str) -> frozenset[str]:
    return frozenset()


def _copy(run: Run) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in run.student.state_dict().items()}


def _changed(one: dict[str, Tensor], two: dict[str, Tensor]) -> set[str]:
    return {name for name, value in one.items() if not torch.equal(value, two[name])}


def test_a_frozen_encoder_is_read_and_stays_as_it_is() -> None:
    run = runs.make(method(), epochs=1)
    before, output = _copy(run), {f"classifier.{name}" for name in ("weight", "bias")}
    losses = []
    for evaluation in run.through(0):
        losses.append(evaluation.terms["read"])
        assert not any(parameter.requires_grad for parameter in run.student.parameters())
    assert _changed(before, _copy(run)) == set()
    assert losses[-1] < losses[0]
    list(run.through(1))
    guessed = _copy(run)
    assert _changed(before, guessed) == set(before) - output
    list(run)
    assert _changed(guessed, _copy(run)) == set(before)


@pytest.mark.parametrize("drops", [False, True])
def test_whether_the_student_drops_out(drops: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, set[bool]] = {}
    plain = Run._forward

    def watched(self: Run, *how: Any) -> Any:
        name = self.method.stages[self._position["stage"]].name
        found.setdefault(name, set()).add(self.student.training)
        assert self._parts["objective"].training
        return plain(self, *how)

    monkeypatch.setattr(Run, "_forward", watched)
    list(runs.make(method(drops=drops), epochs=1))
    assert found == {"read": {drops}, "guess": {True}, "both": {True}}


def test_the_output_layer_is_drawn_anew_and_nothing_else() -> None:
    run = runs.make(method(), epochs=1)
    list(run.through(1))
    before = _copy(run)
    seen: dict[str, Tensor] = {}
    plain = run._set_up

    def watched(stage: Stage) -> Any:
        seen.update(_copy(run))
        return plain(stage)

    run._set_up = watched  # type: ignore[method-assign]
    next(iter(run))
    assert _changed(before, seen) == {"classifier.weight", "classifier.bias"}
    assert not seen["classifier.bias"].any()
    wide = tiny.classifier(layers=1, width=64)
    torch.manual_seed(5)
    redraw(wide, ("encoder.layer.0.output.dense.",))
    weight = wide.get_parameter("bert.encoder.layer.0.output.dense.weight")
    assert float(weight.std()) == pytest.approx(wide.config.initializer_range, rel=0.1)


def test_names_of_the_output_layer_and_the_rest() -> None:
    model = tiny.classifier(layers=1)
    every = {name for name, _ in model.named_parameters()}
    assert output_layer(model) == ("classifier", model.classifier)
    assert named(model, (OUTPUT,)) == {"classifier.weight", "classifier.bias"}
    assert named(model, (BODY,)) == every - named(model, (OUTPUT,))
    from transformers import RobertaConfig, RobertaForSequenceClassification

    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "num_hidden_layers": 1}
    other = RobertaForSequenceClassification(RobertaConfig(vocab_size=20, **sizes))
    assert named(other, (OUTPUT,)) == {"classifier.out_proj.weight", "classifier.out_proj.bias"}
    assert "classifier.dense.weight" in named(other, (BODY,))


def test_what_the_classifier_reads() -> None:
    for model in (tiny.classifier(layers=2), tiny.classifier(layers=2, kind="roberta")):
        model.eval()
        capture = Capture(model, frozenset({"pooled"}))
        batch = tiny.tokens("cola", 8, 4)[0].batch([0, 1, 2])
        found = capture.run(**tiny.inputs_of(batch))
        _, last = output_layer(model)
        assert found.pooled is not None
        torch.testing.assert_close(last(found.pooled), found.logits)
        capture.close()


def test_later_stages_find_what_earlier_ones_left() -> None:
    run = runs.make(method(), epochs=1)
    run.carried = {"given": torch.ones(2)}
    list(run.through(1))
    left = {name: value.clone() for name, value in run.left.items()}
    assert set(left) == {"map.weight", "map.bias"}
    next(iter(run))
    objective = run._parts["objective"]
    assert torch.equal(objective.begun, left["map.weight"])
    assert not torch.equal(objective.map.weight, objective.begun)
    assert torch.equal(objective.given, torch.ones(2))


@pytest.mark.parametrize("keep", ["best-metric", "best", "last"])
def test_left_are_the_objectives_own_weights_of_the_evaluation_that_is_kept(
    keep: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Run._judge

    def judged(self: Run, *how: Any) -> Any:
        """Loss smallest at the second look; metric best at the first."""
        metrics, logits = plain(self, *how)
        epoch = self._position["epoch"]
        logits[:] = 0.0
        right = self.dev.labels if epoch == 1 else 1 - self.dev.labels
        logits[range(len(logits)), right] = 1.0
        return {**metrics, "loss": metrics["loss"] + 10 * abs(epoch - 2)}, logits

    monkeypatch.setattr(Run, "_judge", judged)
    run = runs.make(method(keep), epochs=1)
    weights, norms, found = [], [], []
    for evaluation in run.through(0):
        weights.append(run._parts["objective"].map.weight.detach().clone())
        norms.append(evaluation.seen["norm"])
        found.append(evaluation)
    chosen = {"best-metric": 0, "best": 1, "last": 2}[keep]
    assert torch.equal(run.left["map.weight"], weights[chosen])
    assert run.seen == {"norm": norms[chosen], "of": "reader"}
    assert len(set(norms)) == 3
    assert ("mcc" in found[0].metrics) == (keep == "best-metric")
    assert all(evaluation.value == evaluation.metrics["loss"] for evaluation in found)


def test_what_earlier_stages_showed_stands_beside_the_last_ones() -> None:
    found = list(runs.make(method(), epochs=2))
    norm = {evaluation.stage: evaluation.seen for evaluation in found}["both"]["norm"]
    assert [evaluation.seen for evaluation in found if evaluation.stage == "guess"] == [{"of": "guess"}] * 3
    assert [e.seen for e in found if e.reporting] == [{"norm": norm, "of": "guess", "last": True}] * 2


@pytest.mark.parametrize("after", range(1, 8))
def test_continued_bit_for_bit_wherever_it_is_killed(tmp_path: Path, after: int) -> None:
    how: dict[str, Any] = {"method": method(), "epochs": 2}
    straight = runs.make(**how)
    expected = list(straight)
    assert len(expected) == 8
    found, weights = runs.stopped_and_continued(tmp_path, after, **how)
    assert all(runs.same(one, two) for one, two in zip(expected, found, strict=True))
    assert all(torch.equal(value, weights[name]) for name, value in runs.weights(straight).items())


@pytest.mark.parametrize("number", [0, 1])
def test_behind_a_stored_stage_bit_for_bit(tmp_path: Path, number: int) -> None:
    how: dict[str, Any] = {"method": method(), "epochs": 2}
    expected = list(runs.make(**how))
    folder = stages.make(Store(tmp_path), {"of": "a test"}, runs.make(**how), number)
    behind = runs.make(**how)
    torch.manual_seed(4321)
    stages.begin_behind(behind, number, folder)
    first = next(iter(behind))
    checkpoint.save(tmp_path / "trial", 1, behind.state())
    again = runs.make(**how)
    again.load_state(checkpoint.load(tmp_path / "trial") or {})
    found = [first, *again]
    assert len(found) == len(expected) - 3 * (number + 1)
    assert all(runs.same(one, two) for one, two in zip(expected[-len(found) :], found, strict=True))


def test_a_rehearsal_goes_through_all_stages() -> None:
    run = runs.make(method(), epochs=1)
    run.rehearse(lambda tokens, rows: torch.arange(min(rows, 4)).numpy())
    assert set(run.left) == {"map.weight", "map.bias"}


class Gated(Objective):
    """Parameters with a rate, a decay and clips of their own."""

    def __init__(self, lr: float | None, decay: float | None) -> None:
        super().__init__()
        self.lr, self.weight_decay = lr, decay
        self.gates = nn.ModuleList(nn.Linear(3, 3) for _ in range(2))
        self.norm = nn.LayerNorm([2, 3])
        self.rest = nn.Linear(3, 1)

    def clipped(self) -> list[list[nn.Parameter]]:
        return [list(gate.parameters()) for gate in self.gates]


def test_own_rate_decay_and_clips_are_those_of_two_optimizers() -> None:
    training = Training(weight_decay=0.1, warmup=0.5, clip=0.7)
    student, objective = nn.Linear(3, 3), Gated(0.02, 0.3)
    both = nn.ModuleList([student, objective])
    literal = nn.ModuleList([nn.Linear(3, 3), Gated(0.02, 0.3)])
    literal.load_state_dict(both.state_dict())
    optimizer, schedule = build(student, objective, 0.01, training, 4)

    def ours() -> None:
        clip(optimizer, objective, training.clip)

    _steps_with(both, optimizer, schedule, ours)

    theirs: Any = literal[1]
    spared = [theirs.norm.weight, theirs.norm.bias, theirs.rest.bias, *(gate.bias for gate in theirs.gates)]
    decayed = [theirs.rest.weight, *(gate.weight for gate in theirs.gates)]
    first = torch.optim.AdamW(
        [{"params": [literal[0].weight], "weight_decay": 0.1}, {"params": [literal[0].bias], "weight_decay": 0.0}],
        lr=0.01,
    )
    second = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.3}, {"params": spared, "weight_decay": 0.0}], lr=0.02
    )
    torch.manual_seed(3)
    for step, share in enumerate((0.0, 0.5, 1.0, 0.5)):
        for parameter in literal.parameters():
            parameter.grad = torch.randn(parameter.shape) * (step + 1)
        for gate in theirs.gates:
            nn.utils.clip_grad_norm_(gate.parameters(), 0.7)
        nn.utils.clip_grad_norm_([*literal[0].parameters(), *theirs.norm.parameters(), *theirs.rest.parameters()], 0.7)
        for one, peak in ((first, 0.01), (second, 0.02)):
            for group in one.param_groups:
                group["lr"] = peak * share
            one.step()
    for (name, mine), other in zip(both.named_parameters(), literal.parameters(), strict=True):
        torch.testing.assert_close(mine, other, msg=name)


def _steps_with(module: nn.Module, optimizer: Any, schedule: Any, each: Any) -> None:
    torch.manual_seed(3)
    for step in range(4):
        for parameter in module.parameters():
            parameter.grad = torch.randn(parameter.shape) * (step + 1)
        each()
        optimizer.step()
        schedule.step()


def test_without_numbers_of_its_own_it_is_trained_as_the_student() -> None:
    training = Training(weight_decay=0.1)
    student, objective = nn.Linear(3, 3), Gated(None, None)
    optimizer, _ = build(student, objective, 0.01, training, 4)
    assert [len(group["params"]) for group in optimizer.param_groups] == [4, 6]
    objective.lr = 0.05
    only, _ = build(student, objective, 0.01, training, 4)
    assert [group["initial_lr"] for group in only.param_groups] == [0.01, 0.01, 0.05, 0.05]
    assert [group["weight_decay"] for group in only.param_groups] == [0.1, 0.0, 0.1, 0.0]
