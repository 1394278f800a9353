"""What lies on disk is what the teacher answers, to the rounding that is stated, and nothing else passes for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distill.artifacts import SEAL, Store
from distill.errors import UserError
from distill.tasks import registry
from distill.teacher import cached, outputs, parts
from distill.teacher.cached import CachedTeacher, DamagedOutputs
from distill.teacher.parts import Kept
from distill.training.batching import Tokens
from distill.training.settings import Numerics
from tests.distill import tiny
from tests.distill.teacher import kept

# Half the distance of neighbouring float16 numbers, relative; below 2^-14 they are 2^-24 apart.
ROUNDING = {"rtol": 2.0**-11, "atol": 2.0**-25}
# Float32 sums in another order, as batches of other rows make them.
ORDER = {"rtol": 1e-5, "atol": 1e-5}
CHOSEN = [5, 0, 31, 17, 44, 2, 9]


def allowed(name: str, exact: torch.Tensor) -> dict[str, float]:
    if name in ("logits", "cls"):
        return ORDER
    return {"rtol": ROUNDING["rtol"] + ORDER["rtol"], "atol": ROUNDING["atol"] + ORDER["atol"]}


def zeroed(name: str, values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Without what the network computes at padded places."""
    real = mask.bool()
    if name in ("hidden", "query", "key", "value"):
        return values.float() * real[None, :, :, None]
    if name == "scores":
        return values.float() * real[None, :, None, :, None] * real[None, :, None, None, :]
    return values.float()


@pytest.mark.parametrize("length", [None, 20])
@pytest.mark.parametrize("task", ["cola", "stsb"])
def test_answers_are_the_teachers(store: Store, task: str, length: int | None) -> None:
    inputs = kept.batch(store, CHOSEN, task, length)
    needs = frozenset(kept.EVERYTHING)
    exact = kept.online(store, task).answer(np.array(CHOSEN), inputs, needs)
    found = CachedTeacher(kept.written(store, task=task)).answer(np.array(CHOSEN), inputs, needs)
    assert inputs["attention_mask"].sum(1).unique().numel() > 2
    for name in kept.EVERYTHING:
        mine, theirs = getattr(found, name), zeroed(name, getattr(exact, name), inputs["attention_mask"])
        assert mine.dtype == torch.float32
        torch.testing.assert_close(mine, theirs, **allowed(name, theirs))
        assert mine.abs().max() > 0.1
    assert not torch.equal(found.cls, found.hidden[:, :, 0])
    torch.testing.assert_close(found.cls, found.hidden[:, :, 0], **ROUNDING)


def test_no_number_is_rounded_by_more_than_half_a_step(store: Store) -> None:
    """Row by row, as the pass reads them: what differs is the rounding to float16 alone, bit for bit."""
    source, made = kept.online(store), CachedTeacher(kept.written(store))
    rows = kept.train_rows(store)
    order = np.argsort(rows.lengths, kind="stable")
    inputs = {name: value for name, value in rows.batch(order).items() if name != "labels"}
    exact = source.answer(order, inputs, frozenset(kept.EVERYTHING))
    found = made.answer(order, inputs, frozenset(kept.EVERYTHING))
    assert torch.equal(found.logits, exact.logits)
    assert torch.equal(found.cls, exact.cls)
    for name in parts.LARGE:
        theirs = zeroed(name, getattr(exact, name).half(), inputs["attention_mask"])
        assert torch.equal(getattr(found, name), theirs), name


def test_under_bfloat16_the_rounding_is_the_same(store: Store) -> None:
    half = Numerics(autocast="bfloat16")
    made = CachedTeacher(kept.written(store, numerics=half))
    rows = kept.train_rows(store)
    order = np.argsort(rows.lengths, kind="stable")
    inputs = {name: value for name, value in rows.batch(order).items() if name != "labels"}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        exact = kept.online(store, autocast="bfloat16").answer(order, inputs, frozenset(kept.EVERYTHING))
    found = made.answer(order, inputs, frozenset(kept.EVERYTHING))
    assert torch.equal(found.logits, exact.logits.float())
    theirs = zeroed("hidden", exact.hidden, inputs["attention_mask"])
    torch.testing.assert_close(found.hidden, theirs, **ROUNDING)


def test_nothing_is_kept_that_nobody_needs(store: Store) -> None:
    folder = kept.written(store, parts.kept({"logits", "scores"}))
    assert {file.name for file in folder.iterdir()} == {"logits.npy", "cls.npy", "scores.npy", "rows.npz", SEAL}
    made = CachedTeacher(folder)
    assert made.parts == {"logits", "cls", "scores"}
    inputs = kept.batch(store, CHOSEN)
    answer = made.answer(np.array(CHOSEN), inputs, frozenset({"logits"}))
    assert (answer.hidden, answer.scores, answer.cls) == (None, None, None)
    with pytest.raises(ValueError, match="holds no hidden"):
        made.answer(np.array(CHOSEN), inputs, frozenset({"logits", "hidden"}))


def test_its_size_is_the_one_that_plans_reckon_with(store: Store) -> None:
    for chosen in (parts.kept({"logits"}), parts.kept({"hidden"}), parts.kept({"hidden", "scores", "value"})):
        folder = kept.written(store, chosen)
        facts = store.facts(folder)
        arrays = {part: np.load(folder / f"{part}.npy") for part in chosen}
        assert sum(array.nbytes for array in arrays.values()) == facts["bytes"]
    teacher = cached.Shape(3, 16, 2)
    assert parts.size(kept.EVERYTHING, teacher, 2, np.array([2, 5])) == (
        2 * 2 * 4 + 2 * 4 * 16 * 4 + 7 * 4 * 16 * 2 + (4 + 25) * 3 * 2 * 2 + 3 * 7 * 3 * 16 * 2
    )
    assert arrays["logits"].shape == (48, 2)
    assert arrays["cls"].shape == (48, 4, 16)


def test_batches_of_the_pass_are_bounded_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "_TOKENS", 40)
    monkeypatch.setattr(outputs, "_ROWS", 5)
    lengths = np.sort(np.random.default_rng(0).integers(3, 60, 50))
    batches = list(outputs._batches(np.arange(50), lengths))
    assert np.concatenate(batches).tolist() == list(range(50))
    assert all(len(b) == 1 or (len(b) <= 5 and len(b) * lengths[b].max() <= 40) for b in batches)
    assert max(map(len, batches)) == 5


def test_rows_of_another_data_set_are_refused(store: Store) -> None:
    made = CachedTeacher(kept.written(store))
    inputs = kept.batch(store, [5, 0, 31])
    for rows in ([5, 0, 44], [5, 0], [5, 31, 0]):
        with pytest.raises(ValueError, match="other rows"):
            made.answer(np.array(rows), inputs, frozenset({"logits"}))
    narrow = {name: value[:, :-1] for name, value in inputs.items()}
    with pytest.raises(ValueError, match="other rows"):
        made.answer(np.array([5, 0, 31]), narrow, frozenset({"logits"}))


@pytest.mark.parametrize("part", kept.EVERYTHING)
def test_a_flipped_bit_is_never_answered(store: Store, part: str) -> None:
    folder = kept.written(store)
    kept.flip(folder / f"{part}.npy")
    made = CachedTeacher(folder)
    rows = kept.train_rows(store)
    longest, others = int(np.argsort(rows.lengths, kind="stable")[-1]), [int(np.argmin(rows.lengths))]
    needs = frozenset(kept.EVERYTHING)
    # Only the row that is damaged.
    made.answer(np.array(others), kept.batch(store, others), needs)
    with pytest.raises(DamagedOutputs, match=rf"{part}.npy is not as it was written.*next start"):
        made.answer(np.array([longest]), kept.batch(store, [longest]), needs)


def test_files_that_are_cut_or_gone_are_told_at_once(store: Store) -> None:
    folder = kept.written(store)
    for name, harm in (
        ("hidden.npy", lambda file: file.write_bytes(file.read_bytes()[:-2])),
        ("scores.npy", lambda file: file.unlink()),
        ("rows.npz", kept.flip),
        (SEAL, lambda file: file.write_text("{")),
        ("logits.npy", lambda file: np.save(file, np.zeros((3, 2), np.float32))),
    ):
        before = (folder / name).read_bytes()
        harm(folder / name)
        with pytest.raises(DamagedOutputs, match="are damaged"):
            CachedTeacher(folder)
        (folder / name).write_bytes(before)
    CachedTeacher(folder)


def test_what_is_damaged_is_made_again_the_same(store: Store) -> None:
    folder = kept.written(store)
    before = {file.name: file.read_bytes() for file in folder.glob("*.npy")}
    key = folder.name.partition("-")[2]
    kept.flip(folder / "scores.npy", 500)
    assert store.get(outputs.KIND, key) is None
    assert kept.written(store) == folder
    assert {file.name: file.read_bytes() for file in folder.glob("*.npy")} == before
    assert store.get(outputs.KIND, key) == folder


@pytest.mark.parametrize("value", [7e4, -7e4, float("inf"), float("nan")])
@pytest.mark.parametrize(("part", "named"), [("hidden", "hidden states"), ("scores", "attention scores")])
def test_numbers_that_float16_cannot_hold_are_one_sentence(
    store: Store, monkeypatch: pytest.MonkeyPatch, part: str, named: str, value: float
) -> None:
    plain = outputs.OnlineTeacher.answer

    def huge(self: Any, *arguments: Any) -> Any:
        answer = plain(self, *arguments)
        if (values := getattr(answer, part)) is not None:
            # At one real place of one row.
            values.view(-1)[0] = value
        return answer

    monkeypatch.setattr(outputs.OnlineTeacher, "answer", huge)
    words = f"{named} reach 70000, more than the 65504 that float16 holds; --cache-gb 0"
    if abs(value) != 7e4:
        words = f"{named} are not finite at some row, so it cannot teach"
    with pytest.raises(UserError, match=words):
        kept.written(store)
    assert not list(store.place.glob("*outputs-*"))
    kept.written(store, parts.kept({"logits"}))


def test_padded_places_may_hold_anything(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = outputs.OnlineTeacher.answer

    def harmed(self: Any, rows: Any, inputs: Any, *how: Any) -> Any:
        answer = plain(self, rows, inputs, *how)
        answer.hidden[:, inputs["attention_mask"] == 0] = 1e9
        return answer

    before = kept.written(store)
    want = (before / "hidden.npy").read_bytes()
    for file in before.iterdir():
        file.unlink()
    monkeypatch.setattr(outputs.OnlineTeacher, "answer", harmed)
    monkeypatch.setattr(outputs, "_ROWS", 48)
    assert (kept.written(store) / "hidden.npy").read_bytes() == want


def test_the_key_is_what_determines_the_numbers(store: Store) -> None:
    tokens, task = kept.rows(store), registry.get("cola")
    usual: tuple[Any, ...] = ("content", tokens, task, "own", Kept(("logits", "hidden")), Numerics())
    same = outputs.identity(*usual)
    assert outputs.identity(*usual[:5], Numerics(threads=7)) == same
    for at, other in (
        (0, "another"),
        (1, Path("tokens-0")),
        (2, registry.get("sst2")),
        (3, "relu"),
        (4, Kept(("logits", "scores"))),
        (4, Kept(("logits", "hidden"), (1, 3))),
        (4, Kept(("logits", "hidden"), split="dev")),
        (5, Numerics(autocast="bfloat16")),
        (5, Numerics(device="cuda")),
    ):
        changed = [*usual[:at], other, *usual[at + 1 :]]
        assert outputs.identity(*changed) != same
    # Of small parts all layers are there.
    assert Kept(("logits", "cls"), (1, 3)) == Kept(("logits", "cls"))


def test_an_artifact_that_holds_more_will_do(store: Store) -> None:
    tokens, task = kept.rows(store), registry.get("cola")

    def keys(*needs: str, layers: tuple[int, ...] | None = None) -> list[str]:
        return outputs.keys("content", tokens, task, "own", Kept(parts.kept(needs), layers), Numerics())

    known = [keys(), keys("hidden"), keys("hidden", "scores"), keys(*parts.LARGE)]
    assert [len(found) for found in known] == [32, 16, 8, 1]
    assert {known[1][0], known[2][0]} < set(known[0])
    assert known[2][0] in known[1]
    assert len({found[0] for found in known}) == 4
    chosen = keys("hidden", layers=(1, 3))
    assert len(chosen) == 32
    assert set(known[1]) < set(chosen)
    assert chosen[0] not in known[1]
    assert keys("scores", "hidden", layers=(1, 3))[0] in chosen
    made = f"{('cola', {})!r}", tokens, task, "own", Kept(kept.EVERYTHING), Numerics()
    assert kept.written(store).name == f"outputs-{outputs.keys(*made)[0]}"


@pytest.mark.parametrize("layers", [(0, 2), (1,), (2, 3), (0, 1, 2, 3)])
def test_chosen_layers_alone_are_kept(store: Store, layers: tuple[int, ...]) -> None:
    whole = CachedTeacher(kept.written(store))
    folder = kept.written(store, layers=layers)
    made, facts = CachedTeacher(folder), store.facts(folder)
    arrays = {part: np.load(folder / f"{part}.npy") for part in kept.EVERYTHING}
    assert sum(array.nbytes for array in arrays.values()) == facts["bytes"]
    inputs, needs = kept.batch(store, CHOSEN), frozenset(kept.EVERYTHING)
    found, expected, asked = (
        source.answer(np.array(CHOSEN), inputs, needs, layers=layers) for source in (made, whole, kept.online(store))
    )
    assert found.layers == asked.layers == layers
    assert expected.layers is None
    assert torch.equal(found.cls, expected.cls)
    for part in parts.LARGE:
        wanted = [layer for layer in layers if layer > 0 or part == "hidden"]
        assert getattr(found, part).shape[0] == parts.depth(part, made.shape, layers) == len(wanted)
        assert torch.equal(found.at(part, wanted), expected.at(part, wanted)), part
        theirs = zeroed(part, asked.at(part, wanted), inputs["attention_mask"])
        torch.testing.assert_close(found.at(part, wanted), theirs, **allowed(part, theirs))


def test_dev_rows_are_another_artifact(store: Store) -> None:
    needs = parts.kept({"logits", "hidden"})
    train, dev = kept.written(store, needs), kept.written(store, needs, split="dev")
    assert (store.facts(train)["rows"], store.facts(dev)["rows"]) == (48, 16)
    rows = Tokens.load(kept.rows(store) / "dev.npz")
    chosen = np.array([3, 0, 11])
    inputs = tiny.inputs_of(rows.batch(chosen))
    wish = frozenset({"logits", "hidden"})
    found = CachedTeacher(train, dev).answer(chosen, inputs, wish, split="dev")
    exact = kept.online(store).answer(chosen, inputs, wish, split="dev")
    theirs = zeroed("hidden", exact.hidden, inputs["attention_mask"])
    torch.testing.assert_close(found.hidden, theirs, **allowed("hidden", theirs))
    with pytest.raises(ValueError, match="training rows alone"):
        CachedTeacher(train).answer(chosen, inputs, wish, split="dev")


def test_its_kind_is_known(tmp_path: Path) -> None:
    found = CachedTeacher(kept.written(Store(tmp_path), ("logits",), kind="roberta"))
    assert found.shape.kind == "roberta"
