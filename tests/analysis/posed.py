"""Records posed by hand: which rows each network answers right is given, so what follows can be worked out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from trainables.record import COMPLETE, Record, Trial

ROWS = 1000
LABELS = np.arange(ROWS) % 2


def right(*spans: tuple[int, int]) -> np.ndarray:
    """Rows answered right: all within the spans [from, to)."""
    found = np.zeros(ROWS, dtype=bool)
    for start, end in spans:
        found[start:end] = True
    return found


class Pose:
    """Builds a record in a folder, one trial at a time; the metric is accuracy."""

    def __init__(self, folder: Path, evaluations: int = 4, origin: str = "local") -> None:
        plan = {
            "metric": "accuracy",
            "metric_title": "accuracy",
            "method": "emd",
            "method_title": "BERT-EMD",
            "evaluations": evaluations,
            "evaluations_per_epoch": 1,
            "recipe": "modern",
            "data": {"origin": origin},
            "task": "cola",
            "layers": 4,
        }
        self.record = Record(
            folder, {"schema": 1, "config": {}, "plan": plan}, {"teacher": {}, "student": {}, "data": {}}, {}
        )

    def trial(
        self,
        name: str,
        answers: np.ndarray | None,
        origin: str = "grid",
        state: str = COMPLETE,
        epochs: int = 4,
        cause: str | None = None,
        predictions: bool = True,
        **point: Any,
    ) -> Trial:
        """A network that answers these rows right at its last evaluation; None gives one without any score."""
        method = "ft" if origin == "baseline" else "emd"
        asked = {"id": name, "origin": origin, "method": method, "seed": 0, "label": name, "params": {"of": name}}
        trial = Trial(asked | point, self.record.path / "trials" / name, state, cause=cause)
        self.record.trials[name] = trial
        if answers is None:
            return trial
        score = float(answers.mean())
        for number in range(1, epochs + 1):
            value = score if number == epochs else score - 0.1
            trial.evaluations[number] = {"evaluation": number, "epoch": float(number), "value": value}
        if predictions:
            trial.folder.mkdir(parents=True)
            said = np.where(answers, LABELS, 1 - LABELS)
            np.savez(trial.predictions(), logits=np.eye(2, dtype=np.float32)[said], labels=LABELS)
        return trial

    def baseline(self, answers: np.ndarray | None, name: str = "ft", **more: Any) -> Trial:
        return self.trial(name, answers, origin="baseline", **more)

    def crowd(self, count: int) -> None:
        """So many further trials, each far behind and answering rows of its own."""
        for number in range(count):
            self.trial(f"c{number}", right((number, 200 + number)))

    def teacher(self, score: float, low: float, high: float, **more: Any) -> None:
        assert self.record.prepared is not None
        self.record.prepared["teacher"] = {"score": score, "interval": [low, high], "chance": 0.5, **more}
