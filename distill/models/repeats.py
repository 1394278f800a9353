"""Students whose layers run twice with the same weights: what is asked for, and what follows from it.

Layers with weights of their own are physical, passes through them logical. Imports without torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from distill.errors import UserError
from distill.models.architectures import SHARED, architecture, shared
from distill.models.folder import Own

Mode = Literal["share", "swap"]
Repeat = Literal["auto", "all"] | int
# Of six layers the program of Pea-KD repeats the upper half alone.
_HALVED = 6


@dataclass(frozen=True)
class Sharing:
    """How a student's layers run twice (SPS; Cho and Kang, 2022, arXiv 2009.14822).

    Attributes:
        mode: "share" for two plain passes; "swap" exchanges query and key projections, weight and bias, in the second.
        repeat: Which layers the second pass runs through: "all", so many of the top, or "auto": all, but of six the
            upper three, as the reference does.
    """

    mode: Mode = "swap"
    repeat: Repeat = "auto"

    def repeated(self, layers: int) -> int:
        """How many of a student's top layers run twice.

        Args:
            layers: Physical ones.

        Raises:
            UserError: More are to be repeated than there are, or none.
        """
        if self.repeat == "auto":
            return layers // 2 if layers == _HALVED else layers
        if self.repeat == "all":
            return layers
        if not 1 <= self.repeat <= layers:
            raise UserError(
                f"sps_repeat={self.repeat} does not fit a student of {layers} layers: --set sps_repeat=N with N from 1 "
                f"to {layers}, or all."
            )
        return self.repeat


def order(layers: int, repeated: int) -> tuple[int, ...]:
    """The physical layer of each logical one, both from 1.

    Args:
        layers: Physical ones.
        repeated: How many of the top run twice.
    """
    return (*range(1, layers + 1), *range(layers - repeated + 1, layers + 1))


def check(sharing: Sharing | None, what: str, model_type: str, layers: int, own: Own = None) -> None:
    """Raise UserError where an encoder cannot become a student that shares as asked.

    Args:
        sharing: None asks for nothing, and leaves an encoder that shares by itself as it is.
        what: Names the encoder at the beginning of a message.
        layers: Physical ones that the student has.
        own: How the encoder shares by itself.
    """
    if sharing is None:
        return
    known = architecture(model_type)
    if known.fused:
        raise UserError(
            f"{what}: sps={sharing.mode} (shuffled parameter sharing) runs layers twice and exchanges the projections "
            f"of queries and keys, which {known.title} ({model_type}) has fused into one: name another encoder, or "
            "--set sps=none."
        )
    if known.groups:
        raise UserError(
            f"{what}: sps={sharing.mode} (shuffled parameter sharing) has layers share their weights, and those of "
            f"{known.title} ({model_type}) are one set already: name another encoder, or --set sps=none."
        )
    if model_type not in SHARED and not shared(model_type):
        second = " with queries and keys exchanged" if sharing.mode == "swap" else ""
        raise UserError(
            f"{what}: layers of encoders of type {model_type} cannot run twice{second}; name one of type "
            f"{', '.join(SHARED)}, which have query and key projections of their own, or --set sps=none."
        )
    asked = sharing.mode, sharing.repeated(layers)
    if own not in (None, asked):
        raise UserError(
            f"{what} runs layers twice already ({words(own)}), otherwise than asked ({words(asked)}): name a plain "
            "encoder, or --set sps=none to keep it as it is."
        )


def uncut(own: Own, what: str) -> None:
    """Raise UserError where layers are to be taken out of an encoder that runs some twice.

    Args:
        own: How it does.
        what: Names it at the beginning of the message.
    """
    if own is not None:
        raise UserError(
            f"{what} runs layers twice ({words(own)}), so no student is cut from it: name the student's own encoder "
            "with --student."
        )


def words(own: tuple[str, int]) -> str:
    """A mode and how many layers run twice, in a few words."""
    second = ", queries and keys exchanged" if own[0] == "swap" else ""
    return f"the top {own[1]} again{second}"


def described(layers: int, mode: str, logical: int) -> str:
    """The layers of a student that shares some, for people.

    Args:
        layers, logical: How many there are of both kinds.
    """
    repeated = logical - layers
    which = f"the top {repeated} of {layers} layers" if repeated < layers else f"{layers} layers"
    which = which if layers > 1 else "1 layer"
    second = ", queries and keys exchanged in the second pass" if mode == "swap" else ""
    return f"{which} {'runs' if repeated == 1 else 'run'} twice: {logical} logical layers{second}"


def planned(sharing: Sharing | None, layers: int) -> dict[str, Any] | None:
    """What a plan says of a point's layers: `mode`, and under `layers` the physical layer of each logical one.

    Raises:
        UserError: As `Sharing.repeated`.
    """
    if sharing is None:
        return None
    return {"mode": sharing.mode, "layers": list(order(layers, sharing.repeated(layers)))}
