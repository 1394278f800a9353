"""`python -m distill.artifacts`: what it lists, what it removes, and what it must never remove."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distill import artifact_use
from distill.artifact_command import main, parse_age, parse_size, size_words
from distill.artifacts import SEAL, Store, key_of
from distill.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
DAY = 86400.0
TOKENS = {"data": "d" * 64, "tokenizer": {}, "max_length": 128}
TEACHER = {"encoder": "e" * 64, "task": "rte", "lr": 1e-4}


def put(store: Store, kind: str, inputs: dict[str, Any], size: int, days: float, **facts: Any) -> str:
    """Build an artifact of `size` bytes that was last used some days ago and is let go of; its name."""

    def fill(folder: Path) -> dict[str, Any]:
        (folder / "content").write_bytes(b"x" * size)
        return facts

    name = store.build(kind, inputs, fill).name
    artifact_use.release(store.place, name)
    os.utime(store.place / artifact_use.MARKS / name, (time.time() - days * DAY,) * 2)
    return name


@pytest.fixture
def full(store: Store) -> dict[str, str]:
    """A store with three artifacts of 1, 2 and 3 kB, the teacher least recently used."""
    tokens = put(
        store, "tokens", TOKENS, 1000, 5, train={"rows": 90, "mean_tokens": 7.5}, dev={"rows": 10, "mean_tokens": 7.5}
    )
    facts = {"score": 0.704, "metric": "accuracy", "layers": 12, "hidden_size": 768, "parameters": 110_000_000}
    teacher = put(store, "teacher", {**TEACHER, "tokens": tokens}, 2000, 40, verdict={"ok": True}, **facts)
    other = put(store, "other", {"what": "else"}, 3000, 1)
    return {"tokens": tokens, "teacher": teacher, "other": other}


def run(store: Store, command: str, *arguments: str) -> int:
    return main([command, "--artifacts", str(store.place), *arguments])


def there(store: Store) -> set[str]:
    return {path.name for path in store.place.iterdir() if path.name != artifact_use.MARKS}


@pytest.fixture
def user(store: Store, full: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Another process that took the teacher and goes on."""
    code = (
        "import sys; from distill.artifacts import Store\n"
        f"assert Store({str(store.place)!r}).get('teacher', {full['teacher'].partition('-')[2]!r})\n"
        "print('taken', flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], text=True, cwd=ROOT, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == "taken\n"
        yield process
        process.kill()


# --- ls --------------------------------------------------------------------------------------------------


def test_ls_says_what_each_is(store: Store, full: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(store, "ls") == 0
    out = capsys.readouterr().out
    assert "3 artifacts" in out.splitlines()[0]
    assert "teacher of rte, encoder eeeeeeee: accuracy 0.704, 12 layers × 768, 110.0 M parameters" in out
    # The seal of the tokens does not name the task; the teacher that was made from them does.
    assert "tokens of rte: 90 training and 10 dev rows, at most 128 tokens each" in out
    assert "what else" in out
    assert [line.split()[0] for line in out.splitlines() if line.partition(" ")[0] in full.values()] == [
        full["other"], full["tokens"], full["teacher"],
    ]  # fmt: skip
    assert max(map(len, out.splitlines()[1:])) <= 110


def test_ls_as_json(store: Store, full: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(store, "ls", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    files = [file for name in full.values() for file in (store.place / name).rglob("*") if file.is_file()]
    assert told["bytes"] == sum(file.stat().st_size for file in files)
    teacher = next(a for a in told["artifacts"] if a["kind"] == "teacher")
    assert teacher["name"] == full["teacher"] == f"teacher-{teacher['key']}"
    assert (time.time() - teacher["last_used"]) / DAY == pytest.approx(40, abs=0.01)
    assert time.time() - teacher["made"] < 60
    assert (teacher["state"], teacher["fault"], teacher["in_use"]) == ("sealed", None, False)


def test_damage_is_seen_only_as_far_as_asked(
    store: Store, full: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    (store.place / full["other"] / "content").write_bytes(b"y" * 3000)
    assert run(store, "ls") == 0
    assert "damaged" not in capsys.readouterr().out
    assert run(store, "ls", "--check") == 1
    assert capsys.readouterr().out.count("damaged: content is not as sealed") == 1
    (store.place / full["other"] / "content").unlink()
    (store.place / full["tokens"] / SEAL).write_text("[]")
    (store.place / full["teacher"] / SEAL).write_text('{"files": {}, "inputs": 3, "facts": {}, "made": 5}')
    assert run(store, "ls") == 0
    out = capsys.readouterr().out
    assert "damaged: content is missing" in out
    assert "damaged: no seal that can be read" in out


def test_a_store_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("DISTILL_TUNE_ARTIFACTS", str(tmp_path / "none"))
    for command in ("ls", "gc"):
        assert main([command]) == 0
        assert capsys.readouterr().out == f"There is no store at {tmp_path}/none yet; the first sweep makes it.\n"
        assert main([command, "--artifacts", str(tmp_path / "typo")]) == 2
        assert capsys.readouterr().err == (
            f"error: --artifacts {tmp_path}/typo is no folder; name the store's, or leave the option out.\n"
        )
    assert not (tmp_path / "none").exists()


# --- gc --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "gone"),
    [
        ([], set()),
        (["--older-than", "30d"], {"teacher"}),
        (["--older-than", "3d"], {"teacher", "tokens"}),
        (["--older-than", "60d"], set()),
        (["--kind", "tokens"], {"tokens"}),
        (["--max-size", "1GB"], set()),
        (["--max-size", "5500"], {"teacher"}),
        (["--max-size", "0"], {"teacher", "tokens", "other"}),
        (["--older-than", "3d", "--max-size", "5500"], {"teacher"}),
        (["--older-than", "3d", "--max-size", "0"], {"teacher", "tokens"}),
        (["--kind", "tokens", "--older-than", "30d"], set()),
        (["--kind", "tokens", "--max-size", "0"], {"tokens"}),
    ],
    ids=lambda words: " ".join(sorted(words) if isinstance(words, set) else words),
)
def test_gc_removes_exactly_this(store: Store, full: dict[str, str], arguments: list[str], gone: set[str]) -> None:
    assert run(store, "gc", "--dry-run", *arguments) == 0
    assert there(store) == set(full.values())
    assert run(store, "gc", "--yes", *arguments) == 0
    assert there(store) == {name for kind, name in full.items() if kind not in gone}


def test_gc_of_named_ones(store: Store, full: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    key = full["other"].partition("-")[2]
    assert run(store, "gc", "--yes", key[:5], full["tokens"]) == 0
    assert there(store) == {full["teacher"]}
    out = capsys.readouterr().out
    assert out.index(full["tokens"]) < out.index(full["other"])
    assert "Freed" in out
    assert "1 artifact, " in out.splitlines()[-1]


def test_removing_is_counted_in_bytes(store: Store, full: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    size = sum(file.stat().st_size for file in (store.place / full["teacher"]).iterdir())
    assert run(store, "gc", "--yes", "--kind", "teacher") == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"Freed {size_words(size)}; 2 artifacts, ")


def test_what_another_process_uses_stays(
    store: Store, full: dict[str, str], user: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(store, "ls") == 0
    state = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(full["teacher"]))
    assert state.endswith("sealed [in use]")
    # It was taken just now, so that it is the last one that a size asks for.
    assert run(store, "gc", "--yes", "--max-size", "0") == 0
    assert there(store) == {full["teacher"]}
    assert run(store, "gc", "--yes", full["teacher"]) == 1
    assert f"Kept {full['teacher']}: a running process uses or builds it." in capsys.readouterr().out
    user.kill()
    user.wait()
    assert run(store, "gc", "--yes", full["teacher"]) == 0
    assert there(store) == set()


def test_a_size_is_reached_without_what_is_used(
    store: Store, full: dict[str, str], user: subprocess.Popen[str]
) -> None:
    """Were the teacher counted as removed, the next one in line would be spared."""
    os.utime(store.place / artifact_use.MARKS / full["teacher"], (5, 5))
    assert run(store, "gc", "--yes", "--max-size", "6000") == 0
    assert there(store) == {full["teacher"], full["other"]}


def test_what_is_being_built_stays(store: Store, full: dict[str, str]) -> None:
    """The lock alone protects it: to the time of change and the process's number it could be dead."""
    staging: list[Path] = []

    def fill(folder: Path) -> None:
        foreign = folder.with_name(f".teacher-{key_of(TEACHER)}.elsewhere.7")
        foreign.mkdir()
        os.utime(foreign, (0, 0))
        staging.append(foreign)
        subprocess.run(
            [sys.executable, "-m", "distill.artifacts", "gc", "--yes", "--max-size", "0", "--artifacts", store.place],
            cwd=ROOT,
            check=True,
        )
        assert folder.exists()
        assert foreign.exists()

    store.build("teacher", TEACHER, fill)
    artifact_use.release(store.place, f"teacher-{key_of(TEACHER)}")
    assert run(store, "gc") == 0
    assert not staging[0].exists()


def test_what_killed_builds_left_is_swept_up(
    store: Store, full: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    here, key = socket.gethostname(), "0123456789abcdef"
    dead, alive, other, old, removed = (
        store.place / name
        for name in (
            f".tokens-{key}.{here}.{2**22 + 7}",
            f".tokens-{key}.{here}.{os.getppid()}",
            f".tokens-{key}.elsewhere.1",
            f".teacher-{key}.elsewhere.2",
            f".removed-teacher-{key}.{here}.{2**22 + 7}",
        )
    )
    for folder in (dead, alive, other, old, removed):
        folder.mkdir()
        (folder / "half").write_bytes(b"x" * 500)
    progress = store.place / ".progress-5-6.jsonl"
    progress.write_text("")
    long_ago = time.time() - 2 * DAY
    for path in (old, old / "half", progress):
        os.utime(path, (long_ago, long_ago))
    assert run(store, "ls") == 0
    assert capsys.readouterr().out.count("left half-made") == 4
    assert run(store, "gc", "--dry-run") == 0
    assert dead.exists()
    assert run(store, "gc") == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("Freed 1.5 kB; 3 artifacts, ")
    assert there(store) == {*full.values(), alive.name, other.name}


def test_folders_of_others_are_not_touched(store: Store, tmp_path: Path) -> None:
    put(store, "other", {}, 10, 100)
    outside = tmp_path / "outside"
    outside.mkdir()
    (store.place / "other-0123456789abcdef").symlink_to(outside)
    for name in ("photos", "my-thesis", ".git", ".cache.host.12"):
        (store.place / name).mkdir()
    assert run(store, "gc", "--yes", "--older-than", "0d") == 0
    assert there(store) == {"other-0123456789abcdef", "photos", "my-thesis", ".git", ".cache.host.12"}
    assert outside.is_dir()


def test_gc_asks(store: Store, full: dict[str, str], monkeypatch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert run(store, "gc", "--max-size", "0") == 2
    assert capsys.readouterr().err.startswith("error: gc asks before it removes")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for answer, left in (("", 3), ("no", 3), ("y", 0)):
        monkeypatch.setattr("builtins.input", lambda question, answer=answer: answer)
        assert run(store, "gc", "--max-size", "0") == 0
        assert len(there(store)) == left


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--older-than", "soon"], "--older-than soon is not an age such as 30d, 12h or 2w."),
        (["--older-than", "30"], "--older-than 30 is not an age such as 30d, 12h or 2w."),
        (["--max-size", "20GBs"], "--max-size 20GBs is not a size such as 20GB or 500MB."),
        (["--max-size", "-5"], "--max-size -5 is not a size such as 20GB or 500MB."),
        (["--kind", "techer"], "--kind techer is not in the store, which has other and teacher and tokens."),
        (["abc"], "KEY abc names no artifact of the store; `python -m distill.artifacts ls` lists them."),
        (["--older", "30d", "--size"], "unrecognized arguments: --size; --help lists the options."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input(
    store: Store, full: dict[str, str], capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    try:
        code = run(store, "gc", *arguments)
    except SystemExit as end:
        code = end.code  # type: ignore[assignment]
    assert code == 2
    assert capsys.readouterr().err == f"error: {sentence}\n"
    assert there(store) == set(full.values())


def test_words_of_sizes_and_ages() -> None:
    sizes = {"20GB": 20e9, "500 mb": 5e8, "1.5TB": 1.5e12, "1KiB": 1024, "2Gi": 2 * 1024**3, "7": 7, "3k": 3000}
    assert {text: parse_size(text) for text in sizes} == sizes
    ages = {"30d": 30 * DAY, "12h": DAY / 2, "2w": 14 * DAY, "90min": 5400, "1.5 h": 5400}
    assert {text: parse_age(text) for text in ages} == ages
    for wrong in ("", "i", "1i", "x", "1e9", "GB"):
        with pytest.raises(UserError):
            parse_size(wrong)
    assert [size_words(n) for n in (0, 999, 1000, 90_867_952, 10**9, 10**16)] == [
        "0 bytes", "999 bytes", "1.0 kB", "90.9 MB", "1.0 GB", "10000.0 TB",
    ]  # fmt: skip


def test_help_is_light() -> None:
    code = (
        "import runpy, sys; sys.argv = ['artifacts', 'gc', '--help']\n"
        "try:\n    runpy.run_module('distill.artifacts', run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code\n"
        "print([m for m in ('torch', 'ray', 'numpy', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--older-than" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("folder", ["", " "])
def test_an_empty_name_is_no_store(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "--artifacts", folder]) == 2
    assert capsys.readouterr().err.startswith("error: --artifacts is empty, as from a shell variable that is not set;")
