"""The same trials by `transformers.Trainer.hyperparameter_search` on its Ray backend.

    python -m benchmarks.others.trainer INPUTS TRIALS

A `compute_loss` distils as BERT-EMD does, written as a user of the Trainer would: the teacher runs in the loss, hidden
states and attention maps come from the models' own outputs (which needs the eager attention), all pairs of layers from
stacked tensors, one call of the solver. Dynamic padding and bfloat16 are on, one core a trial.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import ot
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)


class Distiller(Trainer):
    """BERT-EMD in `compute_loss`; the teacher is loaded once per worker."""

    folder = ""
    _teacher: Any = None

    def _taught_by(self) -> Any:
        if Distiller._teacher is None:
            Distiller._teacher = AutoModelForSequenceClassification.from_pretrained(
                self.folder, attn_implementation="eager", dtype=torch.float32
            ).eval()
        return Distiller._teacher

    def compute_loss(self, model: Any, inputs: dict[str, Tensor], return_outputs: bool = False, **rest: Any) -> Any:
        given = {name: tensor for name, tensor in inputs.items() if name != "labels"}
        if not model.training:
            output = model(**given)
            loss = F.cross_entropy(output.logits.float(), inputs["labels"])
            return (loss, output) if return_outputs else loss
        output = model(**given, output_hidden_states=True, output_attentions=True)
        with torch.no_grad():
            taught = self._taught_by()(**given, output_hidden_states=True, output_attentions=True)
        mask = inputs["attention_mask"].float()
        tokens = mask.sum()
        own = model.distillation(torch.stack(output.hidden_states).float())
        theirs = torch.stack(taught.hidden_states).float()
        shown = mask[None, :, :, None]
        scale = tokens * theirs.shape[-1]
        hidden = ((own[1:, None] - theirs[None, 1:]) * shown).square().sum((2, 3, 4)) / scale
        maps = torch.stack(output.attentions).float(), torch.stack(taught.attentions).float()
        rows = mask[None, None, :, None, :, None]
        count = mask.sum(1).square().sum() * maps[0].shape[2]
        attention = ((maps[0][:, None] - maps[1][None]) * rows).square().sum((2, 3, 4, 5)) / count
        loss = ((own[0] - theirs[0]) * shown[0]).square().sum() / scale
        for costs in (hidden, attention):
            m, n = costs.shape
            flow = ot.emd(np.full(m, 1 / m), np.full(n, 1 / n), costs.detach().double().numpy())
            loss = loss + (torch.tensor(flow, dtype=torch.float32) * costs).sum()
        soft = F.softmax(taught.logits.float(), -1)
        loss = 0.01 * loss - (soft * F.log_softmax(output.logits.float(), -1)).sum(-1).mean()
        return (loss, output) if return_outputs else loss


def main() -> None:
    inputs, trials = Path(sys.argv[1]).absolute(), int(sys.argv[2])
    asked = json.loads((inputs / "asked.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(inputs / "teacher")
    theirs = json.loads((inputs / "teacher" / "config.json").read_text())

    def fresh() -> Any:
        model: Any = AutoModelForSequenceClassification.from_pretrained(
            inputs / "student", attn_implementation="eager", dtype=torch.float32, num_labels=asked["num_labels"]
        )
        model.distillation = nn.Linear(model.config.hidden_size, theirs["hidden_size"])
        return model

    def rows(name: str) -> list[dict[str, Any]]:
        lines = (inputs / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        read = [json.loads(line) for line in lines]
        second = [row["second"] for row in read] if read[0].get("second") is not None else None
        found = tokenizer([row["first"] for row in read], second, truncation=True, max_length=128)
        return [{**{key: found[key][i] for key in found}, "labels": row["label"]} for i, row in enumerate(read)]

    Distiller.folder = str(inputs / "teacher")
    trainer = Distiller(
        args=TrainingArguments(
            output_dir=str(inputs / "trainer"),
            per_device_train_batch_size=32,
            per_device_eval_batch_size=64,
            num_train_epochs=asked["epochs"],
            eval_strategy="epoch",
            save_strategy="no",
            bf16=asked["bfloat16"],
            use_cpu=True,
            report_to=[],
            disable_tqdm=True,
            remove_unused_columns=False,
            dataloader_pin_memory=False,
        ),
        model_init=fresh,
        data_collator=DataCollatorWithPadding(tokenizer),
        train_dataset=rows("train"),
        eval_dataset=rows("dev"),
        compute_metrics=lambda p: {"accuracy": float((p.predictions.argmax(-1) == p.label_ids).mean())},
    )
    import ray
    from ray import tune

    os.environ["TUNE_DISABLE_STRICT_METRIC_CHECKING"] = "1"
    ray.init(num_cpus=asked["cores"], include_dashboard=False, log_to_driver=False)
    best = trainer.hyperparameter_search(
        hp_space=lambda trial: {"learning_rate": tune.choice([2e-5, 3e-5, 5e-5, 1e-4])},
        compute_objective=lambda metrics: metrics["eval_accuracy"],
        direction="maximize",
        backend="ray",
        n_trials=trials,
        resources_per_trial={"cpu": 1},
        storage_path=str(inputs / "trainer-ray"),
        verbose=0,
    )
    print(f"best accuracy {best.objective:.4f}", flush=True)


if __name__ == "__main__":
    main()
