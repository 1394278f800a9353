"""What an encoder folder says about itself. Imports without torch."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from distill.errors import UserError
from distill.models.architectures import RELU_HEAD, SUPPORTED, architecture, layer_count, shared, titles

# One of these is what a fast tokenizer is read from; of the last three the library makes one.
TOKENIZERS = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spm.model",
    "spiece.model",
    "sentencepiece.bpe.model",
)
# All that may decide how text is split: fetched from the hub, and part of every hash over an encoder or its tokens.
TOKENIZER_FILES = (
    *TOKENIZERS,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
)
# How an encoder runs layers twice: "share" or "swap", and how many of the top; None where it does not.
Own = tuple[str, int] | None
_HUB_ID = re.compile(r"(?P<id>[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?)(@(?P<revision>[\w./-]+))?")


def hub_id(text: str) -> tuple[str, str | None] | None:
    """(id, revision) where `text` names a model on the hub, such as `google-bert/bert-base-uncased@main`.

    A folder of that name goes before: what lies there is meant.
    """
    if Path(text).expanduser().exists():
        return None
    found = _HUB_ID.fullmatch(text)
    return (found["id"], found["revision"]) if found else None


def unsupported(kind: str) -> str:
    """The sentence about a model type that is not among `SUPPORTED`."""
    return f"Encoders of type {kind} are not supported; use a BERT-like one ({titles()})."


# How logits are read: by the architecture's own head, or through a ReLU on the pooled output.
Head = Literal["own", "relu"]


def check_head(head: Head, model_type: str, flag: str) -> None:
    """Raise UserError where an encoder of this type cannot be read through `head`.

    Args:
        head: "own", or "relu" as published recipes may ask for.
        flag: The option or argument that named the encoder, for the message.
    """
    if head == "relu" and model_type not in ("bert", RELU_HEAD):
        raise UserError(
            f"{flag}: the published recipe reads a BERT pooler through a ReLU, which encoders of type {model_type} do "
            "not have; name a BERT, or take the modern recipe."
        )


def check_span_dropout(rate: float | None, span: bool, model_type: str, whose: str, flag: str = "") -> None:
    """Raise UserError where a dropout before the last layer was asked for, and what points to tokens has none.

    Args:
        rate: `classifier_dropout`; None where nothing was asked.
        span: Whether the task is one of answers in texts.
        whose: "student" or "teacher".
        flag: What a person says before the name of the number, with a blank.
    """
    if rate is not None and span and not architecture(model_type).span_dropout:
        raise UserError(
            f"{flag}classifier_dropout={rate:g} plays no part: a {whose} of type {model_type} has no dropout before "
            "what points to tokens; leave it out."
        )


@dataclass(frozen=True)
class EncoderFolder:
    """A checked folder in Hugging Face form.

    Attributes:
        layers, hidden_size, heads: Shape, from `config.json`; layers that run twice count once, as those with weights
            of their own do. ALBERT's, which all have the same weights, count each.
        vocabulary: Number of token ids.
        positions: Longest row in tokens, special ones included.
        weights: Bytes of the weight files.
        sharing: Of an encoder that runs some of its layers twice.
    """

    path: Path
    model_type: str
    layers: int
    hidden_size: int
    heads: int
    vocabulary: int
    positions: int
    weights: int
    sharing: Own = None

    @property
    def repeated(self) -> int:
        """How many layers run twice."""
        return self.sharing[1] if self.sharing else 0


def encoder_facts(model_type: str, vocabulary: int) -> list[str | int]:
    """What tells one kind of encoder from another beside its shape, however its classifier is read."""
    return ["bert" if model_type == RELU_HEAD else model_type, vocabulary]


def embedding_sizes(folder: Path) -> dict[str, int]:
    """What decides the sizes of an encoder's embeddings, by words for people, from a configuration that was checked."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    known = architecture(str(config["model_type"]))
    # Some project embeddings that are narrower than their layers.
    narrow = None if known.embedding_size is None else config.get("embedding_size", known.embedding_size)
    found = {"token ids": int(config["vocab_size"]), "width": int(narrow or config[known.width])}
    positions = int(config["max_position_embeddings"])
    if config.get("position_biased_input", True) and known.scores != "rotary":
        found["positions"] = positions
    if known.types and config.get("type_vocab_size", 2):
        found["token types"] = int(config.get("type_vocab_size", 2))
    if known.scores == "biased":
        found["distances between tokens"] = int(config.get("relative_attention_num_buckets", 32))
        found["heads with weights for them"] = int(config[known.heads])
    if known.scores == "disentangled" and config.get("relative_attention"):
        usual = max(int(config.get("max_relative_positions", -1)), 0) or positions
        found["distances between tokens"] = max(int(config.get("position_buckets", -1)), 0) or usual
    return found


def check_embeddings(student: Path, teacher: Path, name: str, flag: str) -> None:
    """Raise UserError where a student cannot have its teacher's embeddings, because the sizes differ.

    Args:
        student, teacher: Checked folders; a student that is cut from the teacher's encoder has the teacher's.
        name: Of the student, for people.
        flag: Put before the name of the hyper-parameter.
    """
    own, theirs = embedding_sizes(student), embedding_sizes(teacher)
    unequal = {what: theirs.get(what, "no") for what, size in own.items() if theirs.get(what) != size}
    differing = [f"{found} {what}, not {own[what]}" for what, found in unequal.items()]
    if not differing and _words(student) != _words(teacher):
        differing = [f"their words as {_words(teacher)}, not {_words(student)}"]
    if differing:
        raise UserError(
            f"{flag}embeddings=teacher: the teacher's embeddings do not fit student {name}, because they have "
            f"{' and '.join(differing)}; take {flag}embeddings=pretrained, or a student whose embeddings have the "
            "teacher's sizes."
        )


def _words(folder: Path) -> str:
    return architecture(str(json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"])).words


def inspect(path: str | Path, flag: str, name: str | None = None) -> EncoderFolder:
    """Read and check an encoder folder.

    Args:
        flag: The option that named it, for messages.
        name: What it was named by, where that was not the path.

    Raises:
        UserError: The folder is missing, has no readable configuration, weights or tokenizer, or is of another kind.
    """
    folder = Path(path).expanduser().absolute()
    shown = name or str(path)
    if not folder.is_dir():
        raise UserError(f"{flag} {path} is not a folder; name one with config.json, model.safetensors and a tokenizer.")
    found = check_configuration(folder, flag, shown)
    weights = [*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")]
    if not weights:
        raise UserError(f"{flag} {shown} has no weights (model.safetensors); name a folder written by save_pretrained.")
    if not any((folder / file).exists() for file in TOKENIZERS):
        raise UserError(
            f"{flag} {shown} has no tokenizer (tokenizer.json, vocab.txt or spm.model); save it into that folder."
        )
    return replace(found, weights=sum(file.stat().st_size for file in weights))


def check_configuration(folder: Path, flag: str, shown: str) -> EncoderFolder:
    """What the configuration alone says, before there are weights.

    Args:
        shown: How the folder is called in messages.

    Raises:
        UserError: There is none, or it is that of something else.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = str(config["model_type"])
        if kind not in SUPPORTED:
            raise UserError(f"{flag} {shown}: {unsupported(kind)}")
        known = architecture(kind)
        layers, width = layer_count(known, config), int(config[known.width])
        heads, vocabulary = int(config[known.heads]), int(config["vocab_size"])
        positions = int(config["max_position_embeddings"])
        sharing = (str(config["sharing"]), int(config["repeated_layers"])) if shared(kind) else None
    except FileNotFoundError as error:
        raise UserError(f"{flag} {shown} has no config.json; name a folder written by save_pretrained.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{flag} {shown}: config.json is not the configuration of a BERT-like encoder ({error}); name another."
        ) from error
    if known.skipped is None:
        # These count positions from the padding token's id + 1.
        positions -= int(config["pad_token_id"]) + 1 if config.get("pad_token_id") else 0
    else:
        positions -= known.skipped
    return EncoderFolder(folder, kind, layers, width, heads, vocabulary, positions, 0, sharing)
