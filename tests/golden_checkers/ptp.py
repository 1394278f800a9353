"""Pre-training with the teacher's predictions: labels of four classes for each pair of thresholds, and their loss."""

from __future__ import annotations

import re

import torch

from distill.losses.ptp import judged, ptp_labels, ptp_loss
from tests.golden_checkers._arrays import Arrays


def check(stem: str, arrays: Arrays) -> None:
    """Check the file of this name; fails on a kind that is not known."""
    found = re.fullmatch(r"ptp_(labels|loss)(?:_\w+)?", stem)
    assert found, f"unknown kind of PTP golden: {stem}"
    if found[1] == "labels":
        cases = [key.removesuffix("ptp_label") for key in arrays.named() if key.endswith("/ptp_label")]
        assert cases, "no case in the file"
        # Not every threshold is met exactly by a probability of every type and number of classes.
        assert sum(_labels(arrays, case) for case in cases) > 0, "no confidence meets its threshold"
        return
    for key in arrays.named("ptp_logits"):
        _loss(arrays, key.removeprefix("ptp_logits"))


def _labels(arrays: Arrays, case: str) -> int:
    """How many confidences meet a threshold.

    These are taken as the file has them: a softmax may round another way elsewhere.
    """
    logits, gold = arrays.tensor(f"{case}teacher_logits"), arrays.tensor(f"{case}gold")
    confidence, right = arrays.tensor(f"{case}max_prob"), arrays.tensor(f"{case}teacher_correct")
    t, t2 = arrays[f"{case}t1_t2"].tolist()
    arrays.compare(f"{case}teacher_correct", (logits.argmax(dim=-1) == gold).numpy())
    epsilon = 4 * torch.finfo(confidence.dtype).eps
    arrays.compare(f"{case}max_prob", logits.softmax(dim=-1).amax(dim=-1), atol=epsilon)
    arrays.compare(f"{case}ptp_label", judged(confidence, right, t, t2))
    away = torch.stack([(confidence - at).abs() for at in (t, t2)]).amin(dim=0) > epsilon
    # The last rows of each half have confidences equal to a threshold in this very type.
    half, ties = len(gold) // 2, int(arrays[f"{case}n_exact_ties"])
    tied = torch.cat([torch.arange(end - ties, end) for end in (half, 2 * half)])
    met = torch.stack([confidence == torch.tensor(at, dtype=confidence.dtype) for at in (t, t2)]).any(dim=0)
    assert bool(met[tied].all()), f"{case}: what should meet a threshold does not"
    assert bool(away.any()), f"{case}: nothing away from the thresholds"
    index = (away.numpy(),)
    arrays.compare(f"{case}ptp_label", ptp_labels(logits, gold, t, t2)[away], index=index)  # type: ignore[arg-type]
    return len(tied)


def _loss(arrays: Arrays, suffix: str) -> None:
    logits = arrays.tensor(f"ptp_logits{suffix}").requires_grad_()
    classes = arrays.tensor("ptp_label")
    loss = ptp_loss(logits, classes)
    rtol = 1e-12 if logits.dtype == torch.float64 else 1e-6
    arrays.compare(f"ce{suffix}", loss, rtol=rtol)
    key = f"grad{suffix}"
    if key not in arrays:
        return
    if logits.dtype == torch.float64 and "ce__f32" in arrays and "grad__f32" not in arrays:
        # The file's single precision is a cast of the same leaf, which so has the gradient of both losses.
        loss, rtol = loss + ptp_loss(logits.float(), classes), 1e-7
    arrays.compare(key, torch.autograd.grad(loss, logits)[0], rtol=rtol)
