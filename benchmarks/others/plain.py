"""One BERT-EMD trial as research code usually has it, in a process of its own.

    python -m benchmarks.others.plain INPUTS LR

Every row is padded to 64 tokens, everything is float32, the teacher runs at every step, each pair of layers has its own
mean squared error, and the transport problem has the (M + N) x (M + N) form of the published program. `INPUTS` is what
`benchmarks/sweep.py` wrote: rows, teacher, student.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import ot
import torch
import torch.nn.functional as F
from torch import Tensor, nn

LENGTH, BATCH = 64, 32


def main() -> None:
    inputs, lr = Path(sys.argv[1]), float(sys.argv[2])
    asked = json.loads((inputs / "asked.json").read_text())
    torch.set_num_threads(asked["cores"])
    torch.manual_seed(0)
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(inputs / "teacher")
    teacher = AutoModelForSequenceClassification.from_pretrained(inputs / "teacher", dtype=torch.float32).eval()
    student = AutoModelForSequenceClassification.from_pretrained(
        inputs / "student", dtype=torch.float32, num_labels=teacher.config.num_labels
    )
    projection = nn.Linear(student.config.hidden_size, teacher.config.hidden_size)
    optimizer = torch.optim.AdamW([*student.parameters(), *projection.parameters()], lr=lr, foreach=False)
    train = encoded(tokenizer, inputs / "train.jsonl")
    dev = encoded(tokenizer, inputs / "dev.jsonl")
    own, theirs = Watched(student), Watched(teacher)
    weights = Weights(student.config.num_hidden_layers, teacher.config.num_hidden_layers)
    for _ in range(asked["epochs"]):
        student.train()
        order = torch.randperm(len(train["labels"]))
        for rows in order.split(BATCH):
            batch = {name: tensor[rows] for name, tensor in train.items()}
            loss = step_loss(own, theirs, projection, weights, batch)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            optimizer.step()
            loss.item()
        print(f"accuracy {accuracy(student, dev):.4f}", flush=True)


def encoded(tokenizer: Any, file: Path) -> dict[str, Tensor]:
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    second = [row["second"] for row in rows] if rows[0].get("second") is not None else None
    found = tokenizer(
        [row["first"] for row in rows],
        second,
        padding="max_length",
        truncation=True,
        max_length=LENGTH,
        return_tensors="pt",
        return_token_type_ids=True,
    )
    return {**found, "labels": torch.tensor([row["label"] for row in rows])}


class Watched:
    """Hidden states and raw attention scores of a model, by hooks."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.projected: list[Tensor] = []
        for layer in model.base_model.encoder.layer:
            for part in (layer.attention.self.query, layer.attention.self.key):
                part.register_forward_hook(lambda module, given, output: self.projected.append(output))

    def __call__(self, batch: dict[str, Tensor]) -> tuple[Tensor, tuple[Tensor, ...], list[Tensor]]:
        self.projected.clear()
        inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
        output = self.model(**inputs, output_hidden_states=True)
        heads = self.model.config.num_attention_heads
        split = [part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in self.projected]
        blocked = (1.0 - batch["attention_mask"][:, None, None, :].float()) * -10000.0
        scores = [
            q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5 + blocked for q, k in zip(split[::2], split[1::2], strict=True)
        ]
        return output.logits, output.hidden_states, scores


class Weights:
    """Layer weights that follow the costs of the last step."""

    def __init__(self, students: int, teachers: int) -> None:
        self.pairs = {
            kind: (np.full(students, 1 / students), np.full(teachers, 1 / teachers)) for kind in ("score", "hidden")
        }

    def cost(self, kind: str, own: list[Tensor], theirs: list[Tensor]) -> Tensor:
        """Transport cost between all layers, one mean squared error a pair."""
        m, n = len(own), len(theirs)
        mine, other = self.pairs[kind]
        ground: Tensor = torch.zeros(m + n, m + n)
        for i in range(m):
            for j in range(n):
                ground[i][m + j] = ground[m + j][i] = F.mse_loss(own[i], theirs[j])
        supply = np.concatenate([mine, np.zeros(n)])
        demand = np.concatenate([np.zeros(m), other])
        flow = ot.emd(supply, demand, ground.detach().cpu().numpy().astype(np.float64))
        loss = (torch.tensor(flow, dtype=torch.float32) * ground).sum()
        block, costs = flow[:m, m:], ground.detach().numpy()[:m, m:].astype(np.float64)
        self.pairs[kind] = (
            self._follow((block * costs).sum(1) / mine),
            self._follow((block * costs).sum(0) / other),
        )
        return loss

    @staticmethod
    def _follow(costs: np.ndarray) -> np.ndarray:
        inverse = np.divide(costs.sum(), costs, out=np.zeros_like(costs), where=costs != 0)
        return inverse / inverse.sum()


def step_loss(
    own: Watched, theirs: Watched, projection: nn.Module, weights: Weights, batch: dict[str, Tensor]
) -> Tensor:
    logits, hidden, scores = own(batch)
    with torch.no_grad():
        their_logits, their_hidden, their_scores = theirs(batch)
    scores, their_scores = (
        [torch.where(score <= -100, torch.zeros_like(score), score) for score in each]
        for each in (scores, their_scores)
    )
    projected = [projection(state) for state in hidden]
    transfer = weights.cost("score", scores, their_scores)
    transfer = transfer + weights.cost("hidden", projected[1:], list(their_hidden[1:]))
    transfer = transfer + F.mse_loss(projected[0], their_hidden[0])
    soft = -(F.softmax(their_logits, -1) * F.log_softmax(logits, -1)).mean()
    return 0.01 * transfer + soft


@torch.no_grad()
def accuracy(student: Any, dev: dict[str, Tensor]) -> float:
    student.eval()
    right = 0
    for rows in torch.arange(len(dev["labels"])).split(BATCH):
        inputs = {name: tensor[rows] for name, tensor in dev.items() if name != "labels"}
        right += int((student(**inputs).logits.argmax(-1) == dev["labels"][rows]).sum())
    return right / len(dev["labels"])


if __name__ == "__main__":
    main()
