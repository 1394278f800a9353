"""Whole training steps of BERT-EMD through the run that trains a published point.

Loop, objective, captured states, padded batches, optimizer and schedule are those of the program, under the published
recipe's own numbers. Only what the file gives is put in their place: weights of student, teacher and projection, the
order of its rows, and the update rule of the layer weights, which was the current one.

The reference used its rounding solver here: flows carry errors of 1e-6, which pass into losses, weights and
gradients. The optimizer divides each gradient by its own size, so a relative error of a gradient becomes the
same share of a learning rate in the parameter, whatever the parameter's size. Hence losses and weights are
held to 1e-5, and parameters to a thousandth of the learning rate (leaving out the weight decay, say, moves
them by more); the `emd_m*n*` files hold the arithmetic itself to 1e-9.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np
import torch

from distill.methods.emd import METHOD
from distill.methods.objective import Objective, Setting
from distill.models.relu_head import BertReluHeadForSequenceClassification
from distill.tasks import registry
from distill.teacher.source import OnlineTeacher
from distill.training import loop
from distill.training.batching import Tokens
from distill.training.loop import Evaluation, Run
from distill.training.settings import Numerics, Training
from tests.golden_checkers import _bert
from tests.golden_checkers._arrays import Arrays
from tests.golden_checkers._bert import Weights

# The file's name of the projection, and of projections that the reference carries along and never trains.
_PROJECTION, _IDLE = "share_fit_dense.", "fit_denses."


def check(arrays: Arrays, *, double: bool) -> None:
    golden = _Golden.read(arrays, torch.float64 if double else torch.float32)
    learning_rate = golden.options["learning_rate"]
    run = golden.run(golden.heads())
    with golden.fixed_order():
        for step, evaluation in enumerate(run):
            golden.check_losses(evaluation, step)
            assert (evaluation.steps, evaluation.lr) == (1, learning_rate)
            for term, short in (("attention", "att"), ("hidden", "rep")):
                weights = evaluation.seen["layer_weights"][term]
                arrays.compare(f"loss__{short}_sw", weights["student"], index=step, atol=1e-5)
                arrays.compare(f"loss__{short}_tw", weights["teacher"], index=step, atol=1e-5)
            trained = golden.trained(run)
            if step == 0:
                # BertAdam leaves gradients as they were.
                assert {key.removeprefix("grad0__") for key in arrays.named("grad0__")} == set(trained)
                for name, parameter in trained.items():
                    arrays.compare(f"grad0__{name}", parameter.grad, rtol=1e-5, atol=1e-7)
            prefix = f"step{step + 1}__"
            weights = {**golden.student, **{name: p.detach() for name, p in trained.items()}}
            assert {key.removeprefix(prefix) for key in arrays.named(prefix)} == set(weights)
            for name, weight in weights.items():
                arrays.compare(prefix + name, weight, atol=1e-3 * learning_rate)
    assert step + 1 == golden.steps


@dataclass
class _Golden:
    """What the file holds, and the program's own parts built from it."""

    arrays: Arrays
    options: dict[str, Any]
    dtype: torch.dtype
    student: Weights
    teacher: Weights
    tokens: Tokens

    @classmethod
    def read(cls, arrays: Arrays, dtype: torch.dtype) -> _Golden:
        options = json.loads(str(arrays["opts"]))
        assert options["schedule"] == "none", f"unknown schedule {options['schedule']}"
        student, teacher = (
            {key.removeprefix(prefix): arrays.tensor(key).to(dtype) for key in arrays.named(prefix)}
            for prefix in ("student__", "teacher__")
        )
        return cls(arrays, options, dtype, student, teacher, _tokens(arrays))

    @property
    def steps(self) -> int:
        return len(self.arrays["loss__att_loss"])

    def run(self, heads: int) -> Run:
        options, labels = self.options, len(self.student["classifier.bias"])
        regression = labels == 1
        known = registry.get("stsb" if regression else "sst2")
        task = known if regression else replace(known, labels=tuple(map(str, range(labels))))
        assert METHOD.published is not None
        published = Training(**METHOD.published.training)
        training = replace(
            published,
            batch_size=options["batch"],
            weight_decay=options["weight_decay"],
            clip=options["max_grad_norm_per_tensor"],
            max_length=self.arrays["data__input_ids"].shape[1],
            evaluation_steps=1,
        )
        training = replace(training, epochs=self.steps // training.steps_per_epoch(len(self.tokens)))
        params = {name: options[name] for name in ("alpha", "beta", "theta", "T")}
        params |= {"lr": options["learning_rate"], "update": "current"}
        return Run(
            method=replace(METHOD, stages=(replace(METHOD.stages[0], objective=self._objective),)),
            student=self._model(self.student, heads),
            params=METHOD.resolve(params, "published", regression),
            recipe="published",
            task=task,
            train=self.tokens,
            dev=self.tokens,
            training=training,
            numerics=Numerics(),
            seed=0,
            source=OnlineTeacher(self._model(self.teacher, heads)),
        )

    def _objective(self, setting: Setting) -> Objective:
        objective = METHOD.stages[0].objective(setting).to(self.dtype)
        parts = {f"projection.{name.removeprefix(_PROJECTION)}": w for name, w in self.student.items() if _own(name)}
        objective.load_state_dict({**objective.state_dict(), **parts})
        return objective

    def _model(self, weights: Weights, heads: int) -> BertReluHeadForSequenceClassification:
        own = {name: w for name, w in weights.items() if name.startswith(("bert.", "classifier."))}
        return _bert.classifier(own, heads, relu=True, hidden_dropout=self.options["hidden_dropout"])

    def heads(self) -> int:
        """The number of heads: the common divisor that gives the file's first losses."""
        name = "bert.embeddings.LayerNorm.bias"

        def error(heads: int) -> float:
            with self.fixed_order():
                losses = self.losses(next(iter(self.run(heads))))
            return max(abs(value - float(self.arrays[key][0])) for key, value in losses.items())

        return _bert.found_heads(math.gcd(len(self.teacher[name]), len(self.student[name])), error)

    def losses(self, evaluation: Evaluation) -> dict[str, float]:
        terms, alpha = evaluation.terms, self.options["alpha"]
        return {
            "loss__att_loss": terms["attention"],
            "loss__rep_loss": terms["hidden"],
            "loss__kd_soft": terms["soft"],
            "loss__kd_hard": terms["hard"],
            "loss__kd_total": alpha * terms["soft"] + (1 - alpha) * terms["hard"],
        }

    def check_losses(self, evaluation: Evaluation, step: int) -> None:
        found = self.losses(evaluation)
        for key, value in found.items():
            self.arrays.compare(key, value, index=step, rtol=1e-5, atol=1e-5)
        transfer = self.options["theta"] * (found["loss__rep_loss"] + found["loss__att_loss"])
        total = self.options["beta"] * (transfer + evaluation.terms["embedding"]) + found["loss__kd_total"]
        assert abs(evaluation.terms["total"] - total) < 1e-5

    def trained(self, run: Run) -> Weights:
        """Parameters under the file's names."""
        projection = run._parts["objective"].projection.named_parameters()
        return {**dict(run.student.named_parameters()), **{_PROJECTION + name: p for name, p in projection}}

    @staticmethod
    def fixed_order() -> Any:
        """The file's rows in their order, in place of the shuffled ones; only whole batches, as the recipe has it."""

        def order(
            lengths: np.ndarray, size: int, seed: int, epoch: int, *, by_length: bool, drop_last: bool
        ) -> Iterator[np.ndarray]:
            assert drop_last
            assert not by_length
            yield from np.arange(len(lengths) // size * size).reshape(-1, size)

        return mock.patch.object(loop, "training_order", order)


def _own(name: str) -> bool:
    """Whether a weight of the file is the projection's; fails on one that has no place here."""
    assert name.startswith(("bert.", "classifier.", _PROJECTION, _IDLE)), f"unknown weight {name}"
    return name.startswith(_PROJECTION)


def _tokens(arrays: Arrays) -> Tokens:
    """Rows without their padding, which the batches of the program must put back as it was."""
    ids, mask = arrays["data__input_ids"], arrays["data__input_mask"].astype(bool)
    lengths = mask.sum(1)
    tokens = Tokens(
        ids=ids[mask].astype(np.int32),
        types=arrays["data__segment_ids"][mask].astype(np.int8),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        labels=arrays["data__label_id"],
        pad=0,
    )
    batch = tokens.batch(np.arange(len(tokens)), length=ids.shape[1])
    for key, name in (("input_ids", "input_ids"), ("input_mask", "attention_mask"), ("segment_ids", "token_type_ids")):
        arrays.compare(f"data__{key}", batch[name])
    return tokens
