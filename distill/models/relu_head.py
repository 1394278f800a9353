"""BERT whose pooled output passes a ReLU before the classifier. Saved students carry a copy of this file.

TinyBERT and BERT-EMD were published with this head. Only torch and transformers are imported: where a saved student is
loaded, nothing else of this program may be there.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import BertConfig, BertForSequenceClassification


class BertReluHeadConfig(BertConfig):
    """A `BertConfig` of a type of its own: the library must not take such a folder for a plain BERT."""

    model_type = "bert-relu-head"


class BertReluHeadForSequenceClassification(BertForSequenceClassification):
    """Logits [B, C] = classifier(relu(pooled)), without dropout before the classifier. Weights are named as in BERT."""

    config_class = BertReluHeadConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        # The one module between pooled output and classifier; what comes with the base class (labels, losses, return
        # types) stays the library's own.
        self.add_module("dropout", nn.ReLU())


# With these `save_pretrained` puts this file beside the weights and names its classes in config.json.
BertReluHeadConfig.register_for_auto_class("AutoConfig")
BertReluHeadForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")
