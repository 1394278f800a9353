"""Word vectors from a text file, and the words nearest to one. Imports without torch."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from distill.errors import UserError

# Lines that are read: files of this form list the most frequent words first, and the reference reads as many.
MOST = 100_000


class Vectors:
    """Words with their vectors.

    Args:
        words: All different.
        values: float32 [n, d].
    """

    def __init__(self, words: list[str], values: np.ndarray) -> None:
        self.words = words
        lengths = np.linalg.norm(values, axis=1, keepdims=True)
        self._unit = values / np.where(lengths > 0, lengths, 1)
        self._place = {word: i for i, word in enumerate(words)}
        # A word of numbers or signs is no word to write.
        self._fit = np.array([word.isalpha() for word in words])
        self._known: dict[tuple[int, int], tuple[str, ...]] = {}

    def near(self, word: str, count: int) -> tuple[str, ...]:
        """The `count` other words whose vectors are nearest by cosine; none where it has none.

        A word that is not in the file as it is written is looked up in small letters. In alphabetical order.
        """
        place = self._place.get(word, self._place.get(word.lower()))
        if place is None:
            return ()
        count = min(count, len(self.words))
        if (place, count) not in self._known:
            likeness = np.where(self._fit, self._unit @ self._unit[place], -np.inf)
            # Nearest of all is the word itself, whose place would be lost to another.
            likeness[place] = -np.inf
            nearest = np.argpartition(-likeness, count - 1)[:count]
            self._known[place, count] = tuple(sorted(self.words[i] for i in nearest if np.isfinite(likeness[i])))
        return self._known[place, count]

    def fingerprint(self) -> str:
        """sha256 (hex) of words and directions."""
        digest = hashlib.sha256("\n".join(self.words).encode())
        digest.update(self._unit.astype("<f4").tobytes())
        return digest.hexdigest()


def read(file: Path, flag: str = "--vectors", most: int = MOST) -> Vectors:
    """The first `most` lines of a file in GloVe's form: a word and its numbers, separated by spaces.

    A first line of two numbers, as word2vec's form has it, is left out.

    Raises:
        UserError: It is missing, not text, or a line has another form; one sentence with the line's number.
    """
    words: dict[str, None] = {}
    rows: list[np.ndarray] = []
    try:
        with file.open(encoding="utf-8", newline="\n") as stream:
            for number, line in enumerate(stream, 1):
                if number > most:
                    break
                word, values = _split(line, rows[0].size if rows else None)
                if not line.strip() or (number == 1 and values.size == 1 and word.isdecimal()):
                    continue
                if not rows and values.size < 2:
                    raise UserError(f"{flag} {file}, line {number}: no numbers behind the word; expected GloVe's form.")
                if rows and values.size != rows[0].size:
                    raise UserError(
                        f"{flag} {file}, line {number}: {values.size} numbers where the lines before have "
                        f"{rows[0].size}; expected GloVe's form, a word and its numbers."
                    )
                if not np.isfinite(values).all():
                    raise UserError(f"{flag} {file}, line {number}: a number is not finite; take the line out.")
                if word not in words:
                    words[word] = None
                    rows.append(values)
    except UnicodeDecodeError:
        raise UserError(f"{flag} {file} is not UTF-8 text; name a file in GloVe's form.") from None
    except OSError as error:
        raise UserError(f"{flag} {file} cannot be read ({error.strerror}); name a file in GloVe's form.") from None
    except ValueError:
        raise UserError(
            f"{flag} {file}, line {number}: not a word and its numbers, separated by spaces; expected GloVe's form."
        ) from None
    if not rows:
        raise UserError(f"{flag} {file} holds no vectors; name a file in GloVe's form.")
    return Vectors(list(words), np.stack(rows))


def _split(line: str, width: int | None) -> tuple[str, np.ndarray]:
    """Word and numbers of a line; a few words of published files have spaces in them.

    Raises:
        ValueError: It has another form.
    """
    cells = line.rstrip("\r\n ").split(" ")
    numbers = cells[1:] if width is None else cells[-width:] if len(cells) > width else cells[1:]
    return " ".join(cells[: len(cells) - len(numbers)]), np.array([float(cell) for cell in numbers], dtype=np.float32)


__all__ = ["MOST", "Vectors", "read"]
