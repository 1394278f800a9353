"""What a fake sweep was asked and what it plans: the content of its `sweep.json`."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainables.rungs import milestones

AXES: dict[str, list[tuple[float, str]]] = {
    "alpha": [(1.0, "published"), (0.8, "code default")],
    "beta": [(0.001, "published"), (0.005, "published"), (0.01, "code default")],
    "theta": [(1.0, "code default")],
    "T": [(1.0, "published"), (3.0, "published"), (7.0, "published")],
    "lr": [(2e-05, "published"), (5e-05, "published"), (1e-04, "ours")],
}
SCALES = {"alpha": "linear", "beta": "log", "theta": "log", "T": "log", "lr": "log"}
PUBLISHED = {"alpha": 1.0, "beta": 0.001, "T_emd": 5.0, "T": 1.0, "lr": 2e-05}
TITLES = {"emd": "BERT-EMD", "kd": "knowledge distillation", "ft": "fine-tuning without a teacher"}
CHOSEN = [  # indices into the axes, the published row first
    (0, 0, 0, 0, 0),
    (0, 1, 0, 1, 1),
    (1, 0, 0, 2, 2),
    (0, 1, 0, 0, 2),
    (1, 2, 0, 1, 0),
    (0, 0, 0, 2, 1),
    (1, 1, 0, 0, 1),
    (0, 2, 0, 2, 2),
]
START = dt.datetime(2026, 3, 2, 9, 0, 0, tzinfo=dt.timezone.utc)
HUB = {
    "origin": "hub",
    "name": "google-bert/bert-base-uncased",
    "hub": {"id": "google-bert/bert-base-uncased", "revision": "86b5e0934494bd15c9632b12f734a8a67f723594"},
}


@dataclass
class Asked:
    """What to write; see `tests.fake_sweep.build`."""

    folder: Path
    points: int = 8
    epochs: int = 4
    evaluations_per_epoch: int = 1
    scheduler: str = "asha"
    events: int | None = None
    fail: tuple[str, ...] = ("p02",)
    causes: dict[str, str] = field(default_factory=dict)
    fail_all: bool = False
    hand: tuple[str, ...] = ()
    seeds: dict[str, int] = field(default_factory=dict)
    extended: bool = False
    settings: bool = False
    recipe: str = "modern"
    hub: bool = False
    own_score: float | None = None
    embedded: bool = True
    weak: bool = False
    prepared: bool = True
    predictions: bool = True
    journal: bool = False
    baseline: bool = True
    gain: float = 0.12
    dev_rows: int = 600
    held_out: int = 0
    layers: int = 4
    teacher_layers: int = 6
    confirmed: int = 0
    top: int = 2
    method: str = "emd"
    beside: tuple[str, ...] = ()
    share: dict[str, Any] | None = None
    pace: float = 1.0

    @property
    def evaluations(self) -> int:
        return self.epochs * self.evaluations_per_epoch

    def rungs(self) -> tuple[float, ...]:
        return milestones(self.epochs, 1, 2) if self.scheduler == "asha" else ()

    def chosen(self) -> list[tuple[int, ...]]:
        """Indices into the axes: a chosen few, then the rest of the grid, each step changing all it can."""
        rest = [c for c in itertools.product(*(range(len(values)) for values in AXES.values())) if c not in CHOSEN]
        return [*CHOSEN, *sorted(rest, key=lambda c: sum((i + 1) * v for i, v in enumerate(c)) % 5)][: self.points]

    def plan_points(self) -> list[dict[str, Any]]:
        found = []
        for number, chosen in enumerate(self.chosen()):
            picked = {name: values[i] for (name, values), i in zip(AXES.items(), chosen, strict=True)}
            params: dict[str, Any] = {name: value for name, (value, _) in picked.items()}
            if self.settings:
                params |= {"batch_size": (16, 32)[number % 2], "warmup": 0.1}
            found.append(
                {
                    "id": f"p{number:02d}",
                    "number": number,
                    "method": self.method,
                    "params": params,
                    "origin": "published" if number == 0 and not self.embedded else "grid",
                    "grades": {name: grade for name, (_, grade) in picked.items()},
                    "hash": f"{abs(hash(tuple(chosen))):x}"[:10],
                    "seed": 0,
                    "label": " · ".join(f"{name} {value:g}" for name, value in params.items() if name != "theta"),
                }
            )
        if self.baseline:
            found.insert(min(1, len(found)), {**self.student(), "number": len(found)})
        return found

    def student(self) -> dict[str, Any]:
        """The undistilled student."""
        return {
            "id": "ft",
            "number": 0,
            "method": "ft",
            "params": {"lr": 5e-05},
            "origin": "baseline",
            "grades": {"lr": "ours"},
            "hash": "f7f7f7f7f7",
            "seed": 0,
            "label": "undistilled student",
            **({} if self.recipe == "modern" else {"recipe": "modern"}),
        }

    def further(self, points: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The same points with other seeds, which stand behind all others."""
        found: list[dict[str, Any]] = []
        for point in points:
            for seed in range(1, self.seeds.get(point["id"], 1)):
                number = len(points) + len(found)
                found.append({**point, "id": f"{point['id']}-s{seed}", "number": number, "seed": seed})
        return found

    def header(self, points: list[dict[str, Any]]) -> dict[str, Any]:
        task = "cola-made-up" if self.embedded else "cola"
        title = "made-up acceptability (generated sentences, not CoLA)" if self.embedded else "CoLA"
        origin = "embedded" if self.embedded else "local"
        row = {
            "task": "cola",
            "layers": self.layers,
            "values": PUBLISHED,
            "source": "table of best values, 4 layers",
        }
        plan = {
            "method": self.method,
            "method_title": TITLES[self.method],
            "device_seconds": self.share,
            "task": task,
            "task_title": title,
            "metric": "mcc",
            "metric_title": "Matthews correlation",
            "layers": self.layers,
            "recipe": self.recipe,
            "seed": 0,
            "epochs": self.epochs,
            "evaluations_per_epoch": self.evaluations_per_epoch,
            "evaluations": self.evaluations,
            "scheduler": {"name": self.scheduler, "grace": 1, "reduction_factor": 2, "rungs": list(self.rungs())},
            "points": points,
            "published": None if self.embedded else row,
            "published_note": "The data is made up, so no published values stand beside it." if self.embedded else "",
            "axes": [
                {
                    "name": name,
                    "scale": SCALES[name],
                    "values": [{"value": v, "grade": g, "source": "table of best values"} for v, g in values],
                }
                for name, values in AXES.items()
            ],
            "resources": {"cpus_per_trial": 1.0, "gpus_per_trial": 0.0, "max_concurrent": 2, "threads": 1},
            "numerics": {"device": "cpu", "dtype": "float32", "autocast": "bfloat16"},
            "training": {
                "batch_size": 32,
                "max_length": 128,
                "warmup": 0.1,
                "weight_decay": 0.01,
                "clip": 1.0,
            },
            "notices": ["No hub can be reached and no --data-dir is given: the made-up task cola-made-up serves."]
            if self.embedded
            else [],
            "teacher": {"origin": origin, "name": "all-minilm-l6-v2 (embedded)", "epochs": 4, "lr": 5e-05}
            | (HUB if self.hub else {}),
            "student": {"init": "truncate", "kept": [2, 3, 5, 6], "layers": 4, "name": "all-minilm-l6-v2 (embedded)"},
            "data": {
                **{"origin": origin, "name": title, "train_rows": 3800 - self.held_out, "dev_rows": self.dev_rows},
                "choosing_rows": self.held_out or None,
            },
            "select_on": {"kind": "train-holdout", "share": self.held_out / 3800, "rows": self.held_out, "doubles": 2}
            if self.held_out
            else {"kind": "dev", "share": None, "rows": self.dev_rows},
            "estimate": {"seconds": 600},
        }
        return {
            "schema": 1,
            "tool": "distill-tune 0.1.0",
            "created": START.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "command": ["--method", "emd", "--task", "cola", "--layers", str(self.layers)],
            "config": {
                "method": self.method,
                "beside": list(self.beside),
                "task": "cola",
                "layers": self.layers,
                "teacher": None,
                "student_layers": None,
                "data_dir": None if self.embedded else "glue",
                "epochs": None,
                "trials": None,
                "seed": 0,
                "baseline": self.baseline,
                "scheduler": self.scheduler,
                "out": str(self.folder),
                "settings": {"alpha": [1.0, 0.8], "batch_size": ["32"]},
            },
            "versions": {"python": "3.11.9", "torch": "2.11.0", "transformers": "5.17.0", "ray": "2.60.0"},
            "fingerprint": {"data": "d41d8cd98f00b204", "teacher": "9a8b7c6d5e4f", "code": "0.1.0"},
            "plan": plan,
        }
