"""`python -m distill.augment`: copies of a task's training rows with words from a masked language model."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.augment.partial import Partial, check_out
from distill.command_line import Parser, refuse_empty
from distill.errors import UserError, error_line
from distill.output import say

if TYPE_CHECKING:
    from collections import Counter

    from distill.tasks.base import TaskData

# Attempts per text, as the reference program has them for each task (repository of the paper's authors,
# huawei-noah/Pretrained-Language-Model at 0598f02, TinyBERT/data_augmentation.py).
COPIES = {"cola": 30, "mnli": 10, "mrpc": 30, "sst2": 20, "stsb": 30, "qqp": 10, "qnli": 20, "rte": 30}
# The paper gives these for all tasks: N_a, p_t and K of its Algorithm 1 (Jiao et al., 2020).
USUAL, SHARE, CANDIDATES = 20, 0.4, 15
# Masked words per forward pass.
BATCH = {"cpu": 32, "cuda": 256}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = Parser(
        prog="python -m distill.augment",
        description="TinyBERT's data augmentation: copies of a task's training rows, in which some words are replaced "
        "by what a masked language model takes for likely. The sweep trains students on them with --augmented FILE.",
    )
    root.add_argument("--task", required=True, metavar="NAME", help="a task of GLUE, such as cola or rte")
    root.add_argument(
        "--model",
        required=True,
        metavar="ID|DIR",
        help="masked language model of the transformers library: hub id (ID@REVISION for a revision) or folder",
    )
    root.add_argument(
        "--out", required=True, metavar="FILE", help="the file that is written, a new one, such as aug.tsv"
    )
    root.add_argument(
        "--data-dir", metavar="DIR", help="folder in GLUE's layout (default: the task's rows from the hub)"
    )
    root.add_argument(
        "--vectors",
        metavar="FILE",
        help="word vectors in GloVe's form, for words of several pieces (default: the model fills them too)",
    )
    root.add_argument(
        "--share", type=float, default=SHARE, metavar="P", help="probability that a word is replaced (default: 0.4)"
    )
    root.add_argument(
        "--copies",
        type=int,
        metavar="N",
        help="copies of each text that are tried (default: 30 for cola, mrpc, rte and stsb, 10 for mnli and qqp, "
        "else 20)",
    )
    root.add_argument(
        "--candidates",
        type=int,
        default=CANDIDATES,
        metavar="K",
        help="words to choose from at each place (default: 15)",
    )
    root.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the draws (default: 0)")
    root.add_argument(
        "--batch",
        type=int,
        metavar="N",
        help="masked words per forward pass; changes the speed alone (default: 256 on a GPU, else 32)",
    )
    root.add_argument(
        "--max-train-rows", type=int, metavar="N", help="augment N rows, those that a sweep of the same seed draws"
    )
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when the file is there, 2 on bad input, 130 on Ctrl-C."""
    asked = parser().parse_args(arguments)
    try:
        _check(asked)
        return _run(asked)
    except UserError as error:
        print(error_line(error), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted; the same command goes on where it stopped.", file=sys.stderr)
        return 130


def _check(asked: argparse.Namespace) -> None:
    """Raise UserError where an option is wrong whatever model and data are."""
    refuse_empty(vars(asked))
    for name, low, high in (
        ("copies", 1, math.inf),
        ("candidates", 1, math.inf),
        ("batch", 1, math.inf),
        ("max_train_rows", 2, math.inf),
        ("seed", 0, 2**32 - 1),
    ):
        value = getattr(asked, name)
        if value is not None and not low <= value <= high:
            least = f"the least is {low}" if value < low else f"the largest is {high}"
            raise UserError(
                f"--{name.replace('_', '-')} {value} is too {'small' if value < low else 'large'}; {least}."
            )
    if not 0 < asked.share <= 1:
        raise UserError(f"--share {asked.share:g} must lie above 0 and not above 1, such as 0.4.")
    check_out(Path(asked.out).expanduser().absolute())


def _run(asked: argparse.Namespace) -> int:
    from distill.tasks import registry
    from distill.tasks.augmented import refuse_spans

    task = registry.get(asked.task)
    refuse_spans(task, f"--task {asked.task}: augmenting")
    attempts = asked.copies or COPIES.get(task.name, USUAL)
    data = _data(asked, task.name)
    started = time.monotonic()

    import torch

    from distill.artifacts import hash_encoder
    from distill.augment import rows, vectors
    from distill.augment.candidates import Candidates
    from distill.augment.masked import MaskedModel, find
    from distill.augment.progress import showing

    device = "cuda" if torch.cuda.is_available() else "cpu"
    folder = find(asked.model, say)
    known = vectors.read(Path(asked.vectors).expanduser()) if asked.vectors else None
    examples = rows.one_line(data.train)
    identity = {
        # To be raised with any change of what is written.
        "form": 1,
        "task": task.name,
        "data": data.fingerprint(),
        "model": hash_encoder(folder),
        "vectors": known.fingerprint() if known else None,
        **{name: getattr(asked, name) for name in ("share", "candidates", "seed")},
        "copies": attempts,
    }
    with Partial(Path(asked.out).expanduser().absolute(), identity) as partial:
        model = MaskedModel(folder, asked.model, device)
        if partial.rows:
            say(f"Going on behind row {partial.rows} of {len(examples)}, where an earlier run was stopped.")
        source = "by the model alone" if known is None else f"by the model and {len(known.words)} word vectors"
        say(
            f"Augmenting {len(examples)} training rows of {task.name} ({data.source}) with {asked.model} on {device}: "
            f"{attempts} copies of each text tried, {source}."
        )
        candidates = Candidates(model, known, asked.candidates, asked.batch or BATCH[device])
        with showing(len(examples), partial.rows) as show:
            counts = rows.write(
                task,
                examples,
                candidates,
                partial,
                share=asked.share,
                attempts=attempts,
                seed=asked.seed,
                show=show,
            )
        partial.finish()
    say(_summary(asked, len(examples), counts, time.monotonic() - started))
    return 0


def _data(asked: argparse.Namespace, task: str) -> TaskData:
    from distill.inputs import find_data

    found = find_data(task, asked.data_dir, asked.max_train_rows, asked.seed)
    for note in found.notes:
        say(f"Note: {note}")
    return found


def _summary(asked: Any, rows: int, counts: Counter[str], seconds: float) -> str:
    words = [f"{counts['masked']} words masked"]
    if asked.vectors:
        words.append(f"{counts['near']} by vectors")
    if counts["kept"]:
        words.append(f"{counts['kept']} without candidates kept")
    return (
        f"{asked.out}: {counts['made']} rows from {rows} ({counts['made'] / rows:.1f} each); {', '.join(words)}, "
        f"{counts['doubles']} doubles dropped; {seconds:.0f} s."
    )
