"""A folder that was fine-tuned for a task of another form lends its encoder and not its head."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from distill.models.parameters import output_layer
from distill.models.student import load_classifier
from distill.tasks import registry
from tests.distill import tiny
from tests.distill.models.kinds import CASES

TASKS = {False: registry.get("cola"), True: registry.get("squad2")}


@pytest.mark.parametrize("span", [False, True])
@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert", "albert", "deberta-v3", "modernbert"])
def test_a_head_of_another_form_is_drawn_anew(name: str, span: bool, tmp_path: Path) -> None:
    made = tiny.classifier(**CASES[name], span=span)
    # Two classes and two ends have one shape.
    made.save_pretrained(tmp_path)
    _, before = output_layer(made)

    torch.manual_seed(3)
    other = load_classifier(tmp_path, TASKS[not span])
    torch.manual_seed(3)
    again = load_classifier(tmp_path, TASKS[not span])
    own = load_classifier(tmp_path, TASKS[span])

    assert torch.equal(output_layer(own)[1].weight, before.weight)
    _, drawn = output_layer(other)
    assert drawn.weight.shape == before.weight.shape
    assert not torch.equal(drawn.weight, before.weight)
    assert not drawn.bias.any()
    assert torch.equal(drawn.weight, output_layer(again)[1].weight)
    for what, value in other.base_model.state_dict().items():
        if what in made.base_model.state_dict():
            assert torch.equal(value, made.base_model.state_dict()[what])
