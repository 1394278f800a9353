"""The artifact of a task's tokenised rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from distill.artifacts import Store, hash_file
from distill.errors import UserError
from distill.models.folder import TOKENIZER_FILES, check_configuration
from distill.tasks.base import TaskData
from distill.tasks.windows import as_hashed
from distill.training.batching import Tokens, tokenise
from distill.training.windows import tokenise_windows

KIND = "tokens"
# The split that only the report sees.
REPORT = "report"


def load_tokenizer(folder: Path) -> Any:
    """The fast tokenizer of an encoder folder.

    Raises:
        UserError: The folder has none that can be loaded.
    """
    from transformers import AutoTokenizer

    try:
        # Code that a folder may bring (a saved student's head) is neither needed here nor run.
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"The tokenizer in {folder} cannot be loaded: {reason}") from error


def same_vocabulary(first: Path, second: Path) -> bool:
    """Whether two encoder folders turn text into the same token ids."""
    if first == second:
        return True
    a, b = load_tokenizer(first), load_tokenizer(second)
    return bool(
        a.get_vocab() == b.get_vocab() and getattr(a, "do_lower_case", None) == getattr(b, "do_lower_case", None)
    )


def identity(data: TaskData, tokenizer: Path, max_length: int) -> dict[str, Any]:
    """What determines the tokenised rows: texts, labels, vocabulary, length."""
    return {
        "data": as_hashed(data, max_length).fingerprint(),
        "tokenizer": {name: hash_file(tokenizer / name) for name in TOKENIZER_FILES if (tokenizer / name).exists()},
        "max_length": max_length,
        **({"steps": [data.task.center, data.task.scale]} if data.task.in_steps else {}),
        # To be raised with any change of how rows are tokenised or of what counts here.
        "form": 2,
    }


def about_windows(facts: dict[str, Any]) -> list[str]:
    """What a person should know of the windows over training rows; nothing of rows of other tasks.

    Args:
        facts: Of the artifact.
    """
    train = facts["train"]
    if "windows" not in train:
        return []
    told = [f"{train['rows']} training rows are read in {train['windows']} windows."]
    if train["unfound"]:
        told.append(
            f"The answers of {train['unfound']} training rows stand in no window as a whole; these rows teach that "
            "there is none in sight (a larger max_length or --doc-stride finds more)."
        )
    return told


def _check_ids(tokens: Tokens, encoder: Path) -> None:
    """Raise UserError where a tokenizer gives tokens that its encoder has no embeddings for."""
    most, known = int(tokens.ids.max(initial=0)), check_configuration(encoder, "The encoder", str(encoder)).vocabulary
    if most >= known:
        raise UserError(
            f"The tokenizer in {encoder} gives token id {most}, and the encoder there has embeddings of {known} tokens "
            "alone: put the tokenizer there that belongs to it."
        )


def prepare(store: Store, data: TaskData, tokenizer: Path, max_length: int) -> Path:
    """Tokenised `train.npz` and `dev.npz` of `data` as an artifact, and `report.npz` where rows were held out."""

    def fill(folder: Path) -> dict[str, Any]:
        loaded = load_tokenizer(tokenizer)
        facts: dict[str, Any] = {"task": data.task.name}
        splits = {"train": data.train, "dev": data.dev}
        if data.report is not None:
            splits[REPORT] = data.report
        for name, split in splits.items():
            told: dict[str, int] = {}
            if data.task.kind == "span":
                windows = tokenise_windows(
                    split, loaded, max_length, data.task, data.windows, predicted=name != "train"
                )
                tokens, told = windows.tokens, {"windows": len(windows.tokens), "unfound": windows.unfound}
            else:
                learned = replace(split, labels=data.task.learned(split.labels))
                tokens = tokenise(learned, loaded, max_length)
            _check_ids(tokens, tokenizer)
            tokens.save(folder / f"{name}.npz")
            facts[name] = {"rows": len(split), "mean_tokens": float(tokens.lengths.mean()), **told}
        return facts

    return store.build(KIND, identity(data, tokenizer, max_length), fill)
