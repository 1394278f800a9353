"""Whether a teacher was fine-tuned for a task elsewhere and can be taken as it is. Imports without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from distill.errors import UserError
from distill.methods.base import nearest
from distill.models.labels import json_of, order_of, words_of
from distill.tasks.base import Task

Mode = Literal["finetune", "ready"]
_ASKED = ("auto", "always", "never")
_HEADS = {"span": "ForQuestionAnswering"}
_HEAD = "ForSequenceClassification"
# Where the supported encoders keep the layer that gives the logits, [labels, width].
OUTPUTS = ("classifier.out_proj.weight", "classifier.weight")
# And the one that points to tokens.
POINTERS = ("qa_outputs.weight", "classifier.weight")
_KINDS = {"classification": (None, "single_label_classification"), "regression": (None, "regression")}


def is_ready(folder: Path, task: Task) -> bool:
    """Whether the folder holds a classifier that was trained for as many labels as `task` has."""
    return misfit(folder, task) is None


def misfit(folder: Path, task: Task) -> str | None:
    """Why the folder's model cannot answer `task` without being fine-tuned, as the rest of a sentence; else None."""
    config = json_of(folder / "config.json")
    named = (config.get("architectures") or ["an encoder"])[0]
    if not str(named).endswith(_HEADS.get(task.kind, _HEAD)):
        what = "is not made to point to answers" if task.kind == "span" else "has no classifier"
        return f"{what} (its config.json names {named})"
    if task.kind in _KINDS and config.get("problem_type") not in _KINDS[task.kind]:
        return f"was trained for {config['problem_type']}, and {task.name} is {task.kind}"
    rows = _outputs(folder, POINTERS if task.kind == "span" else OUTPUTS)
    if rows is None:
        return f"has no {'qa_outputs' if task.kind == 'span' else 'classifier'} among its weights"
    if rows != task.num_labels:
        return f"has a classifier of {rows} outputs, and {task.name} needs {task.num_labels}"
    return None


def mode(asked: str, folder: Path, task: Task, name: str) -> Mode:
    """What becomes of a teacher: taken as it is, or fine-tuned here.

    Args:
        asked: `--finetune-teacher`: auto takes a ready teacher as it is, always trains it nevertheless, never refuses
            one that is not ready.
        name: What a person calls the teacher.

    Raises:
        UserError: It is not ready and must not be fine-tuned, or what was asked is unknown.
    """
    if asked not in _ASKED:
        raise UserError(f"finetune_teacher={asked!r} is unknown{nearest(str(asked), _ASKED)}")
    if asked == "always":
        return "finetune"
    problem = misfit(folder, task)
    if problem is None:
        return "ready"
    if asked == "never":
        raise UserError(
            f"--finetune-teacher never: the teacher {name} {problem}; name one that was fine-tuned for {task.name}, "
            "or leave the option out to have it fine-tuned here."
        )
    return "finetune"


def notice(folder: Path, task: Task) -> str:
    """What a person should know of a teacher that is taken as it is."""
    text = "The teacher was fine-tuned already and is taken as it is (--finetune-teacher always trains it here)"
    if task.kind != "classification":
        return f"{text}."
    words = words_of(folder)
    order, named = order_of(words, task), ", ".join(words)
    if order is None:
        return f"{text}; the names of its labels ({named}) do not tell their order, which is taken as it is."
    if order != tuple(range(len(order))):
        return f"{text}; its labels ({named}) are brought into the order of {task.name}."
    return f"{text}."


def _outputs(folder: Path, names: tuple[str, ...]) -> int | None:
    """Outputs of the layer of one of these names in the weight files that would be loaded; None where there is none."""
    for stem, shapes in (("model.safetensors", _safetensors), ("pytorch_model.bin", _pickled)):
        for file in (folder / stem, folder / f"{stem}.index.json"):
            if not file.is_file():
                continue
            if file.suffix == ".json":
                parts = json_of(file).get("weight_map") or {}
                files = {folder / str(parts[name]) for name in names if name in parts}
            else:
                files = {file}
            found = {name: shape for part in files if part.is_file() for name, shape in shapes(part).items()}
            # A classifier of two layers has both names only where the second is the one that gives the logits.
            return next((found[name][0] for name in names if len(found.get(name, ())) == 2), None)
    return None


def _safetensors(file: Path) -> dict[str, list[int]]:
    """Shapes by name, from the header alone."""
    try:
        with file.open("rb") as stream:
            header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        return {name: list(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}
    except (OSError, ValueError, KeyError, TypeError, MemoryError, OverflowError):
        # Loading it says what is wrong with it.
        return {}


def _pickled(file: Path) -> dict[str, list[int]]:
    """Shapes by name of a file that only torch can read."""
    import pickle

    import torch

    try:
        weights = torch.load(file, map_location="meta", weights_only=True)
        return {name: list(value.shape) for name, value in weights.items()}
    except (OSError, RuntimeError, ValueError, AttributeError, EOFError, pickle.UnpicklingError):
        return {}
