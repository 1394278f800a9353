"""Which teacher layer each student layer learns from. Imports without torch.

Layers count from 1; 0 is the embedding output. A map is a tuple with one layer of the teacher for each of the
student's: M of them over its layers (`layers`), M + 1 with the embedding in front (`hidden`), M − 1 where the last
layer is left to the predictions (`patience`). M is the student's number of layers, N the teacher's.
"""

from __future__ import annotations

import re

from distill.errors import UserError
from distill.models.layers import chosen, evenly

# Rules of `layers` and `hidden`, and of `patience`; beside them all take layers one by one, such as "2-4-6".
RULES = ("uniform", "top", "bottom")
PATIENCE_RULES = ("skip", "last")


def uniform(student: int, teacher: int, *, whole: bool = False) -> tuple[int, ...]:
    """Student layer i learns from teacher layer ceil(i · N / M).

    Args:
        whole: Whether N must be a multiple of M, as TinyBERT's program asks (Jiao et al., 2020: g(m) = m · N / M).

    Raises:
        UserError: The student has no layer or more than the teacher, or N is no multiple of M though it must be.
    """
    _check_depths(student, teacher)
    if whole and teacher % student:
        fitting = [str(count) for count in range(1, teacher + 1) if teacher % count == 0]
        raise UserError(
            f"{teacher} layers of the teacher are no multiple of the student's {student}, as this map needs; "
            f"choose --layers {', '.join(fitting)}."
        )
    return evenly(student, teacher)


def top(student: int, teacher: int) -> tuple[int, ...]:
    """The teacher's last M layers: student layer i learns from teacher layer N − M + i.

    Raises:
        UserError: The student has no layer, or more than the teacher.
    """
    _check_depths(student, teacher)
    return tuple(range(teacher - student + 1, teacher + 1))


def bottom(student: int, teacher: int) -> tuple[int, ...]:
    """The teacher's first M layers: student layer i learns from teacher layer i.

    Raises:
        UserError: The student has no layer, or more than the teacher.
    """
    _check_depths(student, teacher)
    return chosen("first", student, teacher)


def nearest(student: int, teacher: int) -> tuple[int, ...]:
    """Student layer i learns from the teacher's layer nearest to i · N / M, of two the upper.

    Where N is a multiple of M these are the layers of `uniform`.

    Raises:
        UserError: The student has no layer, or more than the teacher.
    """
    _check_depths(student, teacher)
    return tuple((2 * layer * teacher + student) // (2 * student) for layer in range(1, student + 1))


def explicit(text: str, count: int, teacher: int) -> tuple[int, ...]:
    """Layers that stand one by one in a text such as "2-4-6-8-10", in their order.

    Args:
        count: How many there must be.

    Raises:
        UserError: The text is no such list, has another count, or names a layer the teacher does not have.
    """
    if not re.fullmatch(r"\d+(-\d+)*", text):
        raise UserError(f"{text!r} is no list of layers; write the teacher's layers like 2-4-6.")
    named = tuple(map(int, text.split("-")))
    if len(named) != count:
        raise UserError(
            f"layers={text} has {len(named)} of the teacher's layers, but {count} of the student's "
            f"{'learns' if count == 1 else 'learn'} from them: write {count} with --set layers."
        )
    if beyond := [layer for layer in named if not 1 <= layer <= teacher]:
        raise UserError(
            f"layers={text} names layer {beyond[0]}, but the teacher has layers 1 to {teacher}: write some of these "
            "with --set layers."
        )
    return named


def layers(rule: str, student: int, teacher: int, *, whole: bool = False) -> tuple[int, ...]:
    """The teacher's layers for the student's layers 1 … M.

    Args:
        rule: One of `RULES`, or M layers one by one.
        whole: As in `uniform`, which alone reads it.

    Raises:
        UserError: The counts do not fit, or the rule is unknown.
    """
    if rule == "uniform":
        return uniform(student, teacher, whole=whole)
    if rule in RULES:
        return {"top": top, "bottom": bottom}[rule](student, teacher)
    _check_word(rule, RULES)
    return explicit(rule, student, teacher)


def hidden(rule: str, student: int, teacher: int, *, whole: bool = False) -> tuple[int, ...]:
    """The teacher's hidden states for the student's 0 … M, the embedding output first.

    Embedding learns from embedding, but under "top": there the whole stack is aligned at its end, and the student's
    embedding output meets the teacher's layer N − M.

    Args:
        rule, whole: As in `layers`.

    Raises:
        UserError: As `layers`.
    """
    below = teacher - student if rule == "top" else 0
    return (below, *layers(rule, student, teacher, whole=whole))


def patience(rule: str, student: int, teacher: int) -> tuple[int, ...]:
    """The teacher's layers for the student's layers 1 … M − 1 (Sun et al., EMNLP 2019).

    Args:
        rule: "skip" takes every (N / M)-th layer and drops the last, "last" the M − 1 layers below the teacher's last;
            or M − 1 layers one by one.

    Raises:
        UserError: The counts do not fit, or the rule is unknown.
    """
    if student == 1:
        raise UserError("Patience compares the layers below the last, and a student of 1 has none; choose --layers 2.")
    if rule == "skip":
        return uniform(student, teacher)[:-1]
    if rule == "last":
        _check_depths(student, teacher)
        return tuple(range(teacher - student + 1, teacher))
    _check_word(rule, PATIENCE_RULES)
    return explicit(rule, student - 1, teacher)


def every(layers: int, interval: int) -> tuple[int, ...]:
    """Every `interval`-th of some layers, from 1: 12 and 2 give 2, 4 … 12; 12 and 5 give 5 and 10."""
    return tuple(range(interval, layers + 1, interval))


def intervals(student: int, teacher: int, own: int = 0, theirs: int = 0) -> tuple[int, int]:
    """Intervals at which as many layers of the student as of the teacher are met (Liang et al., 2023).

    Args:
        own, theirs: What is asked for, 0 where it is to be found: then as many layers meet as there can, and the
            uppermost of them as high as they can.

    Raises:
        UserError: With these intervals the counts differ, or an encoder has no such layer.
    """
    found = [
        (count, a, b)
        for a in ([own] if own else range(1, student + 1))
        for b in ([theirs] if theirs else range(1, teacher + 1))
        if (count := student // a) == teacher // b and count
    ]
    if found:
        return max(found)[1:]
    asked = [f"filter_interval={own}"] * bool(own) + [f"teacher_interval={theirs}"] * bool(theirs)
    raise UserError(
        f"{' and '.join(asked)}: {student} layers of the student and {teacher} of the teacher cannot have as many "
        "filters each, so that these do not meet; leave the intervals out (0 finds both), or choose two that divide "
        "into the same count."
    )


def _check_depths(student: int, teacher: int) -> None:
    if not 1 <= student <= teacher:
        raise UserError(
            f"A student of {student} layers cannot be laid onto a teacher of {teacher}; "
            f"choose --layers 1 to {teacher}, or a teacher of more layers."
        )


def _check_word(rule: str, known: tuple[str, ...]) -> None:
    if not re.match(r"\d", rule):
        raise UserError(
            f"{rule!r} is no way to choose layers; write {', '.join(known)}, or the teacher's layers like 2-4-6."
        )
