"""Encoders from the model hub: fetched into the usual cache, then loaded like any folder. Imports without torch."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from distill.errors import UserError
from distill.hub import (
    HubUnreachable,
    Say,
    Wanted,
    amount,
    bars_on_terminals_only,
    endpoint,
    failing,
    listed,
)
from distill.models.folder import TOKENIZER_FILES, TOKENIZERS, check_configuration
from distill.output import say

# Seconds that a hub may take to answer when it was named.
PATIENCE = 15.0
# In order of preference: safetensors whole or in parts, then the form of older repositories.
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def fetch(
    name: str,
    revision: str | None,
    flag: str,
    *,
    say: Say = say,
    patience: float = PATIENCE,
    cache: Path | None = None,
    check: Callable[[Path, str, str], object] = check_configuration,
) -> Path:
    """The snapshot folder of an encoder: configuration, tokenizer and weights, nothing else of its repository.

    The weights come last, so that a snapshot which has them is whole. A whole one of a fixed commit is taken without
    asking the hub, any whole one where the hub does not answer.

    Args:
        name: Id on the hub.
        revision: Branch, tag or commit; None is the main branch.
        flag: The option that named it, for messages.
        say: Takes one line per download.
        patience: Seconds that the hub may take to answer.
        cache: Folder of the cache; None is the usual one (`HF_HOME`).
        check: Refuses a configuration, before there are weights, as `check_configuration` does.

    Returns:
        The folder, whose name is the commit.

    Raises:
        HubUnreachable: No answer, and nothing whole in the cache.
        UserError: It is not there, not for this person, not an encoder that is supported, or the download failed.
    """
    wanted = Wanted("model", name, revision, flag)
    if revision and _COMMIT.fullmatch(revision) and (found := _cached(wanted, cache)):
        return found
    try:
        listing = listed(wanted, patience)
    except HubUnreachable:
        if found := _cached(wanted, cache):
            return found
        raise
    small, weights = _chosen(listing.files, wanted)
    with failing(wanted, begun=True), bars_on_terminals_only():
        from huggingface_hub import snapshot_download, try_to_load_from_cache

        new = [
            file
            for file in (*small, *weights)
            if not isinstance(try_to_load_from_cache(name, file, cache_dir=cache, revision=listing.commit), str)
        ]
        if new:
            count = "1 file" if len(new) == 1 else f"{len(new)} files"
            size = amount(sum(listing.files[file] for file in new))
            say(f"Downloading {name} from {endpoint()}: {count}, {size}.")
        folder = Path(snapshot_download(name, revision=revision, cache_dir=cache, allow_patterns=small))
        check(folder, flag, name)
        return Path(snapshot_download(name, revision=folder.name, cache_dir=cache, allow_patterns=weights))


def _chosen(files: dict[str, int], wanted: Wanted) -> tuple[list[str], list[str]]:
    """The files to fetch: configuration and tokenizer; weights."""
    if "config.json" not in files:
        raise UserError(f"{wanted} has no config.json on the hub; name an encoder in Hugging Face form.")
    if not any(file in files for file in TOKENIZERS):
        raise UserError(f"{wanted} has no tokenizer on the hub ({' or '.join(TOKENIZERS)}); name another encoder.")
    first = next((file for file in _WEIGHTS if file in files), None)
    if first is None:
        raise UserError(
            f"{wanted} has no weights for PyTorch on the hub (model.safetensors or pytorch_model.bin); name another "
            "encoder."
        )
    weights = [first]
    if first.endswith(".index.json"):
        stem, suffix = first.removesuffix(".index.json").rsplit(".", 1)
        part = re.compile(rf"{stem}-\d+-of-\d+\.{suffix}")
        weights += sorted(file for file in files if part.fullmatch(file))
    return ["config.json", *(file for file in TOKENIZER_FILES if file in files)], weights


def _cached(wanted: Wanted, cache: Path | None) -> Path | None:
    """The snapshot in the cache if it is whole, without asking the hub."""
    from huggingface_hub import errors, snapshot_download

    try:
        # Raises where the listing in the cache names one of these files and it is not there.
        folder = Path(
            snapshot_download(
                wanted.name,
                revision=wanted.revision,
                cache_dir=cache,
                local_files_only=True,
                allow_patterns=["config.json", *TOKENIZER_FILES],
            )
        )
    except (errors.LocalEntryNotFoundError, errors.HFValidationError):
        return None
    if not (folder / "config.json").exists() or not any((folder / file).exists() for file in TOKENIZERS):
        return None
    first = next((folder / file for file in _WEIGHTS if (folder / file).exists()), None)
    return folder if first is not None and all(file.exists() for file in _parts(first)) else None


def _parts(weights: Path) -> list[Path]:
    """The files that weights consist of: those of an index, or the one."""
    if not weights.name.endswith(".index.json"):
        return [weights]
    names = json.loads(weights.read_text(encoding="utf-8"))["weight_map"].values()
    return [weights.parent / name for name in sorted(set(names))]
