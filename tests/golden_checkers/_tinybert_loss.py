"""TinyBERT's losses on given scores, states and logits: both stages, the published forms, values and gradients."""

from __future__ import annotations

import re

import torch

from distill import layer_maps
from distill.losses.adaptors import hidden_distances
from distill.losses.attention import score_distances
from distill.losses.logits import tinybert_prediction
from tests.golden_checkers._arrays import Arrays


def check(arrays: Arrays, *, double: bool) -> None:
    rtol = 1e-9 if double else 1e-5
    cases = [case[1] for key in arrays.named() if (case := re.fullmatch(r"(\w+)_att_scores_s", key))]
    assert cases, "no case in the file"
    for case in cases:
        _intermediate(arrays, case, rtol)
    _prediction(arrays, rtol)


def _intermediate(arrays: Arrays, case: str, rtol: float) -> None:
    mask = arrays.tensor("mask")
    scores, states = (arrays.tensor(f"{case}_{name}_s").requires_grad_() for name in ("att_scores", "rep"))
    teacher_scores, teacher_states = (arrays.tensor(f"{case}_{name}_t") for name in ("att_scores", "rep"))
    depths = len(scores), len(teacher_scores)
    layers = [layer - 1 for layer in layer_maps.layers("uniform", *depths, whole=True)]
    entries = list(layer_maps.hidden("uniform", *depths, whole=True))
    arrays.compare(f"{case}_teacher_att_index", layers)
    arrays.compare(f"{case}_teacher_rep_index", entries)
    attention = score_distances(scores, teacher_scores[layers], mask, "padded").sum()
    hidden = hidden_distances(states, teacher_states[entries], mask, "padded").sum()
    arrays.compare(f"{case}_att_loss", attention, rtol=rtol)
    arrays.compare(f"{case}_rep_loss", hidden, rtol=rtol)
    arrays.compare(f"{case}_loss", attention + hidden, rtol=rtol)
    gradients = torch.autograd.grad(attention + hidden, (scores, states))
    arrays.compare(f"{case}_grad_att_s", gradients[0], rtol=rtol)
    arrays.compare(f"{case}_grad_rep_s", gradients[1], rtol=rtol)


def _prediction(arrays: Arrays, rtol: float) -> None:
    teacher = arrays.tensor("logits_t")
    temperatures = [t[1] for key in arrays.named("pred_T") if (t := re.fullmatch(r"pred_T([\d.]+)_loss", key))]
    assert temperatures, "no prediction loss in the file"
    for t in temperatures:
        logits = arrays.tensor("logits_s").requires_grad_()
        loss = tinybert_prediction(logits, teacher, None, temperature=float(t), form="published", regression=False)
        arrays.compare(f"pred_T{t}_loss", loss, rtol=rtol)
        arrays.compare(f"pred_T{t}_grad_logits_s", torch.autograd.grad(loss, logits)[0], rtol=rtol)
    scores, labels = arrays.tensor("reg_logits_s").requires_grad_(), arrays.tensor("reg_labels")
    loss = tinybert_prediction(scores, None, labels, temperature=1.0, form="published", regression=True)
    arrays.compare("reg_loss", loss, rtol=rtol)
    arrays.compare("reg_grad_logits_s", torch.autograd.grad(loss, scores)[0], rtol=rtol)
