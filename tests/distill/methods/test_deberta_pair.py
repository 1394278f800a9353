"""TED's own pair, DeBERTaV3-base (12 layers × 768) and xsmall (12 × 384), with random weights of the real shapes."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
import torch

from distill import methods
from distill.methods.objective import Outputs, Setting, total
from distill.models.capture import Capture, shape_of
from distill.models.filters import head_dropout
from distill.models.parameters import named

V3: dict[str, Any] = {
    "vocab_size": 128100,
    "num_hidden_layers": 12,
    "relative_attention": True,
    "position_buckets": 256,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": "p2c|c2p",
    "position_biased_input": False,
    "type_vocab_size": 0,
    "pooler_hidden_act": "gelu",
    "num_labels": 2,
}
BASE = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
XSMALL = {"hidden_size": 384, "num_attention_heads": 6, "intermediate_size": 1536}


def _network(sizes: dict[str, int]) -> Any:
    """Initialised by hand on an empty one: the library's own way takes many times as long."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(AutoConfig.for_model("deberta-v2", **V3, **sizes))
    model.to_empty(device="cpu")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "LayerNorm" in name:
                parameter.fill_(float(name.endswith("weight")))
            else:
                parameter.normal_(std=0.02)
        for buffer in model.buffers():
            buffer.copy_(torch.arange(buffer.shape[-1]).expand_as(buffer))
    return model.train()


def _batch() -> dict[str, torch.Tensor]:
    ids = torch.randint(10, 128000, (2, 8))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    return {
        "input_ids": ids * mask,
        "attention_mask": mask,
        "token_type_ids": torch.zeros_like(ids),
        "labels": torch.tensor([0, 1]),
    }


@pytest.mark.slow
def test_ted_runs_through_all_its_stages() -> None:
    recipe: Any = "published"
    torch.manual_seed(0)
    teacher, student = _network(BASE).eval().requires_grad_(False), _network(XSMALL)
    assert sum(p.numel() for p in teacher.parameters()) == pytest.approx(184e6, rel=0.01)
    assert sum(p.numel() for p in student.parameters()) == pytest.approx(71e6, rel=0.01)
    method = methods.get("ted")
    params, batch = method.resolve({}, recipe), _batch()
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    setting: dict[str, Any] = {"params": params, "recipe": recipe, "num_labels": 2, "regression": False}
    setting |= {"kind": "deberta-v2", "dropout": head_dropout(student)}
    carried: dict[str, Any] = {}
    assert method.on_teacher is not None
    values = method.on_teacher.settle(params, shape_of(student), shape_of(teacher))
    settled = Setting(**{**setting, "params": values}, student=shape_of(teacher), teacher=None)
    own = method.on_teacher.stage.objective(settled)
    _step(own, teacher, None, batch, inputs, ())
    carried |= {f"teacher.{name}": value for name, value in own.leaves().items()}
    for stage in method.stages:
        shapes = shape_of(student), shape_of(teacher)
        objective = stage.objective(Setting(**setting, student=shapes[0], teacher=shapes[1], carried=carried))
        answer = None
        if objective.uses_teacher:
            with torch.no_grad(), closing(Capture(teacher, objective.needs)) as theirs:
                answer = theirs.run(**inputs)
        _step(objective, student, answer, batch, inputs, stage.trained(params, recipe, shapes[0]))
        carried |= objective.leaves()


def _step(
    objective: Any,
    network: Any,
    answer: Outputs | None,
    batch: dict[str, torch.Tensor],
    inputs: dict[str, torch.Tensor],
    trained: tuple[str, ...],
) -> None:
    """A forward and a backward pass, and what they are to have moved."""
    with closing(Capture(network, objective.needs | objective.own_needs)) as capture:
        loss = total(objective(capture.run(**inputs), answer, batch))
    assert torch.isfinite(loss)
    loss.backward()
    wanted = named(network, trained) if trained else frozenset()
    moved = {name for name, p in network.named_parameters() if p.grad is not None and bool(p.grad.abs().max() > 0)}
    assert len(moved & wanted) >= 0.9 * len(wanted)
    assert all(p.grad is not None for p in objective.parameters() if p.requires_grad)
    network.zero_grad(set_to_none=True)
