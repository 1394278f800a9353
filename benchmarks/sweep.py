"""Trials per hour of one BERT-EMD sweep: this project, plain research code, and Hugging Face's Trainer on Ray.

    python benchmarks/sweep.py
    python benchmarks/sweep.py --teacher DIR --student DIR --data-dir DIR --rows 2000

All three train the same number of trials on the same rows with the same fine-tuned teacher, whose making is not timed:

* ours: `python -m trainables.sweep … --scheduler none`, one core a trial, from start to report, the pass that caches
  the teacher's outputs included; and once more with ASHA, which need not finish every trial;
* plain: `benchmarks/others/plain.py`, a fresh process per trial with all cores, one after the other, padded to 64
  tokens, float32, the teacher run at every step, one mean squared error for each pair of layers;
* trainer: `benchmarks/others/trainer.py`, `Trainer.hyperparameter_search(backend="ray")` with a `compute_loss` that
  distils, dynamic padding and bfloat16 where the processor has it, one core a trial.

Plain trials do not depend on each other, so fewer of them may be timed (`--plain-trials`). Needs
`pip install accelerate`. On a CPU only.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from distill.errors import UserError  # noqa: E402


def main(arguments: Sequence[str] | None = None) -> int:
    asked = parse(arguments)
    work = Path(asked.work or tempfile.mkdtemp(prefix="sweep-benchmark-")).absolute()
    try:
        measure(asked, work)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:
        if not asked.work:
            shutil.rmtree(work, ignore_errors=True)
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    add_options(parser, rows=1024)
    parser.add_argument("--plain-trials", type=int, default=2, help="how many of the plain trials are timed")
    parser.add_argument("--teacher-epochs", type=int, default=1)
    parser.add_argument("--only", choices=("ours", "plain", "trainer"), action="append", help="time only these")
    return parser.parse_args(arguments)


def add_options(parser: argparse.ArgumentParser, rows: int) -> None:
    """What is trained on what, and where; `named` and `student` turn it into options of the commands.

    Args:
        rows: Default of `--rows`.
    """
    parser.add_argument("--teacher", help="encoder folder; default: the embedded encoder")
    parser.add_argument("--student", help="encoder folder; default: layers of the teacher's encoder")
    parser.add_argument("--layers", type=int, default=4, help="layers of a student cut from the teacher")
    parser.add_argument("--data-dir", help="folder in GLUE's layout; default: the made-up data")
    parser.add_argument("--task", default="cola")
    parser.add_argument("--rows", type=int, default=rows, help="training rows")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--work", help="folder to keep everything in; default: a temporary one")


def measure(asked: argparse.Namespace, work: Path) -> None:
    """Make what all share, time each, print trials per hour and ratios."""
    work.mkdir(parents=True, exist_ok=True)
    common = [*named(asked), "--teacher-epochs", str(asked.teacher_epochs), "--artifacts", str(work / "store")]
    print("Making the teacher (not timed).", flush=True)
    rows = ["--max-train-rows", str(asked.rows), "--allow-weak-teacher"]
    run([sys.executable, "-m", "trainables.teacher", *common, *rows], work / "teacher.log")
    inputs = share(asked, work)
    ours = [
        *(sys.executable, "-m", "trainables.sweep", "--method", "emd", *common, *student(asked)),
        *(*rows, "--epochs", str(asked.epochs), "--trials", str(asked.trials)),
        *("--no-baseline", "--cpus-per-trial", "1"),
    ]
    plain = [sys.executable, "-m", "benchmarks.others.plain", str(inputs)]
    trainer = [sys.executable, "-m", "benchmarks.others.trainer", str(inputs), str(asked.trials)]
    wanted = asked.only or ("ours", "plain", "trainer")
    rates: dict[str, float] = {}
    if "ours" in wanted:
        for name, scheduler in (("ours", "none"), ("ours with ASHA", "asha")):
            if scheduler == "asha":
                # The second sweep pays for its own pass of the teacher too.
                for folder in (work / "store").glob("outputs-*"):
                    shutil.rmtree(folder)
            words = [*ours, "--scheduler", scheduler, "--out", str(work / scheduler)]
            rates[name] = rate(name, asked.trials, run(words, work / f"{scheduler}.log"))
    if "plain" in wanted:
        rates_tried = itertools.islice(itertools.cycle(("2e-5", "5e-5")), asked.plain_trials)
        seconds = sum(run([*plain, lr], work / "plain.log") for lr in rates_tried)
        rates["plain"] = rate("plain", asked.plain_trials, seconds)
    if "trainer" in wanted:
        rates["trainer"] = rate("trainer", asked.trials, run(trainer, work / "trainer.log"))
    for other in ("plain", "trainer"):
        for own in ("ours", "ours with ASHA"):
            if own in rates and other in rates:
                print(f"{own} over {other}: {rates[own] / rates[other]:.1f} times the trials per hour")


def named(asked: argparse.Namespace) -> list[str]:
    """Options of this project's commands that say what is trained on."""
    words = ["--task", asked.task]
    if asked.teacher:
        words += ["--teacher", str(Path(asked.teacher).absolute())]
    if asked.data_dir:
        words += ["--data-dir", str(Path(asked.data_dir).absolute())]
    if not (asked.teacher or asked.data_dir):
        words += ["--source", "embedded"]
    return words


def student(asked: argparse.Namespace) -> list[str]:
    return ["--student", str(Path(asked.student).absolute())] if asked.student else ["--layers", str(asked.layers)]


def share(asked: argparse.Namespace, work: Path) -> Path:
    """Rows, fine-tuned teacher and untrained student for the other two programs."""
    from distill.models import embedded
    from distill.models.folder import inspect
    from distill.models.layers import evenly
    from distill.models.student import load_classifier
    from distill.tasks import glue, registry
    from distill.tasks.tokens import load_tokenizer
    from trainables.resources import detect

    inputs = work / "inputs"
    shutil.rmtree(inputs, ignore_errors=True)
    inputs.mkdir()
    teacher = next((work / "store").glob("teacher-*/model"))
    encoder = inspect(asked.teacher or embedded.folder(), "--teacher")
    task = registry.get(asked.task)
    if not asked.data_dir:
        task = task if task.made_up else registry.stand_in(task) or task
    data = glue.load(task, asked.data_dir) if asked.data_dir else glue.load_made_up(task)
    data = data.limit_train(asked.rows, 0)
    for name, rows in (("train", data.train), ("dev", data.dev)):
        second = rows.second if rows.second is not None else [None] * len(rows)
        lines = zip(rows.first, second, rows.labels.tolist(), strict=True)
        (inputs / f"{name}.jsonl").write_text(
            "".join(json.dumps({"first": a, "second": b, "label": c}) + "\n" for a, b, c in lines), encoding="utf-8"
        )
    shutil.copytree(teacher, inputs / "teacher")
    load_tokenizer(encoder.path).save_pretrained(inputs / "teacher")
    source = inspect(asked.student, "--student") if asked.student else encoder
    kept = None if asked.student else evenly(asked.layers, encoder.layers)
    load_classifier(source.path, task, kept).base_model.save_pretrained(inputs / "student")
    machine = detect()
    facts = {
        "epochs": asked.epochs,
        "cores": machine.cpus,
        "bfloat16": machine.bfloat16,
        "num_labels": task.num_labels,
    }
    (inputs / "asked.json").write_text(json.dumps(facts))
    print(
        f"{asked.trials} trials of {asked.epochs} epochs on {len(data.train)} rows of {task.name}, dev {len(data.dev)} "
        f"rows; teacher {encoder.layers} x {encoder.hidden_size}; {machine.cpus} cores, bfloat16 "
        f"{'yes' if machine.bfloat16 else 'no'}.",
        flush=True,
    )
    return inputs


def run(words: list[str], log: Path) -> float:
    """Seconds of a command, its output in `log`.

    Raises:
        UserError: It failed.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TOKENIZERS_PARALLELISM": "false"}
    environment.pop("OMP_NUM_THREADS", None)
    started = time.monotonic()
    with log.open("a") as stream:
        done = subprocess.run(words, stdout=stream, stderr=subprocess.STDOUT, cwd=log.parent, env=environment)
    if done.returncode:
        raise UserError(f"{' '.join(words[1:4])} failed:\n{log.read_text()[-2000:]}")
    return time.monotonic() - started


def rate(name: str, trials: int, seconds: float) -> float:
    print(
        f"{name:16} {trials:3} trials in {seconds:7.1f} s: {3600 * trials / seconds:7.1f} trials per hour", flush=True
    )
    return 3600 * trials / seconds


if __name__ == "__main__":
    sys.exit(main())
