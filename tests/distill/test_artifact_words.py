"""What `ls` says of artifacts whose seals their own makers wrote."""

from __future__ import annotations

from pathlib import Path

from distill.artifact_inventory import entries
from distill.artifacts import Store
from distill.models.folder import Head
from distill.tasks import registry, tokens
from distill.tasks.holdout import hold_out
from distill.teacher import finetune
from distill.teacher.adopt import adopt
from distill.teacher.examine import examine
from distill.teacher.facts import MODEL
from distill.teacher.finetune import TeacherRecipe
from distill.training.settings import Numerics, Training
from tests.distill import tiny

COLA = registry.get("cola")


def test_teachers_and_their_readings_go_by_name(store: Store, encoder: Path, cola_tokens: Path) -> None:
    recipe = TeacherRecipe(Training(epochs=1, batch_size=32, max_length=32), lr=1e-8, seed=3)
    made = finetune.finetune(store, encoder, cola_tokens, COLA, recipe, Numerics(), name="google-bert/tiny")
    heads: tuple[Head, ...] = ("own", "relu")
    read = {head: examine(store, made, cola_tokens, COLA, head, Numerics(), 64) for head in heads}
    what = {entry.name: entry.what for entry in entries(store.place)}
    assert what[made.name].startswith("teacher of cola, encoder google-bert/tiny: mcc ")
    for head, words in zip(heads, ("its own head", "a ReLU"), strict=True):
        facts = store.facts(read[head])
        weak = "" if facts["verdict"]["ok"] else ", too weak to teach"
        assert what[read[head].name] == (
            f"answers of teacher google-bert/tiny to the dev rows of cola, read through {words}: "
            f"mcc {facts['score']:.3f}{weak}"
        )
    taken = adopt(store, made / MODEL, cola_tokens, COLA, Numerics(), 64, name="somebody/tiny-cola")
    words = next(entry.what for entry in entries(store.place) if entry.name == taken.name)
    assert words.startswith("teacher of cola, somebody/tiny-cola taken as it was: mcc ")
    # With its teacher gone, a reading still says whose it is as far as its own seal knows.
    alone = Store(store.place / "alone")
    alone.place.mkdir()
    read["relu"].rename(alone.place / read["relu"].name)
    content = store.facts(made)["content"]
    assert f"teacher {content[:8]} " in entries(alone.place)[0].what


def test_held_out_rows_are_not_called_dev(store: Store, encoder: Path) -> None:
    data = hold_out(tiny.data("cola", train=80, dev=24), 0.25, seed=0)
    assert data.report is not None
    rows = tokens.prepare(store, data, encoder, max_length=32)
    recipe = TeacherRecipe(Training(epochs=1, batch_size=32, max_length=32), lr=1e-8, seed=3)
    made = finetune.finetune(store, encoder, rows, COLA, recipe, Numerics(), name="tiny")
    read = examine(store, made, rows, COLA, "relu", Numerics(), 64)
    what = {entry.name: entry.what for entry in entries(store.place)}
    assert what[rows.name] == (
        f"tokens of cola: {len(data.train)} training, {len(data.dev)} held-out and 24 dev rows, at most 32 tokens each"
    )
    assert f"mcc {store.facts(made)['score']:.3f} on held-out rows" in what[made.name]
    assert what[read.name].startswith("answers of teacher tiny to the held-out rows of cola, read through a ReLU: mcc ")
