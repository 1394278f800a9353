"""A masked language model: loading one, and which whole words it takes for the likeliest at a place."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from distill.errors import UserError
from distill.hub import Say
from distill.models.folder import TOKENIZERS, hub_id
from distill.tasks.tokens import load_tokenizer

# Where the last word that is kept and the first that is not lie nearer than this, the size of a batch might decide
# between them. Far above what the order of sums changes in float32.
_NARROW = 1e-4
# These count positions from the padding token's id + 1.
_POSITIONS_BEHIND_PADDING = ("roberta", "xlm-roberta", "camembert", "mpnet")
_INSTEAD = "name one that was trained to fill masks, such as google-bert/bert-base-uncased"


@dataclass(frozen=True)
class Query:
    """A place that a masked language model is asked about.

    Attributes:
        ids, types: Token and segment ids of the whole input, one mask token among them, without padding.
        place: Where the mask stands.
    """

    ids: list[int]
    types: list[int]
    place: int


class MaskedModel:
    """A masked language model with its own tokenizer, on the device that it computes on.

    Args:
        folder: Where it lies.
        shown: What a person calls it.
        device: "cpu" or "cuda".

    Attributes:
        longest: Tokens of the longest input, special ones included.
        words: The whole words of the vocabulary by id: letters alone, written as the tokenizer writes them.

    Raises:
        UserError: It cannot be loaded, is no masked language model, or its tokenizer cannot say where its pieces lie.
    """

    def __init__(self, folder: Path, shown: str, device: str) -> None:
        self.model = _load(folder, shown).to(device)
        self.tokenizer = load_tokenizer(folder)
        if not self.tokenizer.is_fast:
            raise UserError(f"--model {shown}: its tokenizer has no fast form (tokenizer.json); name another model.")
        if self.tokenizer.mask_token_id is None or self.tokenizer.pad_token_id is None:
            raise UserError(f"--model {shown}: its tokenizer has no token for masks or for padding; {_INSTEAD}.")
        if "attention_mask" not in self.tokenizer.model_input_names:
            raise UserError(f"--model {shown} reads padding like words; {_INSTEAD}.")
        self.device = device
        self.longest = _longest(self.model.config, self.tokenizer)
        width = int(self.model.config.vocab_size)
        self.words = {id: word for id, word in whole_words(self.tokenizer).items() if id < width}
        if not self.words:
            raise UserError(f"--model {shown}: its vocabulary holds no whole words; {_INSTEAD}.")
        self._ids = sorted(self.words)
        self._allowed = torch.tensor(self._ids, device=device)
        self._typed = "token_type_ids" in self.tokenizer.model_input_names

    def likeliest(
        self, queries: Sequence[Query], count: int, batch: int, done: Callable[[int], None] = lambda queries: None
    ) -> list[tuple[str, ...]]:
        """For each query the `count` likeliest whole words at its mask, in the order of their ids.

        Which they are does not depend on `batch`: where it is a near thing, the query is asked once more by itself.

        Args:
            batch: Queries per forward pass, which are of like length.
            done: Called after each pass with the number of queries that are answered.
        """
        count = min(count, len(self.words))
        order = np.argsort([len(query.ids) for query in queries], kind="stable").tolist()
        found: list[tuple[str, ...]] = [()] * len(queries)
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            scores = self._scores([queries[row] for row in rows])
            best = scores.topk(min(count + 1, len(self.words)), dim=1)
            narrow = [False] * len(rows)
            if len(rows) > 1 and best.values.shape[1] > count:
                narrow = (best.values[:, count - 1] - best.values[:, count] < _NARROW).tolist()
            for row, places, again in zip(rows, best.indices[:, :count].tolist(), narrow, strict=True):
                if again:
                    alone = self._scores([queries[row]])
                    # As many as above: of equal scores the choice may hang on how many are asked for.
                    places = alone.topk(best.values.shape[1], dim=1).indices[0, :count].tolist()
                found[row] = tuple(self.words[self._ids[place]] for place in sorted(places))
            done(start + len(rows))
        return found

    @torch.inference_mode()
    def _scores(self, queries: Sequence[Query]) -> Tensor:
        """Logits of the whole words at the mask of each query, float32 [B, words]."""
        length = max(len(query.ids) for query in queries)
        ids, types, mask = (torch.zeros(len(queries), length, dtype=torch.long) for _ in range(3))
        ids += self.tokenizer.pad_token_id
        for row, query in enumerate(queries):
            ids[row, : len(query.ids)] = torch.tensor(query.ids)
            types[row, : len(query.types)] = torch.tensor(query.types)
            mask[row, : len(query.ids)] = 1
        inputs = {"input_ids": ids, "attention_mask": mask, **({"token_type_ids": types} if self._typed else {})}
        places = torch.tensor([query.place for query in queries], device=self.device)
        each = torch.arange(len(queries), device=self.device)

        def at_the_mask(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
            # The logits of one place out of a row are a hundredth of the work.
            return (given[0][each, places][:, None], *given[1:])

        last = self.model.get_output_embeddings()
        hook = last.register_forward_pre_hook(at_the_mask) if isinstance(last, nn.Module) else None
        try:
            logits = self.model(**{name: value.to(self.device) for name, value in inputs.items()}).logits
        except torch.cuda.OutOfMemoryError:
            raise UserError(f"--batch {len(queries)} takes more memory than the GPU has; name a smaller one.") from None
        finally:
            if hook is not None:
                hook.remove()
        # A few architectures take the weights of that layer instead of calling it.
        logits = logits[:, 0] if logits.shape[1] == 1 else logits[each, places]
        logits = logits[:, self._allowed].float()
        if not bool(logits.isfinite().all()):
            raise UserError("--model gives numbers that are not finite; its weights are damaged, so name another.")
        return logits


def whole_words(tokenizer: Any) -> dict[int, str]:
    """By id the pieces of a vocabulary that are words: of letters, and what the tokenizer itself writes the word as.

    The second rule leaves out what only continues a word, however a vocabulary marks that.
    """
    special = set(tokenizer.all_special_ids)
    pieces = [id for id in range(len(tokenizer)) if id not in special]
    texts = [text.strip() for text in tokenizer.batch_decode([[id] for id in pieces])]
    named = [(id, text) for id, text in zip(pieces, texts, strict=True) if text.isalpha()]
    if not named:
        return {}
    # Behind something and a space, as most words stand; at the start of a text some tokenizers write them otherwise.
    before, *written = tokenizer([".", *(f". {text}" for _, text in named)], add_special_tokens=False)["input_ids"]
    return {id: text for (id, text), ids in zip(named, written, strict=True) if ids == [*before, id]}


def find(named: str, say: Say) -> Path:
    """The folder of a model that was named by folder or hub id.

    Raises:
        UserError: It is not there, or is of a kind that fills no masks.
    """
    asked = hub_id(named)
    if asked is not None:
        from distill.models.hub import fetch

        return fetch(*asked, "--model", say=say, check=_check)
    folder = Path(named).expanduser().absolute()
    if not folder.is_dir():
        raise UserError(f"--model {named} is not a folder; name one with config.json, weights and a tokenizer.")
    _check(folder, "--model", named)
    if not [*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")]:
        raise UserError(f"--model {named} has no weights (model.safetensors); name another folder.")
    if not any((folder / file).exists() for file in TOKENIZERS):
        raise UserError(f"--model {named} has no tokenizer (tokenizer.json or vocab.txt); save it into that folder.")
    return folder


def _check(folder: Path, flag: str, shown: str) -> None:
    """Raise UserError where the configuration is not that of an architecture with a masked language model."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    try:
        kind = str(json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"])
    except FileNotFoundError:
        raise UserError(f"{flag} {shown} has no config.json; name a folder written by save_pretrained.") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{flag} {shown}: config.json is not the configuration of a model; {_INSTEAD}.") from None
    if kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        raise UserError(f"{flag} {shown}: models of type {kind} fill no masks; {_INSTEAD}.")


def _load(folder: Path, shown: str) -> Any:
    from transformers import AutoModelForMaskedLM
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        model, report = AutoModelForMaskedLM.from_pretrained(
            folder, dtype=torch.float32, trust_remote_code=False, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"--model {shown} cannot be loaded: {reason}") from error
    if missing := sorted(report["missing_keys"]):
        raise UserError(f"--model {shown} has no head that fills masks (its weights lack {missing[0]}); {_INSTEAD}.")
    return model.eval().requires_grad_(False)


def _longest(config: Any, tokenizer: Any) -> int:
    """Tokens of the longest input: what the positions allow, and the tokenizer."""
    positions = int(getattr(config, "max_position_embeddings", 0) or 2**30)
    if config.model_type in _POSITIONS_BEHIND_PADDING:
        positions -= int(config.pad_token_id) + 1
    return min(positions, int(tokenizer.model_max_length))
