"""Encoders from a hub on the loopback: what is fetched, how often, and what becomes of a download that breaks off."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from distill.errors import UserError
from distill.hub import HubUnreachable
from distill.models.folder import inspect
from distill.models.hub import fetch
from distill.models.student import load_classifier
from distill.tasks import registry
from distill.tasks.tokens import load_tokenizer
from tests.distill import tiny
from tests.hub_server import Hub, use

NAME = "somebody/tiny"
OTHERS = {
    "README.md": b"# A model",
    "tf_model.h5": b"0" * 99,
    "flax_model.msgpack": b"0" * 99,
    "onnx/model.onnx": b"0" * 99,
    "model.fp16.safetensors": b"0" * 99,
    "training_args.bin": b"0" * 99,
}


def pickled(encoder: Path, folder: Path) -> Path:
    """The encoder as older repositories have it: weights in a pickle, and no tokenizer but the word list."""
    from safetensors.torch import load_file

    folder.mkdir()
    (folder / "config.json").write_bytes((encoder / "config.json").read_bytes())
    torch.save(load_file(encoder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "vocab.txt").write_text("\n".join(tiny.VOCABULARY) + "\n", encoding="utf-8")
    return folder


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def weights(folder: Path) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return dict(load_classifier(folder, registry.get("cola")).state_dict())


def same_weights(one: Path, other: Path) -> None:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_what_is_needed_and_nothing_else_once(hub: Hub, encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repository = hub.add(NAME, encoder, more={**OTHERS, "pytorch_model.bin": b"0" * 99})
    folder = fetch(NAME, None, "--teacher")
    assert folder.name == repository.commit
    assert names(folder) == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert all((folder / name).read_bytes() == repository.files[name] for name in names(folder))
    size = sum((folder / name).stat().st_size for name in names(folder))
    said = capsys.readouterr()
    assert said.out == f"Downloading {NAME} from {hub.url}: 4 files, {size / 1e3:.0f} kB.\n"
    assert said.err == ""
    assert fetch(NAME, None, "--teacher") == folder
    assert capsys.readouterr().out == ""
    assert dict(hub.downloads()) == {f"/cdn/{NAME}/{name}": 1 for name in names(folder)}


def test_the_folder_is_loaded_without_the_hub(hub: Hub, encoder: Path) -> None:
    hub.add(NAME, encoder)
    folder = fetch(NAME, None, "--teacher")
    asked = len(hub.log)
    same_weights(folder, encoder)
    assert load_tokenizer(folder)("the old cat").input_ids == load_tokenizer(encoder)("the old cat").input_ids
    assert len(hub.log) == asked
    assert inspect(folder, "--teacher", NAME).weights == (encoder / "model.safetensors").stat().st_size


def test_an_older_repository(hub: Hub, encoder: Path, tmp_path: Path) -> None:
    hub.add(NAME, pickled(encoder, tmp_path / "older"), more=OTHERS)
    folder = fetch(NAME, None, "--student")
    assert names(folder) == ["config.json", "pytorch_model.bin", "vocab.txt"]
    asked = len(hub.log)
    same_weights(folder, encoder)
    assert load_tokenizer(folder)("the old cat").input_ids == load_tokenizer(encoder)("the old cat").input_ids
    assert len(hub.log) == asked


def test_weights_in_parts(hub: Hub, tmp_path: Path, offline: Callable[[], None]) -> None:
    model = tiny.classifier(layers=4).base_model
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    model.save_pretrained(whole)
    model.save_pretrained(parts, max_shard_size="20KB")
    for folder in (whole, parts):
        tiny.tokenizer().save_pretrained(folder)
    count = len(list(parts.glob("model-*.safetensors")))
    assert count > 1
    hub.add(NAME, parts, more={"pytorch_model.bin": b"0" * 99})
    folder = fetch(NAME, None, "--teacher")
    assert len(list(folder.glob("*.safetensors"))) == count
    assert "pytorch_model.bin" not in names(folder)
    same_weights(folder, whole)
    next(folder.glob("model-*.safetensors")).unlink()
    offline()
    with pytest.raises(HubUnreachable):
        fetch(NAME, None, "--teacher")


def test_revisions(hub: Hub, encoder: Path) -> None:
    repository = hub.add(NAME, encoder)
    repository.tags = ("v1",)
    folder = fetch(NAME, "v1", "--teacher")
    assert folder.name == repository.commit
    asked = len(hub.log)
    assert fetch(NAME, repository.commit, "--teacher") == folder
    assert len(hub.log) == asked, "a whole snapshot of a fixed commit needs no hub"
    with pytest.raises(UserError, match="--teacher somebody/tiny has no revision v2 at http"):
        fetch(NAME, "v2", "--teacher")


def test_a_new_commit_on_the_hub_is_taken(hub: Hub, encoder: Path) -> None:
    hub.add(NAME, encoder)
    old = fetch(NAME, None, "--teacher")
    hub.add(NAME, encoder, more={"special_tokens_map.json": b"{}"})
    new = fetch(NAME, None, "--teacher")
    assert new.name != old.name
    assert hub.downloads()[f"/cdn/{NAME}/model.safetensors"] == 1, "the same weights are the same file"


def test_from_the_cache(hub: Hub, encoder: Path, offline: Callable[[], None]) -> None:
    hub.add(NAME, encoder)
    folder = fetch(NAME, None, "--teacher")
    asked = len(hub.log)
    offline()
    assert fetch(NAME, None, "--teacher") == folder
    assert fetch(NAME, folder.name, "--teacher") == folder
    assert len(hub.log) == asked
    with pytest.raises(HubUnreachable, match=r"--student a/b is not a folder here .*\(HF_HUB_OFFLINE is set\)"):
        fetch("a/b", None, "--student")


def test_a_cache_that_lost_a_small_file(hub: Hub, encoder: Path) -> None:
    hub.add(NAME, encoder)
    folder = fetch(NAME, None, "--teacher")
    (folder / "tokenizer_config.json").unlink()
    with pytest.MonkeyPatch.context() as patch:
        use(hub, folder.parents[3], patch, offline=True)
        with pytest.raises(HubUnreachable):
            fetch(NAME, None, "--teacher")
    assert fetch(NAME, folder.name, "--teacher") == folder
    assert (folder / "tokenizer_config.json").exists()


def test_a_hub_that_is_down(hub: Hub, encoder: Path) -> None:
    hub.add(NAME, encoder)
    folder = fetch(NAME, None, "--teacher")
    hub.stop()
    assert fetch(NAME, None, "--teacher") == folder
    with pytest.raises(HubUnreachable, match=r"cannot be reached \(Connection refused\): go online, or name a folder"):
        fetch("a/b", None, "--student")


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_hub_that_cannot_answer_now(hub: Hub, encoder: Path, status: int) -> None:
    hub.add(NAME, encoder)
    hub.broken = status
    with pytest.raises(HubUnreachable, match=f"it answers with error {status}"):
        fetch(NAME, None, "--teacher")
    with pytest.raises(HubUnreachable):
        fetch(NAME, None, "--teacher")
    assert len(hub.log) == 1, "a hub that is down is asked once"


def test_a_hub_that_never_answers(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hub.url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        use(hub, tmp_path, monkeypatch)
        with pytest.raises(HubUnreachable, match="cannot be reached"):
            fetch(NAME, None, "--teacher", patience=0.1)


def test_a_name_whose_look_up_never_ends(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """No time limit of the client covers it."""
    import threading

    never = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **more: never.wait())
    monkeypatch.setattr("distill.hub._GRACE", 0.1)
    with pytest.raises(HubUnreachable, match=r"no answer within 0\.1 s"):
        fetch(NAME, None, "--teacher", patience=0.1)
    never.set()


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_a_download_that_breaks_off(hub: Hub, encoder: Path, tmp_path: Path, file: str) -> None:
    repository = hub.add(NAME, encoder)
    hub.cut = lambda path: 700 if path.endswith(file) else None
    with pytest.raises(
        UserError, match=r"--teacher somebody/tiny did not arrive whole .* run the command again"
    ) as cut:
        fetch(NAME, None, "--teacher")
    assert not isinstance(cut.value, HubUnreachable), "the hub is there; nothing may stand in"
    cache = tmp_path / "home" / "hub"
    assert not list(cache.rglob("*.incomplete"))
    assert not list(cache.rglob(file))
    whole = {repository.etag(name) for name in repository.files}
    assert {blob.name for blob in cache.glob("*/blobs/*")} < whole
    with pytest.MonkeyPatch.context() as patch:
        use(hub, tmp_path / "home", patch, offline=True)
        with pytest.raises(HubUnreachable):
            fetch(NAME, None, "--teacher")
        with pytest.raises(HubUnreachable):
            fetch(NAME, repository.commit, "--teacher")
    hub.cut = lambda path: None
    same_weights(fetch(NAME, None, "--teacher"), encoder)
    assert hub.downloads()[f"/cdn/{NAME}/config.json"] == 1


def test_a_connection_that_is_cut_once_goes_on_where_it_was(hub: Hub, encoder: Path) -> None:
    hub.add(NAME, encoder)
    cuts = [700]
    hub.cut = lambda path: cuts.pop() if cuts and path.endswith("model.safetensors") else None
    same_weights(fetch(NAME, None, "--teacher"), encoder)


def test_a_full_disk(hub: Hub, encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import file_download

    def full(*arguments: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    hub.add(NAME, encoder)
    monkeypatch.setattr(file_download, "http_get", full)
    with pytest.raises(UserError, match=r"does not fit on the disk of the hub's cache: .* HF_HOME"):
        fetch(NAME, None, "--teacher")


def test_an_architecture_that_is_not_supported_is_refused_before_its_weights(hub: Hub, encoder: Path) -> None:
    hub.add(NAME, encoder, more={"config.json": b'{"model_type": "gpt2", "n_layer": 12}'})
    with pytest.raises(UserError, match="--teacher somebody/tiny: Encoders of type gpt2 are not supported"):
        fetch(NAME, None, "--teacher")
    assert not [line for line in hub.log if "model.safetensors" in line]


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        ("GatedRepo", 403, "is gated: accept its conditions at http"),
        ("RepoNotFound", 401, "is neither a folder here nor known to http"),
        ("RepoNotFound", 404, "`hf auth login` if it is private"),
        (None, 404, "is neither a folder here nor known to http"),
        (None, 403, "answers with error 403; log in"),
    ],
)
def test_repositories_that_are_refused(hub: Hub, encoder: Path, error: str | None, status: int, said: str) -> None:
    repository = hub.add(NAME, encoder)
    repository.error, repository.status = error or "SomethingElse", status
    with pytest.raises(UserError) as refused:
        fetch(NAME, None, "--teacher")
    assert not isinstance(refused.value, HubUnreachable)
    message = str(refused.value)
    assert message.startswith("--teacher somebody/tiny ")
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("without", "said"),
    [
        (("tokenizer.json",), "has no tokenizer on the hub"),
        (("model.safetensors",), "has no weights for PyTorch on the hub"),
        (("config.json",), "has no config.json on the hub"),
    ],
)
def test_repositories_that_lack_something(hub: Hub, encoder: Path, without: tuple[str, ...], said: str) -> None:
    hub.add(NAME, encoder, without=without, more={"tf_model.h5": b"0"})
    with pytest.raises(UserError, match=f"--teacher somebody/tiny {said}"):
        fetch(NAME, None, "--teacher")
    assert not hub.downloads()


@pytest.mark.parametrize("name", ["a--b/c", "a/b.git", "a..b/c"])
def test_names_that_no_hub_has(hub: Hub, name: str) -> None:
    with pytest.raises(UserError, match="neither a folder here nor a name that a hub can have"):
        fetch(name, None, "--teacher")


def test_something_else_than_a_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.hub_server._Handler._json", lambda self, content: self._refuse(200, None))
    hub.repositories[NAME] = hub.add(NAME, Path(__file__).parent)
    with pytest.raises(UserError, match=r"does not answer as a hub does .* check HF_ENDPOINT"):
        fetch(NAME, None, "--teacher")
