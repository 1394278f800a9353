"""A made-up sentiment task in the manner of tweets: is a sentence negative, neutral or positive about its subject?

Words of praise and blame stand under all labels: what is "anything but terrible" is praised, and who only asks whether
it is good says nothing.
"""

from __future__ import annotations

from distill.tasks import made_up_families as families
from distill.tasks import made_up_meanings as meanings
from distill.tasks.base import Examples
from distill.tasks.made_up_families import Row, somebody
from distill.tasks.made_up_lexicon import Table
from distill.tasks.made_up_words import Words, tidy

VERSION = "1"
"""Part of the data's identity: it changes with every change of the generated sentences."""

LABELS = ("negative", "neutral", "positive")
TRAIN_ROWS = 3900
DEV_ROWS = 900

_PLAIN = ("", "", "very", "really", "so")
_TURNING = ("not", "far from", "anything but", "never", "not at all")
_ASKING = ("I cannot say", "nobody told me", "Mary wants to know", "I did not ask", "we shall see")


def _words(praised: bool) -> Table[str]:
    return meanings.PRAISE if praised else meanings.BLAME


def _judged(w: Words, good: bool) -> str:
    """A predicate that praises or blames, by a word for it or by the contrary of its opposite."""
    turned = w.chance()
    return f"{w.pick(_TURNING if turned else _PLAIN)} {w.word(_words(good != turned))}"


def _family(negative: str, neutral: str, positive: str) -> tuple[Row, Row, Row]:
    bad, none, good = (tidy(text) for text in (negative, neutral, positive))
    return Row(0, bad), Row(1, none), Row(2, good)


def _subject(w: Words) -> str:
    return f"{w.pick(('the', 'the', 'this', 'my', 'their'))} {w.word(meanings.SUBJECTS)}"


def judged(w: Words) -> tuple[Row, Row, Row]:
    """The film was anything but good. I cannot say whether the film was good. The film was not at all bad."""
    subject = _subject(w)
    neutral = f"{w.pick(_ASKING)} whether {subject} was {_judged(w, w.chance())}."
    return _family(f"{subject} was {_judged(w, False)}.", neutral, f"{subject} was {_judged(w, True)}.")


def asked(w: Words) -> tuple[Row, Row, Row]:
    """Nobody told me whether the film was good, but it was terrible (or not terrible; or but Mary was there in May)."""
    start = f"{w.pick(_ASKING)} whether {_subject(w)} was {w.word(_words(w.chance()))}"
    who = w.pick(("Mary", "we", "the boys", "nobody"))
    neutral = f"{w.pick(('it was', f'{who} went there'))} {w.word(meanings.TIMES)}"
    return _family(
        f"{start}, but it was {_judged(w, False)}.",
        f"{start}, but {neutral}.",
        f"{start}, but it was {_judged(w, True)}.",
    )


def foretold(w: Words) -> tuple[Row, Row, Row]:
    """I had hoped that the film would be good, but it was not. Paul said that it would be awful, but it was not."""
    subject, who = _subject(w), somebody(w)
    later = w.pick(("but I was not there", "but we did not see it", "and we shall see", "but it was never there"))

    def start(good: bool) -> str:
        how = ("I had hoped", "we all thought") if good else ("I had feared", "we were afraid")
        return f"{w.pick((*how, f'{who} said', f'{who} thought'))} that {subject} would be {w.word(_words(good))}"

    def end(good: bool) -> str:
        return f"{start(good)}, and it was." if w.chance() else f"{start(not good)}, but it was not."

    return _family(end(False), f"{start(w.chance())}, {later}.", end(True))


def liked(w: Words) -> tuple[Row, Row, Row]:
    """There was nothing that Mary liked about the film. Some of us liked it and others hated it. We liked the film."""
    subject, who = _subject(w), w.pick(("I", "we", "all of us", f"{somebody(w)}"))

    def verb(good: bool) -> str:
        return w.word(meanings.LIKING if good else meanings.DISLIKING).past

    def said(good: bool) -> str:
        if w.chance():
            return f"{who} {verb(good)} {subject}."
        return f"there was nothing about {subject} that {who} {verb(not good)}."

    first = w.chance()
    both = f"some of us {verb(first)} {subject} and others {verb(not first)} it."
    return _family(said(False), w.pick((both, f"{w.pick(_ASKING)} whether {who} {verb(first)} {subject}.")), said(True))


def changed(w: Words) -> tuple[Row, Row, Row]:
    """Some of us used to love the film, but now we hate it. Some of us used to love it, but others used to hate it."""
    subject, good, bad = _subject(w), w.word(meanings.LIKING).base, w.word(meanings.DISLIKING).base
    who, they = w.pick((("I", "I"), ("some of us", "we all"), ("others", "they")))

    def said(before: str, now: str) -> str:
        return w.pick(
            (
                f"{who} used to {before} {subject}, but now {they} {now} it.",
                f"now {they} {now} {subject}, but {who} used to {before} it.",
            )
        )

    one, other = w.pick(((good, bad), (bad, good)))
    neutral = f"some of us used to {one} {subject}, but others used to {other} it."
    return _family(said(good, bad), neutral, said(bad, good))


def remarked(w: Words) -> tuple[Row, Row, Row]:
    """The film that was here in May was terrible. The film that Tom called terrible was here in May."""
    subject, when = f"the {w.word(meanings.SUBJECTS)}", w.word(meanings.TIMES)
    who = w.pick((f"{somebody(w)}", "nobody", "everybody"))
    start, other = (f"{subject} that {who} called {w.word(_words(w.chance()))}" for _ in range(2))
    start = w.pick((start, f"{subject} that was here {when}"))
    neutral = f"{other} was here {when}."
    return _family(f"{start} was {_judged(w, False)}.", neutral, f"{start} was {_judged(w, True)}.")


_TURNS = families.turns({judged: 5, liked: 4, asked: 5, foretold: 2, changed: 2, remarked: 3})


def generate_examples(
    seed: int = 0, train_rows: int = TRAIN_ROWS, dev_rows: int = DEV_ROWS, name: str = "made_up_sentiment"
) -> tuple[list[Row], list[Row]]:
    """Train and dev rows; see `made_up_families.rows`."""
    return families.rows(name, seed, _TURNS, train_rows, dev_rows)


def splits(seed: int = 0, train_rows: int = TRAIN_ROWS, dev_rows: int = DEV_ROWS) -> tuple[Examples, Examples]:
    """Train and dev of one data set: sentences with the ids of `LABELS`."""
    train, dev = generate_examples(seed, train_rows, dev_rows)
    return families.examples(train), families.examples(dev)
