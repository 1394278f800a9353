"""Encoders whose top layers run a second time with the same weights. Saved students carry a copy of this file.

Pea-KD's students are such (Cho and Kang, 2022, arXiv 2009.14822): twice as deep with no more parameters. Only torch and
transformers are imported: where a saved student is loaded, nothing else of this program may be there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertModel,
    CamembertConfig,
    CamembertForQuestionAnswering,
    CamembertForSequenceClassification,
    CamembertModel,
    DebertaV2Config,
    DebertaV2ForQuestionAnswering,
    DebertaV2ForSequenceClassification,
    DebertaV2Model,
    DistilBertConfig,
    DistilBertForQuestionAnswering,
    DistilBertForSequenceClassification,
    DistilBertModel,
    ElectraConfig,
    ElectraForQuestionAnswering,
    ElectraForSequenceClassification,
    ElectraModel,
    MPNetConfig,
    MPNetForQuestionAnswering,
    MPNetForSequenceClassification,
    MPNetModel,
    RobertaConfig,
    RobertaForQuestionAnswering,
    RobertaForSequenceClassification,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaForQuestionAnswering,
    XLMRobertaForSequenceClassification,
    XLMRobertaModel,
)

MODES = ("share", "swap")
# Names of a layer's projections that change places, whatever the kind; each kind has some of them.
_PAIRS = (
    ("query", "key"),
    ("q_lin", "k_lin"),
    ("q", "k"),
    ("query_proj", "key_proj"),
    ("pos_query_proj", "pos_key_proj"),
)


class TwoPassLayers(nn.ModuleList):
    """Physical layers 1 … L, which are walked through in their order, then the last `config.repeated_layers` again.

    Every layer is registered once, under the name that it has in the plain encoder. Where `config.sharing` is "swap",
    the second pass takes the weight and bias of each layer's key projection for its queries, and those of its query
    projection for its keys; those of positions, where there are any, as well.
    """

    def __init__(self, layers: nn.ModuleList, config: Any) -> None:
        super().__init__(layers)
        self.config = config
        self.passes()

    def passes(self) -> list[tuple[int, bool]]:
        """For each logical layer the index of its physical layer, and whether queries and keys change places.

        Raises:
            ValueError: The configuration does not say how layers are shared, or repeats more than there are.
        """
        mode, repeated, count = self.config.sharing, self.config.repeated_layers, len(self)
        if mode not in MODES or not isinstance(repeated, int) or not 1 <= repeated <= count:
            raise ValueError(
                f"sharing={mode!r} and repeated_layers={repeated!r} in config.json do not say which of {count} layers "
                f"run twice: sharing must be {' or '.join(MODES)}, repeated_layers 1 to {count}"
            )
        again = range(count - repeated, count)
        return [*((index, False) for index in range(count)), *((index, mode == "swap") for index in again)]

    def __iter__(self) -> Iterator[Any]:
        """What the library's own encoder calls, one logical layer after the other."""
        for index, swapped in self.passes():
            yield _Exchanged(self[index]) if swapped else self[index]


class _Exchanged:
    """A layer whose queries and keys change places for each call."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer

    def __call__(self, *given: Any, **named: Any) -> Any:
        with exchanged(self._layer):
            return self._layer(*given, **named)


@contextmanager
def exchanged(layer: Any) -> Iterator[None]:
    """Within it the query projection of a layer has weight and bias of the key projection, and the other way round.

    The modules stay where they are, so that hooks on "query" see what acts as query.
    """
    pairs = [pair for module in layer.attention.modules() for pair in _projections(module)]
    # `torch.func.functional_call` does the same, but costs the host much more.
    for query, key in pairs:
        query._parameters, key._parameters = key._parameters, query._parameters
    try:
        yield
    finally:
        for query, key in pairs:
            query._parameters, key._parameters = key._parameters, query._parameters


def _projections(module: nn.Module) -> Iterator[tuple[nn.Module, nn.Module]]:
    for names in _PAIRS:
        query, key = (getattr(module, name, None) for name in names)
        if isinstance(query, nn.Module) and isinstance(key, nn.Module):
            yield query, key


class _TwoPasses:
    """Puts the layers of a model, whatever its kind, into two passes. Weights are named as in the plain one."""

    # Layers would be computed again in the backward pass, when queries and keys are back in their places.
    supports_gradient_checkpointing = False

    def __init__(self, config: Any) -> None:
        super().__init__(config)  # type: ignore[call-arg]
        base: Any = self.base_model  # type: ignore[attr-defined]
        encoder = base.transformer if hasattr(base, "transformer") else base.encoder
        encoder.layer = TwoPassLayers(encoder.layer, config)
        # A saved model names its own class alone, so that the encoder of a classifier could not be loaded.
        alone = next(known for known in ENCODERS if isinstance(config, known.config_class))
        own = getattr(config, "auto_map", None) or {}
        config.auto_map = {"AutoModel": f"{alone.__module__.rpartition('.')[2]}.{alone.__name__}", **own}


class SharedBertConfig(BertConfig):
    """A configuration of a type of its own: the library must not take such a folder for the plain encoder."""

    model_type = "bert-shared-layers"
    sharing: str | None = None
    repeated_layers: int | None = None


class SharedRobertaConfig(RobertaConfig):
    model_type = "roberta-shared-layers"
    sharing: str | None = None
    repeated_layers: int | None = None


class SharedXLMRobertaConfig(XLMRobertaConfig):
    model_type = "xlm-roberta-shared-layers"
    sharing: str | None = None
    repeated_layers: int | None = None


class SharedCamembertConfig(CamembertConfig):
    model_type = "camembert-shared-layers"
    sharing: str | None = None
    repeated_layers: int | None = None


class SharedElectraConfig(ElectraConfig):
    model_type = "electra-shared-layers"
    sharing: str | None = None
    repeated_layers: int | None = None


class SharedDistilBertConfig(DistilBertConfig):
    model_type = "distilbert-shared-layers"
    sharing: str | None = None
    repeated_layers: int | None = None


class SharedMPNetConfig(MPNetConfig):
    model_type = "mpnet-shared-layers"
    sharing: str | None = None
    repeated_layers: int | None = None


class SharedDebertaV2Config(DebertaV2Config):
    model_type = "deberta-v2-shared-layers"
    sharing: str | None = None
    repeated_layers: int | None = None


class SharedBertModel(_TwoPasses, BertModel):
    config_class = SharedBertConfig


class SharedRobertaModel(_TwoPasses, RobertaModel):
    config_class = SharedRobertaConfig


class SharedXLMRobertaModel(_TwoPasses, XLMRobertaModel):
    config_class = SharedXLMRobertaConfig


class SharedCamembertModel(_TwoPasses, CamembertModel):
    config_class = SharedCamembertConfig


class SharedElectraModel(_TwoPasses, ElectraModel):
    config_class = SharedElectraConfig


class SharedDistilBertModel(_TwoPasses, DistilBertModel):
    config_class = SharedDistilBertConfig


class SharedMPNetModel(_TwoPasses, MPNetModel):
    config_class = SharedMPNetConfig


class SharedDebertaV2Model(_TwoPasses, DebertaV2Model):
    config_class = SharedDebertaV2Config


class SharedBertForSequenceClassification(_TwoPasses, BertForSequenceClassification):
    config_class = SharedBertConfig


class SharedRobertaForSequenceClassification(_TwoPasses, RobertaForSequenceClassification):
    config_class = SharedRobertaConfig


class SharedXLMRobertaForSequenceClassification(_TwoPasses, XLMRobertaForSequenceClassification):
    config_class = SharedXLMRobertaConfig


class SharedCamembertForSequenceClassification(_TwoPasses, CamembertForSequenceClassification):
    config_class = SharedCamembertConfig


class SharedElectraForSequenceClassification(_TwoPasses, ElectraForSequenceClassification):
    config_class = SharedElectraConfig


class SharedDistilBertForSequenceClassification(_TwoPasses, DistilBertForSequenceClassification):
    config_class = SharedDistilBertConfig


class SharedMPNetForSequenceClassification(_TwoPasses, MPNetForSequenceClassification):
    config_class = SharedMPNetConfig


class SharedDebertaV2ForSequenceClassification(_TwoPasses, DebertaV2ForSequenceClassification):
    config_class = SharedDebertaV2Config


class SharedBertForQuestionAnswering(_TwoPasses, BertForQuestionAnswering):
    config_class = SharedBertConfig


class SharedRobertaForQuestionAnswering(_TwoPasses, RobertaForQuestionAnswering):
    config_class = SharedRobertaConfig


class SharedXLMRobertaForQuestionAnswering(_TwoPasses, XLMRobertaForQuestionAnswering):
    config_class = SharedXLMRobertaConfig


class SharedCamembertForQuestionAnswering(_TwoPasses, CamembertForQuestionAnswering):
    config_class = SharedCamembertConfig


class SharedElectraForQuestionAnswering(_TwoPasses, ElectraForQuestionAnswering):
    config_class = SharedElectraConfig


class SharedDistilBertForQuestionAnswering(_TwoPasses, DistilBertForQuestionAnswering):
    config_class = SharedDistilBertConfig


class SharedMPNetForQuestionAnswering(_TwoPasses, MPNetForQuestionAnswering):
    config_class = SharedMPNetConfig


class SharedDebertaV2ForQuestionAnswering(_TwoPasses, DebertaV2ForQuestionAnswering):
    config_class = SharedDebertaV2Config


# In the order of the kinds, as the classifiers and what points to tokens.
ENCODERS: tuple[Any, ...] = (
    SharedBertModel,
    SharedRobertaModel,
    SharedXLMRobertaModel,
    SharedCamembertModel,
    SharedElectraModel,
    SharedDistilBertModel,
    SharedMPNetModel,
    SharedDebertaV2Model,
)
CLASSIFIERS: tuple[Any, ...] = (
    SharedBertForSequenceClassification,
    SharedRobertaForSequenceClassification,
    SharedXLMRobertaForSequenceClassification,
    SharedCamembertForSequenceClassification,
    SharedElectraForSequenceClassification,
    SharedDistilBertForSequenceClassification,
    SharedMPNetForSequenceClassification,
    SharedDebertaV2ForSequenceClassification,
)
READERS: tuple[Any, ...] = (
    SharedBertForQuestionAnswering,
    SharedRobertaForQuestionAnswering,
    SharedXLMRobertaForQuestionAnswering,
    SharedCamembertForQuestionAnswering,
    SharedElectraForQuestionAnswering,
    SharedDistilBertForQuestionAnswering,
    SharedMPNetForQuestionAnswering,
    SharedDebertaV2ForQuestionAnswering,
)
# With these `save_pretrained` puts this file beside the weights and names its classes in config.json.
for _encoder, _classifier, _reader in zip(ENCODERS, CLASSIFIERS, READERS, strict=True):
    _classifier.config_class.register_for_auto_class("AutoConfig")
    _encoder.register_for_auto_class("AutoModel")
    _classifier.register_for_auto_class("AutoModelForSequenceClassification")
    _reader.register_for_auto_class("AutoModelForQuestionAnswering")
