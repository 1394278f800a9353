"""What a text must be, whatever file it is read from."""

from __future__ import annotations

# Of these encoders the longest reads 8192 tokens, about 40,000 characters; a novel's chapter still fits.
LONGEST = 200_000


def fault(text: str) -> str | None:
    r"""What is wrong with a text that is there, as the end of a sentence: "the text in column 'text' ..."; else None.

    JSON and Python may hold halves of characters, such as "\ud83d" alone. A text far longer than any that people
    write as one is rows that ran together.
    """
    if len(text) > LONGEST:
        return (
            f"has {len(text):,} characters, and {LONGEST:,} are the most; cut it off, or, where rows ran together, "
            "write the line break or quote that is missing"
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return (
            "has half of a character (a lone surrogate), which no text file can hold; write the whole one, or leave it "
            "out"
        )
    return None
