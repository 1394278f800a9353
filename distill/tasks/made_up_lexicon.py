"""Words of the made-up acceptability data: pure tables, and how their short notation is inflected.

Every table is a pair: words that may occur anywhere, and words held out for the dev split, so that a model
has to generalise beyond the words it was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Table(Generic[T_co]):
    """Words of one class: ``shared`` by both splits and ``held_out`` for dev only."""

    shared: tuple[T_co, ...]
    held_out: tuple[T_co, ...] = ()


@dataclass(frozen=True)
class Noun:
    """A count noun; ``gender`` is "m", "f" or "" where the noun itself leaves it open."""

    singular: str
    plural: str
    gender: str = ""


@dataclass(frozen=True)
class Verb:
    """The five forms of a verb; ``particle`` is its preposition or particle, if it has one.

    A stative verb is never put into the progressive.
    """

    base: str
    third: str
    past: str
    participle: str
    ing: str
    particle: str = ""
    stative: bool = False


@dataclass(frozen=True)
class Adjective:
    """An adjective with its comparative ("taller", "more famous")."""

    plain: str
    comparative: str


_VOWELS = "aeiou"


def _add_s(word: str) -> str:
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2] not in _VOWELS:
        return word[:-1] + "ies"
    return word + "s"


def noun(note: str) -> Noun:
    """Read ``singular[:gender[:plural]]``, for example ``woman:f:women``."""
    singular, gender, plural = (*note.split(":"), "", "")[:3]
    return Noun(singular, plural or _add_s(singular), gender)


def verb(note: str) -> Verb:
    """Read ``base[/past/participle][+][!][_particle]``.

    Without past and participle the verb is regular; ``+`` doubles its last letter, ``!`` makes it stative.
    """
    note, _, particle = note.partition("_")
    stative, doubled = "!" in note, "+" in note
    base, past, participle = (*note.rstrip("+!").split("/"), "", "")[:3]
    stem = base + base[-1] if doubled else base
    if not past:
        if base.endswith("e"):
            past = base + "d"
        elif base.endswith("y") and base[-2] not in _VOWELS:
            past = base[:-1] + "ied"
        else:
            past = stem + "ed"
    ing = (base[:-1] if base.endswith("e") and not base.endswith("ee") else stem) + "ing"
    return Verb(base, _add_s(base), past, participle or past, ing, particle, stative)


def adjective(note: str) -> Adjective:
    """Read ``plain[/comparative]``; without a comparative it is formed with "more"."""
    plain, _, comparative = note.partition("/")
    return Adjective(plain, comparative or f"more {plain}")


def _nouns(shared: str, held_out: str = "") -> Table[Noun]:
    return Table(tuple(map(noun, shared.split())), tuple(map(noun, held_out.split())))


def _verbs(shared: str, held_out: str = "") -> Table[Verb]:
    return Table(tuple(map(verb, shared.split())), tuple(map(verb, held_out.split())))


def _adjectives(shared: str, held_out: str = "") -> Table[Adjective]:
    return Table(tuple(map(adjective, shared.split())), tuple(map(adjective, held_out.split())))


def _words(shared: str, held_out: str = "") -> Table[str]:
    return Table(
        tuple(w.strip() for w in shared.split(",")),
        tuple(w.strip() for w in held_out.split(",") if w.strip()),
    )


PERSONS = _nouns(
    "teacher doctor student lawyer nurse farmer child::children driver singer writer guest neighbor dancer "
    "tourist baker soldier pilot manager boy:m girl:f man:m:men woman:f:women king:m queen:f",
    "tailor gardener butcher sailor plumber chemist juror clerk stranger miner monk:m nun:f duke:m duchess:f",
)
GENDERED = _nouns(
    "boy:m girl:f man:m:men woman:f:women king:m queen:f uncle:m aunt:f prince:m princess:f "
    "father:m mother:f brother:m sister:f",
    "monk:m nun:f duke:m duchess:f nephew:m niece:f grandfather:m grandmother:f",
)
THINGS = _nouns(
    "book letter box car picture bag lamp chair table phone ring basket bottle key clock "
    "hat mirror knife::knives bicycle guitar",
    "ladder violin wallet kettle pillow barrel lantern statue hammer blanket",
)
MATTERS = _nouns("plan problem story idea decision secret", "theory proposal mistake rumor")
PLACES = _nouns(
    "garden house river school station hotel church bridge kitchen tree",
    "castle harbor museum barn fountain",
)
MEN = _words("John, Peter, David, Tom, Paul, Robert", "Edward, Simon, Walter")
WOMEN = _words("Mary, Anna, Susan, Emma, Julia, Helen", "Alice, Laura, Martha")

# None of these takes an object.
INTRANSITIVE = _verbs(
    "sleep/slept/slept laugh sneeze yawn arrive smile cough disappear vanish blush snore hesitate complain "
    "apologize fall/fell/fallen",
    "weep/wept/wept stumble tremble nap+ giggle shiver faint frown",
)
# None of these does without its object.
ADMIRE = _verbs(
    "admire! thank blame greet avoid resent! dismiss invite recognize! accompany escort contact",
    "despise! scold befriend accuse adore! rescue flatter mock pursue",
)
REFLEXIVE = _verbs(
    "blame praise criticize defend insult hurt/hurt/hurt admire! trust! describe",
    "despise! flatter injure comfort pity!",
)
FIND = _verbs(
    "find/found/found repair destroy examine describe fix take/took/taken hold/held/held mention "
    "carry replace remove touch",
    "acquire demolish conceal seize/seized/seized inspect obtain crush grab+",
)
# Needs an object and a place.
PUT = _verbs("put/put/put+")
GIVE = _verbs("give/gave/given send/sent/sent show/showed/shown offer lend/lent/lent hand", "mail award")
EXPLAIN = _verbs("explain describe reveal mention announce", "disclose demonstrate")
SAY_THAT = _verbs("think/thought/thought! believe! claim suspect! assume! insist", "reckon! presume! suppose!")
ASK_WHETHER = _verbs("wonder inquire debate investigate", "ponder discuss")
TELL = _verbs("tell/told/told convince persuade inform", "notify remind")
WANT_TO = _verbs("want! decide hope! refuse agree promise", "pretend vow threaten fail")
ENJOY = _verbs("enjoy! avoid dislike! deny consider", "resist postpone risk")
FORCE = _verbs("force persuade encourage allow convince", "urge compel+ permit+")
PICK_UP = _verbs(
    "pick_up throw/threw/thrown_away give/gave/given_back take/took/taken_out put/put/put+_down",
    "bring/brought/brought_back push_away send/sent/sent_back",
)

PERSON_ADJECTIVES = _adjectives(
    "tall/taller old/older young/younger kind/kinder rich/richer famous clever/cleverer careful "
    "friendly/friendlier polite strong/stronger",
    "brave/braver shy/shyer stubborn generous wise/wiser",
)
THING_ADJECTIVES = _adjectives(
    "small/smaller heavy/heavier new/newer old/older expensive beautiful cheap/cheaper dirty/dirtier large/larger",
    "fragile tiny/tinier ancient shiny/shinier",
)
MANNERS = _words("quickly, carefully, quietly, slowly, suddenly", "calmly, clumsily, secretly")
PREPOSITIONS = _words("near, behind, beside, next to", "opposite, close to")
