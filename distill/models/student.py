"""Building students and teachers as sequence classifiers, or as models that point to tokens."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from distill.errors import UserError
from distill.models.architectures import RELU_HEAD, SHARED, architecture, plain, shared
from distill.models.capture import encoder_layers
from distill.models.cutting import check_cut, cut
from distill.models.folder import Head, check_configuration
from distill.models.outputs import as_learned
from distill.models.parameters import OUTPUT, SPANS, output_layer, redraw
from distill.models.repeats import Sharing, check, uncut
from distill.tasks.base import Task


def load_classifier(
    path: str | Path,
    task: Task,
    layers: tuple[int, ...] | None = None,
    *,
    head: Head = "own",
    dropout: float | None = None,
    classifier_dropout: float | None = None,
    sharing: Sharing | None = None,
) -> Any:
    """A sequence classifier with `task`'s labels from an encoder folder, or for spans what points to tokens; float32.

    Missing weights (classifier, and pooler where the folder has none) are drawn from torch's generator, so seed
    it before; so is a classifier that was trained for another number of labels, or for a task of the other form. Code
    in the folder is never run.

    Args:
        layers: 1-based layers to keep, in this order; all when None.
        head: "relu" reads the pooled output through a ReLU and without dropout (see `relu_head`); "own" is the head
            of the folder's architecture, which for a saved student with a ReLU is that ReLU.
        dropout: Of hidden states, attention and classifier; None keeps what the folder's configuration says.
        classifier_dropout: Before the classifier, where the head has any; None is `dropout`.
        sharing: How layers run twice (see `distill.models.sharing`), of those that are kept; None keeps what the
            folder is, a plain encoder or a saved student that shares.

    Raises:
        UserError: The folder cannot be loaded, has no such head, a layer of `layers` does not exist, or layers of such
            an encoder cannot run twice as asked.
    """
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    span = task.kind == "span"
    labels = dict(enumerate(task.labels)) if task.kind == "classification" else {0: "score"}
    labels = dict(enumerate(("start", "end"))) if span else labels
    try:
        config, build = _architecture(path, head, sharing, layers, span)
        # The folder may come from another task, whose problem type forbids this one's number of labels.
        config.problem_type = None
        config.id2label, config.label2id = labels, {name: i for i, name in labels.items()}
        if not span:
            config.problem_type = "regression" if task.kind == "regression" else "single_label_classification"
        known = architecture(config.model_type)
        for field in known.dropouts if dropout is not None else ():
            setattr(config, field, dropout)
        for field in known.head_dropouts if classifier_dropout is not None else ():
            setattr(config, field, classifier_dropout)
        model, report = build.from_pretrained(
            path, config=config, dtype=torch.float32, ignore_mismatched_sizes=True, output_loading_info=True
        )
        if others := sorted(name for name, *_ in report["mismatched_keys"] if not name.startswith(_HEADS)):
            raise ValueError(f"the sizes of {others[0]} in weights and config.json differ")
    except (OSError, ValueError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"The encoder in {path} cannot be loaded: {reason}") from error
    missing = {*report["missing_keys"], *(name for name, *_ in report["mismatched_keys"])}
    if f"{output_layer(model)[0]}.weight" not in missing:
        if _of_other_form(path, span):
            redraw(model, (OUTPUT,))
        elif not span:
            as_learned(model, Path(path), task)
    if not span and known.head_module and (own := getattr(config, known.head_dropouts[0], None)) is not None:
        model.get_submodule(known.head_module).p = own
    if layers is not None:
        check_cut(config.model_type, f"The encoder in {path}")
        count = len(encoder_layers(model))
        if not layers or min(layers) < 1 or max(layers) > count:
            raise UserError(f"--student-layers {layers} does not fit an encoder of {count} layers.")
        cut(model, layers)
    return model


# What is drawn anew where it is missing or was trained for another task.
_HEADS = ("classifier.", f"{SPANS}.")


def _of_other_form(path: str | Path, span: bool) -> bool:
    """Whether the last layer is that of a classifier where one points to tokens, or the other way round.

    A ModernBERT calls what points to tokens as it calls a classifier, and of two classes both have one shape.
    """
    from transformers import PretrainedConfig

    named = str((PretrainedConfig.get_config_dict(path)[0].get("architectures") or [""])[0])
    return named.endswith("ForSequenceClassification" if span else "ForQuestionAnswering")


def _architecture(
    path: str | Path, head: Head, sharing: Sharing | None, layers: tuple[int, ...] | None, span: bool
) -> tuple[Any, Any]:
    """Configuration of a folder, and the class its classifier, or what points to tokens, is built with."""
    from transformers import AutoConfig, AutoModelForQuestionAnswering, AutoModelForSequenceClassification

    from distill.models.relu_head import BertReluHeadConfig, BertReluHeadForSequenceClassification

    found, _ = BertReluHeadConfig.get_config_dict(path)
    kind = found.get("model_type")
    # What names the folder's own class gives way to this program's.
    kept = {name: value for name, value in found.items() if name not in ("model_type", "architectures", "auto_map")}
    if head == "own" and (sharing is not None or shared(str(kind))):
        return _in_two_passes(Path(path), kept, sharing, layers, span)
    if span and (head == "relu" or kind == RELU_HEAD):
        raise UserError(f"The encoder in {path} is read through a ReLU, which points to no tokens: name another one.")
    if sharing is not None:
        raise UserError(f"The encoder in {path} cannot run its layers twice and be read through a ReLU: leave one out.")
    if kind == RELU_HEAD or (kind == "bert" and head == "relu"):
        return BertReluHeadConfig.from_dict(kept), BertReluHeadForSequenceClassification
    if head == "relu":
        raise UserError(f"The encoder in {path} is of type {kind}, but a head with ReLU needs BERT: name another one.")
    build = AutoModelForQuestionAnswering if span else AutoModelForSequenceClassification
    return AutoConfig.from_pretrained(path, trust_remote_code=False), build


def _in_two_passes(
    path: Path, values: dict[str, Any], sharing: Sharing | None, layers: tuple[int, ...] | None, span: bool
) -> tuple[Any, Any]:
    """The same of a classifier whose layers run twice, from the values of its configuration."""
    from distill.models.sharing import CLASSIFIERS, READERS

    found = check_configuration(path, "The encoder in", str(path))
    count, what = len(layers or range(found.layers)), f"The encoder in {path}"
    check(sharing, what, found.model_type, count, found.sharing)
    if sharing is None and layers is not None:
        uncut(found.sharing, what)
    asked = found.sharing if sharing is None else (sharing.mode, sharing.repeated(count))
    assert asked is not None
    kind = SHARED[plain(found.model_type)]
    build = next(known for known in (READERS if span else CLASSIFIERS) if known.config_class.model_type == kind)
    return build.config_class.from_dict({**values, "sharing": asked[0], "repeated_layers": asked[1]}), build


def parameter_count(model: nn.Module) -> int:
    """Number of distinct parameters; layers that run twice count once."""
    return sum(parameter.numel() for parameter in model.parameters())
