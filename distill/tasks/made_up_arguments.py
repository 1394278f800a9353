"""Constructions around argument structure: what a verb, a noun or an adjective asks for."""

from __future__ import annotations

from distill.tasks import made_up_lexicon as lexicon
from distill.tasks.made_up_words import Draft, Edit, Style, Words, be, group, have, wrong_forms

_WITH_RECIPIENT = ("find", "fix", "take", "hold", "carry", "obtain", "acquire", "grab")


def intransitive(w: Words) -> Draft:
    """The doctor has vanished quickly behind the house."""
    subject, verb, thing = w.person(None, 0.2), w.word(lexicon.INTRANSITIVE), w.thing()
    tail = w.pick((w.word(lexicon.MANNERS), w.place(), ""))
    finite = group(verb, w.style(verb), subject.plural)
    return Draft(f"{subject} {finite} {tail}.", {"extra_object": f"{subject} {finite} {thing} {tail}."})


def transitive(w: Words) -> Draft:
    """The lawyer next to Mary did not repair the old guitar."""
    subject, verb, thing = w.person(None, 0.2), w.word(lexicon.FIND), w.thing()
    tail = w.pick((w.word(lexicon.MANNERS), w.place(), ""))
    style = w.auxiliary_style(verb)
    finite = group(verb, style, subject.plural)
    head, main = finite.rsplit(" ", 1)
    return Draft(
        f"{subject} {finite} {thing} {tail}.",
        {
            "missing_argument": f"{subject} {finite} {tail}.",
            "auxiliary": f"{subject} {head} {w.pick(wrong_forms(verb, style))} {thing} {tail}.",
            # "has the lamp repaired" would be a causative; this order is none.
            "order": f"{subject} {main} {head} {thing} {tail}.",
        },
    )


def dative(w: Words) -> Draft:
    """Paul lent the singer a guitar, against: Paul explained the singer a plan."""
    subject, other = w.person(), w.person()
    if w.chance():
        verb, thing = w.word(lexicon.GIVE), w.thing()
        finite = group(verb, w.style(verb), subject.plural)
        good = w.pick((f"{other} {thing}", f"{thing} to {other}"))
        return Draft(
            f"{subject} {finite} {good}.", {"extra_object": f"{subject} {finite} {other} {thing} to {w.name()}."}
        )
    verb, thing = w.word(lexicon.EXPLAIN), w.phrase(lexicon.MATTERS)
    finite = group(verb, w.style(verb), subject.plural)
    return Draft(f"{subject} {finite} {thing} to {other}.", {"preposition": f"{subject} {finite} {other} {thing}."})


def put(w: Words) -> Draft:
    """Helen has put the key on the table."""
    verb = w.word(lexicon.PUT)
    subject, thing = w.person(), w.thing()
    finite = group(verb, w.style(verb), subject.plural)
    # "on" would make "put on the hat" of the edit.
    where = f"{w.pick(('under', 'beside', 'near', 'behind'))} {w.phrase(lexicon.THINGS, False, definite=True)}"
    when = w.pick(("", w.word(lexicon.MANNERS)))
    return Draft(
        f"{subject} {finite} {thing} {where} {when}.",
        {"missing_argument": w.pick((f"{subject} {finite} {thing} {when}.", f"{subject} {finite} {where} {when}."))},
    )


def passive(w: Words) -> Draft:
    """The lamps near the chair were repaired by Susan."""
    plural = w.chance()
    # Without verbs that have a second object ("was found a lamp").
    verb = w.word(lexicon.FIND, lambda verb: verb.base not in _WITH_RECIPIENT)
    thing = w.phrase(lexicon.THINGS, plural)
    auxiliary = w.pick((be(plural, True), f"{have(plural)} been", f"{be(plural)} being", "will be"))
    agent = w.person()
    adverb = w.pick(("", "", w.word(lexicon.MANNERS)))
    return Draft(
        f"{thing} {auxiliary} {adverb} {verb.participle} by {agent}.",
        {
            "auxiliary": f"{thing} {auxiliary} {adverb} {w.pick((verb.base, verb.ing))} by {agent}.",
            "extra_object": f"{thing} {auxiliary} {adverb} {verb.participle} {w.thing()} by {agent}.",
        },
    )


def that_or_whether(w: Words) -> Draft:
    """Tom wondered whether the guest had left, and: Tom claimed that the guest had left."""
    subject, sleeper = w.person(), w.person()
    verb, sleep = w.word(w.pick((lexicon.SAY_THAT, lexicon.ASK_WHETHER))), w.word(lexicon.INTRANSITIVE)
    asks = verb in lexicon.ASK_WHETHER.shared + lexicon.ASK_WHETHER.held_out
    right, wrong = ("whether", "that") if asks else ("that", "whether")
    finite = group(sleep, w.style(sleep), sleeper.plural)
    # Negated and future verbs of saying would also take "whether".
    styles: tuple[Style, ...] = ("past", "present", "perfect")
    if subject.text.startswith("the") and w.chance(0.4):
        subject = subject.then(w.attractor(w.chance()))
    start = f"{subject} {group(verb, w.pick(styles), subject.plural)}"
    return Draft(f"{start} {right} {sleeper} {finite}.", {"selection": f"{start} {wrong} {sleeper} {finite}."})


def tell_or_say(w: Words) -> Draft:
    """Julia told the baker that Peter had left."""
    subject, other, sleeper = w.person(), w.person(), w.person()
    tell, sleep = w.word(lexicon.TELL), w.word(lexicon.INTRANSITIVE)
    # "believed Mary that ..." may pass.
    say = w.word(lexicon.SAY_THAT, lambda verb: verb.base != "believe")
    clause = f"that {sleeper} {group(sleep, w.style(sleep), sleeper.plural)}"
    styles: tuple[Style, ...] = ("past", "perfect", "modal", "did_not")
    style = w.pick(styles)
    told, said = group(tell, style, subject.plural), group(say, style, subject.plural)
    if w.chance():
        return Draft(f"{subject} {told} {other} {clause}.", {"missing_argument": f"{subject} {told} {clause}."})
    return Draft(f"{subject} {said} {clause}.", {"extra_object": f"{subject} {said} {other} {clause}."})


def infinitive_or_gerund(w: Words) -> Draft:
    """The sailors avoided opening the box, and: the sailors refused to open the box."""
    subject, verb, thing = w.person(None, 0.2), w.word(lexicon.FIND), w.thing()
    if subject.text.startswith("the") and w.chance(0.4):
        subject = subject.then(w.attractor(not subject.plural))
    wants = w.chance()
    outer = w.word(lexicon.WANT_TO if wants else lexicon.ENJOY)
    finite = group(outer, w.style(outer), subject.plural)
    infinitive, gerund = f"to {verb.base} {thing}", f"{verb.ing} {thing}"
    right, wrong = (infinitive, gerund) if wants else (gerund, infinitive)
    bad: dict[Edit, str] = {"selection": f"{subject} {finite} {wrong}."}
    if wants:
        form = w.pick([f for f in (verb.past, verb.third) if f != verb.base])
        return Draft(f"{subject} {finite} {right}.", {**bad, "double_tense": f"{subject} {finite} to {form} {thing}."})
    return Draft(f"{subject} {finite} {right}.", bad)


def raising_or_control(w: Words) -> Draft:
    """There seems to be a lamp on the table, against: there hopes to be a lamp on the table."""
    raising = w.pick(("seem", "appear", "happen", "tend"))
    control = w.pick(("want", "hope", "try", "refuse", "decide", "intend"))
    thing, person = w.word(lexicon.THINGS), w.person(False)
    sleep = w.word(lexicon.INTRANSITIVE)
    s, t = f"{raising}s", "tries" if control == "try" else f"{control}s"
    kind = w.pick(("there", "it", "that", "control"))
    if kind == "there":
        rest = f"to be a {thing.singular} {w.place()}"
        return Draft(f"there {s} {rest}.", {"expletive": f"there {t} {rest}."})
    if kind == "it":
        clause = f"that {person} {group(sleep, w.style(sleep), False)}"
        s = w.pick(("seems", "appears", "happens", "is likely", "is possible"))
        t = w.pick(("tries", "tends", "is eager", "is able", "wants"))
        return Draft(f"it {s} {clause}.", {"expletive": f"it {t} {clause}."})
    if kind == "that":
        clause = f"that {person} {group(sleep, w.style(sleep), False)}"
        other = w.person(False)
        return Draft(
            f"it {w.pick(('seems', 'appears', 'seemed'))} to {other} {clause}.",
            {"expletive": f"{other} {w.pick(('seems', 'appears', 'seemed'))} {clause}."},
        )
    right = w.pick(("is likely", "is certain", "is eager", "is able", "seems", "hopes"))
    wrong = w.pick(("is possible", "is probable", "is impossible", "enjoys", "is evident"))
    return Draft(f"{person} {right} to {sleep.base}.", {"selection": f"{person} {wrong} to {sleep.base}."})


def particle_verb(w: Words) -> Draft:
    """The guest has picked them up."""
    verb, subject, plural = w.word(lexicon.PICK_UP), w.person(None, 0.2), w.chance()
    finite = group(verb, w.style(verb), subject.plural)
    pronoun = "them" if plural else "it"
    thing = w.phrase(lexicon.THINGS, plural, 0.2)
    tail = w.pick(("", w.word(lexicon.MANNERS)))
    if w.chance(0.6):
        return Draft(
            f"{subject} {finite} {pronoun} {verb.particle} {tail}.",
            {"order": f"{subject} {finite} {verb.particle} {pronoun} {tail}."},
        )
    good = w.pick((f"{finite} {verb.particle} {thing}", f"{finite} {thing} {verb.particle}"))
    return Draft(f"{subject} {good} {tail}.", {"order": f"{subject} {verb.particle} {finite} {thing} {tail}."})


def make_or_force(w: Words) -> Draft:
    """The manager forced them to leave, and: the manager made them leave."""
    subject, other, sleep = w.person(), w.person(), w.word(lexicon.INTRANSITIVE)
    bare = w.chance()
    verb = lexicon.verb("make/made/made") if bare else w.word(lexicon.FORCE)
    if bare and w.chance():
        verb = lexicon.verb("let/let/let+")
    finite = group(verb, w.style(verb), subject.plural)
    modifier = w.pick(("", w.attractor(w.chance()))) if other.text.startswith("the") else ""
    right, wrong = ("", "to") if bare else ("to", "")
    start = f"{subject} {finite} {other} {modifier}"
    bad: dict[Edit, str] = {"selection": f"{start} {wrong} {sleep.base}."}
    if not bare:
        return Draft(
            f"{start} {right} {sleep.base}.",
            {**bad, "missing_argument": f"{subject} {finite} to {sleep.base}."},
        )
    return Draft(f"{start} {right} {sleep.base}.", bad)


CONSTRUCTIONS = (
    intransitive,
    transitive,
    dative,
    put,
    passive,
    that_or_whether,
    tell_or_say,
    infinitive_or_gerund,
    raising_or_control,
    particle_verb,
    make_or_force,
)
