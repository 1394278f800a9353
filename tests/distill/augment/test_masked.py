"""Masked language models: what is a whole word, which are the likeliest, and which models are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from distill.augment import masked
from distill.augment.candidates import Candidates
from distill.augment.masked import MaskedModel, Query, find, whole_words
from distill.augment.words import replaceable
from distill.errors import UserError
from tests.distill import tiny
from tests.distill.augment import masks
from tests.hub_server import Hub

TEXTS = ["the old cat sleeps", "the small dog runs", "an old bird sings", "a child sings and runs"] * 8


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return masks.bert(tmp_path_factory.mktemp("masked") / "bert")


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return masks.roberta(tmp_path_factory.mktemp("masked") / "roberta", TEXTS)


@pytest.fixture(scope="module")
def distilbert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return masks.distilbert(tmp_path_factory.mktemp("masked") / "distilbert", TEXTS)


def queries(model: MaskedModel, texts: list[str]) -> list[Query]:
    asked: list[Query] = []

    class Listening:
        tokenizer, longest = model.tokenizer, model.longest

        def likeliest(self, given: list[Query], *_: Any) -> list[tuple[str, ...]]:
            asked.extend(given)
            return [("word",)] * len(given)

    Candidates(Listening(), None, 3, 8).of(texts)  # type: ignore[arg-type]
    return asked


def test_whole_words_of_a_word_piece_vocabulary() -> None:
    found = whole_words(tiny.tokenizer())
    assert set(found.values()) == {word for word in tiny.VOCABULARY if word.isalpha()}
    assert all(tiny.VOCABULARY[word] == id for id, word in found.items())


def test_whole_words_where_pieces_mark_the_space(roberta: Path, distilbert: Path) -> None:
    for folder, mark in ((roberta, "Ġ"), (distilbert, "▁")):
        model = masks.loaded(folder)
        assert {"old", "sings", "runs"} <= set(model.words.values())
        assert all(model.tokenizer.convert_ids_to_tokens(id) == f"{mark}{word}" for id, word in model.words.items())


def test_the_input_is_the_text_with_a_mask_beside_the_text(bert: Path, roberta: Path) -> None:
    for folder in (bert, roberta):
        model = masks.loaded(folder)
        words = model.tokenizer
        mask = words.mask_token
        (first, second) = queries(model, ["the old sings"])
        for query, text in ((first, f"the {mask} sings"), (second, f"the old {mask}")):
            wanted = words(text, "the old sings")
            assert query.ids == wanted["input_ids"]
            assert query.types == wanted.get("token_type_ids", [0] * len(query.ids))
            assert query.ids[query.place] == words.mask_token_id


def test_pieces_that_carry_the_space(distilbert: Path) -> None:
    model = masks.loaded(distilbert)
    words = model.tokenizer
    for text in ("the old sings", "an old child sings and runs", "old dog"):
        asked = queries(model, [text])
        assert len(asked) == len(replaceable(text))
        for query, (start, end) in zip(asked, replaceable(text), strict=True):
            whole = words(text)["input_ids"][1:-1]
            cut = query.ids.index(words.sep_token_id)
            own = query.ids[1:cut]
            assert query.ids[cut:] == [words.sep_token_id, words.sep_token_id, *whole, words.sep_token_id]
            # What is left of the text around the mask.
            left, right = own[: query.place - 1], own[query.place :]
            assert words.decode(left).strip() == text[:start].strip()
            assert words.decode(right).strip() == text[end:].strip()
    (found, *_) = model.likeliest(asked, 3, 2)
    assert len(found) == 3


def test_all_pieces_of_a_word_give_way_to_one_mask(bert: Path) -> None:
    model = masks.loaded(bert)
    (query,) = queries(model, ["the cats"])
    assert query.ids == model.tokenizer("the [MASK]", "the cats")["input_ids"]


def test_a_long_text_is_cut_around_the_word(tmp_path: Path) -> None:
    model = masks.loaded(masks.bert(tmp_path / "short", positions=15))
    text = "the cat and the dogs and the old bird and the boat"
    asked = queries(model, [text])
    assert len(asked) == 5
    whole = model.tokenizer(text)["input_ids"][1:-1]
    for query in asked:
        assert len(query.ids) <= 15
        cut = query.ids.index(model.tokenizer.sep_token_id)
        own, beside = query.ids[1:cut], query.ids[cut + 1 : -1]
        assert (len(own), len(beside)) == (6, 6)
        assert own.count(model.tokenizer.mask_token_id) == 1
        assert " ".join(map(str, beside)) in " ".join(map(str, whole))
        assert query.types == [0] * (cut + 1) + [1] * 7
    assert all(len(words) == 3 for words in model.likeliest(asked, 3, 2))


def test_logits_of_the_mask_alone_are_those_of_the_whole_row(bert: Path, roberta: Path, distilbert: Path) -> None:
    for folder in (bert, roberta, distilbert):
        model = masks.loaded(folder)
        asked = queries(model, ["the old sings", "an old child sings and runs"])
        scores = model._scores(asked)
        for row, query in enumerate(asked):
            inputs = {"input_ids": torch.tensor([query.ids])}
            if folder is bert:
                inputs["token_type_ids"] = torch.tensor([query.types])
            with torch.no_grad():
                wanted = model.model(**inputs).logits[0, query.place, sorted(model.words)]
            torch.testing.assert_close(scores[row], wanted, atol=1e-5, rtol=1e-5)


def test_a_near_thing_is_decided_without_the_others(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = masks.loaded(bert)
    asked = queries(model, ["the old cat sleeps", "a small dog runs", "the bird sings"])
    scores = torch.linspace(3, 1, len(model.words))
    # The third and the fourth likeliest all but tie.
    scores[3] = scores[2] - 1e-6

    def noisy(given: list[Query]) -> torch.Tensor:
        change = torch.zeros(len(model.words))
        change[3] = 1e-5 * (len(given) - 1)
        return torch.stack([scores + change] * len(given))

    monkeypatch.setattr(model, "_scores", noisy)
    alone = model.likeliest(asked, 3, 1)
    assert model.likeliest(asked, 3, 2) == model.likeliest(asked, 3, 64) == alone
    monkeypatch.setattr(masked, "_NARROW", 0.0)
    assert model.likeliest(asked, 3, 64) != alone


def test_more_candidates_than_words(bert: Path) -> None:
    model = masks.loaded(bert)
    (found,) = model.likeliest(queries(model, ["the cats"]), 1000, 4)
    assert sorted(found) == sorted(model.words.values())


def refused(folder: Path) -> str:
    with pytest.raises(UserError) as error:
        masks.loaded(find(str(folder), lambda line: None))
    sentence = str(error.value)
    assert "\n" not in sentence
    return sentence


def test_models_that_are_refused(bert: Path, encoder: Path, tmp_path: Path) -> None:
    assert "has no head that fills masks" in refused(encoder)
    assert "not a folder" in refused(tmp_path / "nowhere" / "deep" / "down")
    folder = tmp_path / "model"
    shutil.copytree(bert, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))
    assert "models of type gpt2 fill no masks" in refused(folder)
    (folder / "config.json").write_text("[]")
    assert "config.json is not the configuration" in refused(folder)
    (folder / "config.json").unlink()
    assert "has no config.json" in refused(folder)
    (folder / "config.json").write_text(json.dumps(config))
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    assert "cannot be loaded" in refused(folder)
    (folder / "model.safetensors").unlink()
    assert "has no weights" in refused(folder)
    (folder / "model.safetensors").write_bytes(weights)
    for file in ("tokenizer.json", "vocab.txt"):
        (folder / file).unlink(missing_ok=True)
    assert "has no tokenizer" in refused(folder)


def test_a_model_of_the_hub(hub: Hub, roberta: Path, bert: Path, tmp_path: Path) -> None:
    hub.add("somebody/masked", roberta)
    folder = find("somebody/masked", lambda line: None)
    assert masks.loaded(folder).words == masks.loaded(roberta).words
    shutil.copytree(bert, tmp_path / "causal")
    config = json.loads((bert / "config.json").read_text())
    (tmp_path / "causal" / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))
    hub.add("somebody/causal", tmp_path / "causal")
    with pytest.raises(UserError, match="--model somebody/causal: models of type gpt2 fill no masks"):
        find("somebody/causal", lambda line: None)
    # Before the weights are fetched.
    assert "/cdn/somebody/causal/model.safetensors" not in hub.downloads()


def test_weights_that_are_not_finite(bert: Path) -> None:
    model = masks.loaded(bert)
    with torch.no_grad():
        model.model.get_output_embeddings().bias.fill_(float("nan"))
    with pytest.raises(UserError, match="not finite"):
        model.likeliest(queries(model, ["the old cat"]), 3, 4)
