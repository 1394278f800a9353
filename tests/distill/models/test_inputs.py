"""What each kind of encoder is given of a batch, where it is trained and where it is asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from distill.models.masks import inputs_for
from distill.training.batching import Tokens
from distill.training.predictions import predict
from tests.distill.models.kinds import BATCH, CASES, MASK, captured, model, own_inputs

# The rows of the batch, whose second segments have type 1.
LENGTHS = MASK.sum(1).numpy()
TOKENS = Tokens(
    ids=BATCH["input_ids"][MASK].numpy().astype(np.int32),
    types=BATCH["token_type_ids"][MASK].numpy().astype(np.int8),
    offsets=np.concatenate([[0], np.cumsum(LENGTHS)]).astype(np.int64),
    labels=BATCH["labels"].numpy(),
    pad=0,
)


@pytest.mark.parametrize("name", CASES)
def test_pairs_are_read_alike_in_training_and_in_a_look(name: str) -> None:
    assert TOKENS.types.max() == 1

    found = predict(model(name), TOKENS, 2)

    torch.testing.assert_close(torch.from_numpy(found), captured(name).logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", CASES)
def test_types_go_where_there_are_embeddings_of_them(name: str) -> None:
    assert set(inputs_for(model(name), BATCH)) == {*own_inputs(name), "labels"}
