"""Kinds of encoders: where each keeps what the others keep elsewhere. Imports without torch.

Methods name a student's parameters as a BERT names them ("encoder.layer.3.attention.self.query."); `own_names` says
what is meant in another kind. A further kind is one entry here, and, if its scores are more than products of queries
and keys, one function in `distill.models.scores`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

Names = tuple[str, ...]


@dataclass(frozen=True)
class Architecture:
    """One kind of encoder.

    Names of modules are those inside the encoder, or inside one of its layers; fields are those of `config.json`.

    Attributes:
        kind: The `model_type`.
        title: What people call it.
        stack: The list of its layers; "" where one set of layers is called many times (`groups`).
        groups: The groups of layers that are called many times, of an encoder whose layers share their weights.
        attention: Of a layer, the module whose output is the attended states.
        query, key, value: Of a layer, the three projections.
        fused: Of a layer, one projection that gives queries, keys and values side by side, in place of the three.
        scores: What scores before the softmax are: scaled products of queries and keys ("plain"), these with a bias of
            the distance ("biased"), with products of contents and positions ("disentangled"), or products of queries
            and keys that were turned by their positions ("rotary").
        local: Whether some layers attend within a window alone.
        parts: The other parts of a layer, by the names that a BERT has for them.
        embeddings: Beginnings of the names of all that embeds: words, positions (those between two tokens too), types.
        projection: What brings narrower embeddings to the width of the layers, where it is a module of its own.
        words: The table of words within the embeddings.
        encoder: Beginnings of the names of all layers.
        after_first, after_last: What acts on the output of that layer before it is a hidden state.
        head: Beginnings of the names of what stands before a classifier's last module, in the whole model.
        activation: Between the two linear layers of its own classifier.
        pooling: Field that says what its own classifier reads: "mean" of all tokens, or else the first one; "" where
            that is always the first.
        layers, width, heads: Fields of the shape.
        embedding_size: What the embeddings' width is where no field says; 0 is that of the layers, None that there is
            no such field.
        dropouts: Fields of every dropout, that of the classifier among them.
        head_dropouts: Fields of the dropouts in a classifier's head, that before its last layer first; without a value
            it is `hidden_dropout`.
        hidden_dropout: Field of the dropout of hidden states.
        head_module: Module whose dropout the library takes from elsewhere, so that it is set after loading.
        span_head: Whether `head` stands before what points to tokens, too.
        span_dropout: Field of the dropout before what points to tokens; "" where there is none.
        types: Whether it takes token types.
        skipped: Positions that no token has; None where it is the padding token's id + 1.
        own_sharing: Whether its layers may run twice (`distill.models.sharing`).
    """

    kind: str
    title: str
    stack: str = "encoder.layer"
    groups: str = ""
    attention: str = "attention.self"
    query: str = "attention.self.query"
    key: str = "attention.self.key"
    value: str = "attention.self.value"
    fused: str = ""
    scores: Literal["plain", "biased", "disentangled", "rotary"] = "plain"
    local: bool = False
    parts: tuple[tuple[str, Names], ...] = ()
    embeddings: Names = ("embeddings",)
    projection: str = ""
    words: str = "word_embeddings"
    encoder: Names = ("encoder.",)
    after_first: str = ""
    after_last: str = ""
    head: Names = ()
    activation: Literal["tanh", "gelu", "relu"] = "tanh"
    pooling: str = ""
    layers: str = "num_hidden_layers"
    width: str = "hidden_size"
    heads: str = "num_attention_heads"
    embedding_size: int | None = None
    dropouts: Names = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")
    head_dropouts: Names = ("classifier_dropout",)
    hidden_dropout: str = "hidden_dropout_prob"
    head_module: str = ""
    span_head: bool = False
    span_dropout: str = ""
    types: bool = True
    skipped: int | None = 0
    own_sharing: bool = True

    def own_names(self, generic: str, layer: str = "") -> Names:
        """Beginnings of its parameters' names for that of a BERT; names of no BERT stay as they are.

        Args:
            generic: Within the encoder ("embeddings.", "pooler.", "encoder."), or, given a layer, within that.
            layer: What the names of the layer begin with.
        """
        if layer:
            return tuple(f"{layer}{name}" for name in self._of_layer(generic))
        if generic.rstrip(".") == "embeddings":
            return self.embeddings
        if generic == "encoder.":
            return self.encoder
        if generic == "pooler." and self.head:
            return self.head
        return (generic,)

    def _of_layer(self, generic: str) -> Names:
        projections = {f"attention.self.{name}.": getattr(self, name) for name in ("query", "key", "value")}
        others = dict(self.parts)
        if generic in others:
            return others[generic]
        if generic in projections:
            return (f"{self.fused or projections[generic]}.",)
        return (generic,)


# Beginnings of names, of which an encoder has the one where its embeddings are narrower than its layers.
_NARROW = ("embeddings.", "embeddings_project.")
BERT = Architecture("bert", "BERT", head=("pooler.",))
_ROBERTA = Architecture("roberta", "RoBERTa", skipped=None)
_KINDS = (
    BERT,
    _ROBERTA,
    replace(_ROBERTA, kind="xlm-roberta", title="XLM-RoBERTa"),
    replace(_ROBERTA, kind="camembert", title="CamemBERT"),
    Architecture(
        "electra",
        "ELECTRA",
        embeddings=_NARROW,
        projection="embeddings_project",
        activation="gelu",
        embedding_size=128,
    ),
    Architecture(
        "distilbert",
        "DistilBERT",
        stack="transformer.layer",
        attention="attention",
        query="attention.q_lin",
        key="attention.k_lin",
        value="attention.v_lin",
        parts=(
            ("attention.output.", ("attention.out_lin.", "sa_layer_norm.")),
            ("intermediate.", ("ffn.lin1.",)),
            ("output.", ("ffn.lin2.", "output_layer_norm.")),
        ),
        encoder=("transformer.",),
        head=("pre_classifier.",),
        activation="relu",
        layers="n_layers",
        width="dim",
        heads="n_heads",
        dropouts=("dropout", "attention_dropout", "seq_classif_dropout", "qa_dropout"),
        head_dropouts=("seq_classif_dropout", "qa_dropout"),
        span_dropout="qa_dropout",
        hidden_dropout="dropout",
        types=False,
    ),
    Architecture(
        "mpnet",
        "MPNet",
        attention="attention.attn",
        query="attention.attn.q",
        key="attention.attn.k",
        value="attention.attn.v",
        scores="biased",
        parts=(("attention.output.", ("attention.attn.o.", "attention.LayerNorm.")),),
        embeddings=("embeddings.", "encoder.relative_attention_bias."),
        # Its head has the hidden states' dropout, whatever its configuration says.
        head_module="classifier.dropout",
        types=False,
        # Of every one of them, whichever token pads.
        skipped=2,
    ),
    Architecture(
        "deberta-v2",
        "DeBERTa",
        query="attention.self.query_proj",
        key="attention.self.key_proj",
        value="attention.self.value_proj",
        scores="disentangled",
        parts=(
            ("attention.self.query.", ("attention.self.query_proj.", "attention.self.pos_query_proj.")),
            ("attention.self.key.", ("attention.self.key_proj.", "attention.self.pos_key_proj.")),
        ),
        embeddings=("embeddings.", "encoder.rel_embeddings.", "encoder.LayerNorm."),
        after_first="encoder.conv",
        head=("pooler.",),
        activation="gelu",
        embedding_size=0,
        dropouts=("hidden_dropout_prob", "attention_probs_dropout_prob", "pooler_dropout", "cls_dropout"),
        head_dropouts=("cls_dropout", "pooler_dropout"),
    ),
    Architecture(
        "albert",
        "ALBERT",
        stack="",
        groups="encoder.albert_layer_groups",
        attention="attention",
        query="attention.query",
        key="attention.key",
        value="attention.value",
        parts=(
            ("attention.output.", ("attention.dense.", "attention.LayerNorm.")),
            ("intermediate.", ("ffn.",)),
            ("output.", ("ffn_output.", "full_layer_layer_norm.")),
        ),
        embeddings=("embeddings.", "encoder.embedding_hidden_mapping_in."),
        projection="encoder.embedding_hidden_mapping_in",
        encoder=("encoder.albert_layer_groups.",),
        head=("pooler.",),
        embedding_size=128,
        dropouts=("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout_prob"),
        head_dropouts=("classifier_dropout_prob",),
        own_sharing=False,
    ),
    Architecture(
        "modernbert",
        "ModernBERT",
        stack="layers",
        attention="attn",
        fused="attn.Wqkv",
        scores="rotary",
        local=True,
        # Each layer normalises what it projects itself.
        parts=(
            *((f"attention.self.{name}.", ("attn_norm.", "attn.Wqkv.")) for name in ("query", "key", "value")),
            ("attention.output.", ("attn.Wo.",)),
            ("intermediate.", ("mlp_norm.", "mlp.Wi.")),
            ("output.", ("mlp.Wo.",)),
        ),
        words="tok_embeddings",
        encoder=("layers.", "final_norm."),
        after_last="final_norm",
        head=("head.",),
        activation="gelu",
        pooling="classifier_pooling",
        dropouts=("embedding_dropout", "mlp_dropout", "attention_dropout", "classifier_dropout"),
        hidden_dropout="mlp_dropout",
        span_head=True,
        span_dropout="classifier_dropout",
        types=False,
        own_sharing=False,
    ),
)
# By `model_type`.
ARCHITECTURES = {known.kind: known for known in _KINDS}

# What distill.models.relu_head saves: BERT all but for its head.
RELU_HEAD = "bert-relu-head"
# What distill.models.sharing saves of each: the same weights, but some layers run twice.
SHARED = {known.kind: f"{known.kind}-shared-layers" for known in _KINDS if known.own_sharing}
SUPPORTED = (*ARCHITECTURES, RELU_HEAD, *SHARED.values())


def shared(kind: str) -> bool:
    """Whether encoders of a model type run some of their layers twice."""
    return kind in SHARED.values()


def plain(kind: str) -> str:
    """The model type without layers that run twice."""
    return next((usual for usual, other in SHARED.items() if other == kind), kind)


def architecture(kind: str) -> Architecture:
    """That of a model type, whatever its head and however often its layers run.

    Raises:
        KeyError: It is not among `SUPPORTED`.
    """
    return BERT if kind == RELU_HEAD else ARCHITECTURES[plain(kind)]


def layer_count(known: Architecture, config: dict[str, Any]) -> int:
    """How many layers the hidden states go through once, by the values of a configuration.

    Raises:
        KeyError: The configuration does not say.
    """
    inner = int(config.get("inner_group_num", 1)) if known.groups else 1
    return int(config[known.layers]) * inner


def titles() -> str:
    """All of them, for people."""
    return ", ".join(known.title for known in _KINDS)
