"""Losses of the adaptors on hidden states and logits (`hnliu-git/kd-clf`, commit 15f1724), in both recipes' forms.

The others: `attention.attention_distance` (AttnTinyBERT), `attention.attention_divergence` (AttnMiniLM),
`relations.value_divergence` (ValMiniLM), `patience.direction_distance` (HidnPKD), and `distances.hidden_mean_square` of
the embedding outputs (EmbdTinyBERT).
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from distill.losses.distances import Reduction, clean_hidden, hidden_count, paired_mean_square
from distill.losses.logits import mean_of_rows, soft_cross_entropy, squared_error
from distill.losses.precision import at_least_float32, no_autocast

Form = Literal["modern", "published"]


def hidden_distances(student: Tensor, teacher: Tensor, mask: Tensor, reduction: Reduction) -> Tensor:
    """Mean squared difference of the hidden states of each layer; TinyBERT adds up the layers.

    Args:
        student: [K, B, S, d], already projected to the teacher's width.
        teacher: [K, B, S, d]; no gradient reaches it.
        mask: [B, S], non-zero at real tokens.
        reduction: mean over real tokens and features ("masked") or over everything ("padded", TinyBERT's program).

    Returns:
        [K] in float32 or better.

    Raises:
        ValueError: The shapes differ.
    """
    if student.shape != teacher.shape:
        raise ValueError(f"hidden states {tuple(student.shape)} and {tuple(teacher.shape)} disagree")
    with no_autocast(student):
        x, y = clean_hidden(student, mask, reduction), clean_hidden(teacher, mask, reduction)
        each = range(len(x))
        return paired_mean_square(x, y, each, each, None, hidden_count(x, mask, reduction))


def hidden_distance(student: Tensor, teacher: Tensor, mask: Tensor, form: Form, student_width: int) -> Tensor:
    """HidnTinyBERT: mean over layers and real tokens of the mean squared difference over the features.

    Args:
        student: [K, B, S, D_t], already projected to the teacher's width.
        teacher: [K, B, S, D_t]; no gradient reaches it.
        mask: [B, S], non-zero at real tokens.
        form: "published" divides by `student_width` in place of D_t.
        student_width: D_s, the width before the projection.

    Raises:
        ValueError: The shapes differ.
    """
    mean = hidden_distances(student, teacher, mask, "masked").mean()
    return mean if form == "modern" else mean * (student.shape[-1] / student_width)


def logit_distance(
    student: Tensor, teacher: Tensor, temperature: float, form: Form, real: Tensor | None = None
) -> Tensor:
    """LogitMSE: mean over rows and classes of ((z_s − z_t) / τ)², times τ² in the modern form, where τ plays no part.

    Args:
        student, teacher: logits [B, C]; no gradient reaches the teacher's.
        temperature: τ > 0.
        real: bool [B, C], which classes of each row count in its mean; all when None.

    Raises:
        ValueError: The shapes differ, or the temperature is not positive.
    """
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
    if real is None:
        distance = squared_error(student, teacher)
    else:
        if student.shape != teacher.shape:
            raise ValueError(f"logits {tuple(student.shape)} and {tuple(teacher.shape)} disagree")
        own = at_least_float32(student)
        difference = (own - teacher.detach().to(own.dtype)).masked_fill(~real, 0.0)
        distance = mean_of_rows(difference.square(), real)
    return distance if form == "modern" else distance / temperature**2


def logit_cross_entropy(student: Tensor, teacher: Tensor, temperature: float, form: Form) -> Tensor:
    """LogitCE: mean over rows of −Σ_c softmax(z_t / τ) log_softmax(z_s / τ), times τ² in the modern form.

    Args:
        student, teacher: logits [B, C]; no gradient reaches the teacher's.
        temperature: τ > 0.

    Raises:
        ValueError: The shapes differ, or the temperature is not positive.
    """
    return soft_cross_entropy(student, teacher, temperature, "batchmean", scaled=form == "modern")
