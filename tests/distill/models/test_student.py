"""Students: which layers they keep, what is drawn at random, and that files give back what was saved."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from distill.errors import UserError
from distill.models.capture import shape_of
from distill.models.student import load_classifier, parameter_count
from distill.tasks import registry
from tests.distill import tiny

COLA = registry.get("cola")


def test_kept_layers_are_the_sources(encoder: Path) -> None:
    whole = load_classifier(encoder, COLA)
    student = load_classifier(encoder, COLA, layers=(2, 4))
    assert shape_of(student).layers == student.config.num_hidden_layers == 2
    for mine, source in ((0, 1), (1, 3)):
        own = student.bert.encoder.layer[mine].state_dict()
        theirs = whole.bert.encoder.layer[source].state_dict()
        assert all(torch.equal(own[name], theirs[name]) for name in theirs)
        other = whole.bert.encoder.layer[source - 1].state_dict()
        assert not torch.equal(own["attention.self.query.weight"], other["attention.self.query.weight"])
    own, theirs = (model.bert.embeddings.state_dict() for model in (student, whole))
    assert all(torch.equal(own[name], theirs[name]) for name in theirs)


def test_a_layer_may_be_kept_twice_without_sharing(encoder: Path) -> None:
    student = load_classifier(encoder, COLA, layers=(1, 2))
    assert len({id(p) for p in student.parameters()}) == len(list(student.named_parameters()))


def test_the_seed_decides_the_head_and_nothing_else(encoder: Path) -> None:
    def made(seed: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(seed)
        return dict(load_classifier(encoder, COLA, layers=(2, 4)).named_parameters())

    first, same, other = made(1), made(1), made(2)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert {name for name in first if not torch.equal(first[name], other[name])} == {"classifier.weight"}


def test_a_missing_pooler_is_drawn_from_the_seed(tmp_path: Path) -> None:
    from transformers import BertModel

    source = tiny.classifier().bert
    bare = BertModel(source.config, add_pooling_layer=False)
    bare.load_state_dict({k: v for k, v in source.state_dict().items() if not k.startswith("pooler")})
    bare.save_pretrained(tmp_path)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(load_classifier(tmp_path, COLA).bert.pooler.dense.weight)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_float16_files_load_as_float32(tmp_path: Path) -> None:
    source = tiny.classifier().bert.half()
    source.save_pretrained(tmp_path)
    loaded = load_classifier(tmp_path, COLA)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert torch.equal(loaded.bert.pooler.dense.weight, source.pooler.dense.weight.float())


def test_parameter_count(encoder: Path) -> None:
    vocabulary, width, inner, positions = len(tiny.VOCABULARY), 16, 32, 64
    norm = 2 * width
    embeddings = (vocabulary + positions + 2) * width + norm
    layer = 4 * (width * width + width) + norm + (width * inner + inner) + (inner * width + width) + norm
    rest = (width * width + width) + (2 * width + 2)
    assert parameter_count(load_classifier(encoder, COLA)) == embeddings + 4 * layer + rest
    assert parameter_count(load_classifier(encoder, COLA, layers=(1, 4))) == embeddings + 2 * layer + rest


@pytest.mark.parametrize("task", ["cola", "mnli", "stsb"])
def test_saved_students_answer_the_same(encoder: Path, tmp_path: Path, task: str) -> None:
    from transformers import AutoModelForSequenceClassification

    known = registry.get(task)
    torch.manual_seed(0)
    student = load_classifier(encoder, known, layers=(1, 3)).eval()
    student.save_pretrained(tmp_path)
    inputs = tiny.inputs_of(tiny.batch())
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert shape_of(again) == shape_of(student)
    torch.testing.assert_close(again(**inputs).logits, student(**inputs).logits, atol=1e-6, rtol=0)
    assert again.config.num_labels == known.num_labels
    if known.kind == "classification":
        assert tuple(again.config.id2label[i] for i in range(known.num_labels)) == known.labels
    else:
        assert again.config.problem_type == "regression"


@pytest.mark.parametrize("layers", [(), (0, 1), (1, 5)])
def test_layers_that_do_not_exist_are_refused(encoder: Path, layers: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"--student-layers.*4 layers"):
        load_classifier(encoder, COLA, layers=layers)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_a_classifier_of_another_task_is_drawn_anew(tmp_path: Path, kind: str) -> None:
    """Three outputs where two are needed: all but the classifier's last layer is as in the folder."""
    source = tiny.classifier(kind, labels=3)
    source.save_pretrained(tmp_path)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(dict(load_classifier(tmp_path, COLA).named_parameters()))
    last = "classifier.weight" if kind == "bert" else "classifier.out_proj.weight"
    assert drawn[0][last].shape == (2, 16)
    assert torch.equal(drawn[0][last], drawn[1][last])
    assert not torch.equal(drawn[0][last], drawn[2][last])
    expected = dict(source.named_parameters())
    changed = {name for name, value in drawn[0].items() if not torch.equal(value, expected[name])}
    assert changed == {last, last.replace("weight", "bias")}


def test_other_sizes_than_the_configuration_says_are_refused(tmp_path: Path) -> None:
    folder = tiny.encoder_folder(tmp_path / "broken")
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"max_position_embeddings": 64', '"max_position_embeddings": 32'))
    with pytest.raises(UserError, match=r"cannot be loaded: the sizes of .*position_embeddings.* differ"):
        load_classifier(folder, COLA)


def test_damaged_weights_are_refused_in_one_sentence(tmp_path: Path) -> None:
    folder = tiny.encoder_folder(tmp_path / "broken")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(UserError, match="cannot be loaded") as refused:
        load_classifier(folder, COLA)
    assert str(folder) in str(refused.value)
    assert "\n" not in str(refused.value)
