"""What may take the place of each word of a text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from distill.augment.draw import Slot
from distill.augment.masked import MaskedModel, Query
from distill.augment.vectors import Vectors
from distill.augment.words import replaceable, written_like


@dataclass(frozen=True)
class _Encoded:
    """A text twice in one input, with special tokens: the first copy is for masks, the second stays as it is.

    Attributes:
        ids, types: Token and segment ids.
        first, second: Where the tokens of each copy stand.
        spans: (start, end) in the text of each token of the first copy, without white space.
    """

    ids: list[int]
    types: list[int]
    first: list[int]
    second: list[int]
    spans: list[tuple[int, int]]


class Candidates:
    """Finds them once for every word, as Algorithm 1 of TinyBERT (Jiao et al., 2020) does.

    A word that is one piece of the vocabulary gets the likeliest whole words at its place, where the input is the text
    with the word masked and, as a second segment, the text itself. A word of several pieces gets its nearest neighbours
    among the vectors, or keeps itself where they do not have it; without vectors all its pieces are masked together, by
    one mask, and it gets whole words like the others.

    Args:
        model: Fills the masks.
        vectors: None where there are none.
        count: Candidates of a word, at most.
        batch: Masks per forward pass.

    Attributes:
        counts: How many words were `masked`, `near` (by vectors) or `kept` so far.
    """

    def __init__(self, model: MaskedModel, vectors: Vectors | None, count: int, batch: int) -> None:
        self._model, self._vectors, self._count, self._batch = model, vectors, count, batch
        self.counts: Counter[str] = Counter()

    def of(self, texts: Sequence[str], told: Callable[[float], None] = lambda share: None) -> list[tuple[Slot, ...]]:
        """For each text the words that may be replaced, in their order.

        Args:
            told: Called now and then with the share of the work that is done.
        """
        slots: list[dict[int, Slot]] = [{} for _ in texts]
        queries: list[Query] = []
        asked: list[tuple[int, int, int]] = []
        for number, (text, encoded) in enumerate(zip(texts, self._encode(texts), strict=True)):
            for start, end in replaceable(text):
                pieces = [i for i, (a, b) in enumerate(encoded.spans) if a < end and b > start]
                inside = bool(pieces) and (encoded.spans[pieces[0]][0], encoded.spans[pieces[-1]][1]) == (start, end)
                if self._vectors is not None and not (inside and self._whole(encoded, pieces)):
                    near = self._vectors.near(text[start:end], self._count)
                    if near:
                        slots[number][start] = _slot(text, start, end, near)
                    self.counts["near" if near else "kept"] += 1
                elif inside:
                    queries.append(self._query(encoded, pieces))
                    asked.append((number, start, end))
                else:
                    # A piece that reaches beyond the word cannot be masked for it alone.
                    self.counts["kept"] += 1
        self.counts["masked"] += len(queries)
        words = self._model.likeliest(queries, self._count, self._batch, lambda done: told(done / len(queries)))
        for (number, start, end), found in zip(asked, words, strict=True):
            slots[number][start] = _slot(texts[number], start, end, found)
        return [tuple(found[start] for start in sorted(found)) for found in slots]

    def _encode(self, texts: Sequence[str]) -> list[_Encoded]:
        if not texts:
            return []
        found = []
        encodings = self._model.tokenizer(list(texts), list(texts), truncation=False, padding=False).encodings
        for text, encoding in zip(texts, encodings, strict=True):
            copies = encoding.sequence_ids
            first, second = ([i for i, copy in enumerate(copies) if copy == side] for side in (0, 1))
            offsets = encoding.offsets
            spans = [_trimmed(text, *offsets[i]) for i in first]
            found.append(_Encoded(encoding.ids, encoding.type_ids, first, second, spans))
        return found

    def _whole(self, encoded: _Encoded, pieces: list[int]) -> bool:
        """Whether these pieces of the first copy are one word of the vocabulary."""
        return len(pieces) == 1 and encoded.ids[encoded.first[pieces[0]]] != self._model.tokenizer.unk_token_id

    def _query(self, encoded: _Encoded, pieces: list[int]) -> Query:
        """The input with one mask in place of these pieces of the first copy, cut to what the model can read."""
        place, last = encoded.first[pieces[0]], encoded.first[pieces[-1]]
        mask = self._model.tokenizer.mask_token_id
        keep = [i for i in range(len(encoded.ids)) if not place < i <= last]
        if len(keep) > self._model.longest:
            special = len(encoded.ids) - len(encoded.first) - len(encoded.second)
            most = (self._model.longest - special) // 2
            own = [i for i in encoded.first if not place < i <= last]
            # Both copies are cut to the same stretch around the word.
            dropped = {*own, *encoded.second}
            dropped -= {*_around(own, own.index(place), most), *_around(encoded.second, pieces[0], most)}
            keep = [i for i in keep if i not in dropped]
        ids = [mask if i == place else encoded.ids[i] for i in keep]
        return Query(ids, [encoded.types[i] for i in keep], keep.index(place))


def _around(tokens: list[int], centre: int, most: int) -> list[int]:
    """At most so many tokens, those around one of them."""
    start = max(0, min(centre - most // 2, len(tokens) - most))
    return tokens[start : start + most]


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """A piece's place without the white space that some tokenizers count to it."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _slot(text: str, start: int, end: int, found: Sequence[str]) -> Slot:
    word = text[start:end]
    return Slot(start, end, tuple(dict.fromkeys(written_like(word, other) for other in found)))
