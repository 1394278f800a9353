"""Whole training steps of LAD through the run that trains a published point.

Loop, objective, captured states, padded batches, the one optimizer with a rate, decay and clip of the gates' own, and
the schedule are those of the program, under the published recipe's numbers. Only what the file gives is put in their
place: weights of teacher, gates and of what a student is made of, and the order of its rows.

A gradient that is nothing but rounding (that of a key's bias, which softmax does not see) is as large as any other
for Adam. In single precision such parameters are held to the steps that Adam can have taken with them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np
import torch

from distill.methods.lad import METHOD
from distill.methods.objective import Objective, Setting
from distill.models.layers import chosen
from distill.tasks import registry
from distill.teacher.source import OnlineTeacher
from distill.training import loop
from distill.training.batching import Tokens
from distill.training.loop import Evaluation, Run
from distill.training.settings import Numerics, Training
from tests.golden_checkers import _bert
from tests.golden_checkers._arrays import Arrays
from tests.golden_checkers._bert import Weights

# Beginnings of names in the file and in the library.
_NAMES = {"encoder.": "bert.", "linear_layer.": "classifier."}


def check(arrays: Arrays, *, double: bool) -> None:
    golden = _Golden.read(arrays, torch.float64 if double else torch.float32)
    run = golden.run(golden.heads())
    with golden.fixed_order():
        for step, evaluation in enumerate(run):
            assert evaluation.steps == 1
            for key, value in golden.losses(evaluation).items():
                # Terms are recorded in single precision, and a KL at T = 10 is a small difference of large numbers.
                arrays.compare(key, value, index=step, rtol=1e-6 if double else 1e-5)
            rates = run._parts["schedule"].get_last_lr()
            arrays.compare("log__lr", rates[0], index=step, rtol=1e-12)
            arrays.compare("log__gate_lr", rates[-1], index=step, rtol=1e-12)
            golden.check_parameters(run, step, 1e-8 if double else 1e-3)
    assert step + 1 == golden.options["total_step"]


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
        new, teacher = (
            {_renamed(name): weight.to(dtype) for name, weight in _bert.weights(arrays, prefix).items()}
            for prefix in ("student_before_init__", "teacher__")
        )
        pretrained = {n: w.to(dtype) for n, w in _bert.weights(arrays, "pretrained__", "bert.").items()}
        student = _initialised(new, pretrained, _layers(new), _layers(teacher))
        return cls(arrays, json.loads(str(arrays["opts"])), dtype, student, teacher, _tokens(arrays))

    def run(self, heads: int) -> Run:
        options = self.options
        known = registry.get("sst2")
        task = replace(known, labels=tuple(map(str, range(len(self.student["classifier.bias"])))))
        assert METHOD.published is not None
        training = replace(
            Training(**METHOD.published.training),
            epochs=options["total_step"],
            batch_size=len(self.tokens),
            warmup=options["warmup_step"] / options["total_step"],
            weight_decay=options["wd"],
            clip=options["max_norm"],
            max_length=self.arrays["data__input_ids"].shape[1],
        )
        assert training.steps_per_epoch(len(self.tokens)) == 1
        params = {"hidden": options["mu"], "gate_weight_decay": options["wd"]}
        params |= {name: options[name] for name in ("lr", "gate_lr", "T", "hard", "soft")}
        return Run(
            method=replace(METHOD, stages=(replace(METHOD.stages[0], objective=self._objective),)),
            student=_bert.classifier(self.student, heads, hidden_dropout=options["dropout"]),
            params=METHOD.resolve(params, "published"),
            recipe="published",
            task=task,
            train=self.tokens,
            dev=self.tokens,
            training=training,
            numerics=Numerics(),
            seed=0,
            source=OnlineTeacher(_bert.classifier(self.teacher, heads)),
        )

    def _objective(self, setting: Setting) -> Objective:
        objective = METHOD.stages[0].objective(setting).to(self.dtype)
        aggregation: Any = objective.aggregation
        for number, block in enumerate(aggregation.blocks, start=1):
            found = _bert.weights(self.arrays, f"gate{number}__")
            block.load_state_dict({name: weight.to(self.dtype) for name, weight in found.items()})
        return objective

    def heads(self) -> int:
        """The number of heads: the divisor of the width that gives the file's first losses."""

        def error(heads: int) -> float:
            with self.fixed_order():
                losses = self.losses(next(iter(self.run(heads))))
            return max(abs(value - float(self.arrays[key][0])) for key, value in losses.items())

        return _bert.found_heads(len(self.student["bert.embeddings.LayerNorm.bias"]), error)

    def losses(self, evaluation: Evaluation) -> dict[str, float]:
        terms, options = evaluation.terms, self.options
        return {
            "log__loss": terms["total"],
            "log__logits_loss": options["soft"] * terms["soft"] + options["hard"] * terms["hard"],
            "log__hidden_loss": options["mu"] * terms["hidden"],
        }

    def check_parameters(self, run: Run, step: int, share: float) -> None:
        """All weights after a step, within a share of the rate they were trained at."""
        arrays, options = self.arrays, self.options
        prefix, lr = f"step{step + 1}__", options["lr"]
        keys = {_renamed(key.removeprefix(f"{prefix}student__")): key for key in arrays.named(f"{prefix}student__")}
        trained = dict(run.student.named_parameters())
        assert set(keys) == set(trained)
        for name, key in keys.items():
            rounding = self.dtype is torch.float32 and name.endswith("attention.self.key.bias")
            arrays.compare(key, trained[name], atol=lr * (2.0 if rounding else share))
        blocks = run._parts["objective"].aggregation.blocks
        gates = {key.split("__")[1] for key in arrays.named(f"{prefix}gate")}
        assert gates == {f"gate{number}" for number in range(len(blocks) + 1)}
        for name in _bert.weights(arrays, "gate0__"):
            # The file's first gate never acts, so ours has none.
            arrays.compare(f"{prefix}gate0__{name}", arrays.tensor(f"gate0__{name}"))
        for number, block in enumerate(blocks, start=1):
            for name, parameter in block.named_parameters():
                arrays.compare(f"{prefix}gate{number}__{name}", parameter, atol=options["gate_lr"] * share)

    @staticmethod
    def fixed_order() -> Any:
        """The file's rows in their order, in place of the shuffled ones."""

        def order(
            lengths: np.ndarray, size: int, seed: int, epoch: int, *, by_length: bool, drop_last: bool
        ) -> Iterator[np.ndarray]:
            assert not drop_last
            assert not by_length
            yield np.arange(len(lengths))

        return mock.patch.object(loop, "training_order", order)


def _initialised(new: Weights, pretrained: Weights, layers: int, depth: int) -> Weights:
    """A new network with layers and pooler of the pre-trained encoder, and embeddings of its own."""
    kept = chosen(METHOD.student_layers, layers, depth)
    found = dict(new)
    for name in new:
        parts = name.split(".")
        if name.startswith("bert.encoder.layer."):
            parts[3] = str(kept[int(parts[3])] - 1)
        if not name.startswith(("bert.embeddings.", "classifier.")):
            found[name] = pretrained[".".join(parts)]
    return found


def _layers(weights: Weights) -> int:
    return len({name.split(".")[3] for name in weights if name.startswith("bert.encoder.layer.")})


def _renamed(name: str) -> str:
    for theirs, ours in _NAMES.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    raise AssertionError(f"unknown weight {name}")


def _tokens(arrays: Arrays) -> Tokens:
    """Rows without their padding, which the batches of the program must put back as it was."""
    ids, mask = arrays["data__input_ids"], arrays["data__attention_mask"].astype(bool)
    tokens = Tokens(
        ids=ids[mask].astype(np.int32),
        types=arrays["data__token_type_ids"][mask].astype(np.int8),
        offsets=np.concatenate([[0], np.cumsum(mask.sum(1))]).astype(np.int64),
        labels=arrays["data__labels"],
        pad=0,
    )
    batch = tokens.batch(np.arange(len(tokens)), length=ids.shape[1])
    for name in ("input_ids", "attention_mask", "token_type_ids"):
        arrays.compare(f"data__{name}", batch[name])
    return tokens
