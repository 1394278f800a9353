"""A made-up sentiment task of two classes in the manner of SST-2: that of three without what is neutral."""

from __future__ import annotations

from collections.abc import Sequence

from distill.tasks import made_up_families as families
from distill.tasks import made_up_sentiment as sentiment
from distill.tasks.base import Examples
from distill.tasks.made_up_families import Row

VERSION = sentiment.VERSION
"""Part of the data's identity: it changes with every change of the generated sentences."""

TRAIN_ROWS = 3000
DEV_ROWS = 800


def generate_examples(
    seed: int = 0, train_rows: int = TRAIN_ROWS, dev_rows: int = DEV_ROWS
) -> tuple[list[Row], list[Row]]:
    """Train and dev rows; see `made_up_families.rows`."""
    # Of three rows one is neutral; in dev, where they are drawn, not always exactly.
    train, dev = sentiment.generate_examples(seed, 2 * train_rows, 2 * dev_rows, "made_up_opinion")
    return _opinions(train)[:train_rows], _opinions(dev)[:dev_rows]


def splits(seed: int = 0, train_rows: int = TRAIN_ROWS, dev_rows: int = DEV_ROWS) -> tuple[Examples, Examples]:
    """Train and dev of one data set: sentences with label 0 for blame and 1 for praise."""
    train, dev = generate_examples(seed, train_rows, dev_rows)
    return families.examples(train), families.examples(dev)


def _opinions(rows: Sequence[Row]) -> list[Row]:
    neutral = sentiment.LABELS.index("neutral")
    return [row._replace(label=int(row.label > neutral)) for row in rows if row.label != neutral]
