"""Writes the folder of a sweep that never ran: tabulated curves, no Ray, no torch, milliseconds.

    build(folder)                          a finished sweep with ASHA stops, one failure and a baseline
    build(folder, events=20)               the same, killed after 20 trial events
    build(folder, fail_all=True)           no trial gave a score

The answers to the dev rows are drawn first and every score is computed from them, so that predictions, rows
and journal agree as those of a real sweep do. `python -m tests.fake_sweep FOLDER` writes one to look at.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from distill.tasks import metrics
from trainables.rungs import Ladder, milestones

AXES: dict[str, list[tuple[float, str]]] = {
    "alpha": [(1.0, "published"), (0.8, "code default")],
    "beta": [(0.001, "published"), (0.005, "published"), (0.01, "code default")],
    "theta": [(1.0, "code default")],
    "T": [(1.0, "published"), (3.0, "published"), (7.0, "published")],
    "lr": [(2e-05, "published"), (5e-05, "published"), (1e-04, "ours")],
}
SCALES = {"alpha": "linear", "beta": "log", "theta": "log", "T": "log", "lr": "log"}
PUBLISHED = {"alpha": 1.0, "beta": 0.001, "T_emd": 5.0, "T": 1.0, "lr": 2e-05}
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


@dataclass
class Fake:
    """What to write; see `build`."""

    folder: Path
    points: int = 8
    epochs: int = 4
    scheduler: str = "asha"
    events: int | None = None
    fail: tuple[str, ...] = ("p02",)
    fail_all: bool = False
    embedded: bool = True
    weak: bool = False
    prepared: bool = True
    predictions: bool = True
    journal: bool = False
    baseline: bool = True
    gain: float = 0.12
    dev_rows: int = 600
    layers: int = 4
    teacher_layers: int = 6
    rows: list[dict[str, Any]] = field(default_factory=list)
    clock: float = 0.0

    def __post_init__(self) -> None:
        rng = np.random.default_rng(7)
        self.labels = (rng.random(self.dev_rows) < 0.55).astype(np.int64)
        self.difficulty = rng.normal(size=self.dev_rows)
        self.metric = metrics.get("mcc")

    def answers(self, skill: float, seed: int) -> np.ndarray:
        """Logits [n, 2] whose errors are shared in part by all networks, as on real data."""
        rng = np.random.default_rng(seed)
        margin = skill - self.difficulty + 0.35 * rng.normal(size=self.dev_rows)
        sign = np.where(self.labels == 1, 1.0, -1.0)
        return np.stack([np.zeros(self.dev_rows), sign * margin], axis=1).astype(np.float32)

    def plan_points(self) -> list[dict[str, Any]]:
        found = []
        for number, chosen in enumerate(CHOSEN[: self.points]):
            picked = {name: values[i] for (name, values), i in zip(AXES.items(), chosen, strict=True)}
            params = {name: value for name, (value, _) in picked.items()}
            found.append(
                {
                    "id": f"p{number:02d}",
                    "number": number,
                    "method": "emd",
                    "params": params,
                    "origin": "published" if number == 0 and not self.embedded else "grid",
                    "grades": {name: grade for name, (_, grade) in picked.items()},
                    "hash": f"{abs(hash(tuple(chosen))):x}"[:10],
                    "seed": 0,
                    "label": " · ".join(f"{name} {value:g}" for name, value in params.items() if name != "theta"),
                }
            )
        if self.baseline:
            found.insert(
                min(1, len(found)),
                {
                    "id": "ft",
                    "number": len(found),
                    "method": "ft",
                    "params": {"lr": 5e-05},
                    "origin": "baseline",
                    "grades": {"lr": "ours"},
                    "hash": "f7f7f7f7f7",
                    "seed": 0,
                    "label": "undistilled student",
                },
            )
        return found

    def skill(self, point: dict[str, Any], epoch: int) -> float:
        """The tabulated curve: how good the network of `point` is after `epoch` epochs."""
        level = 0.72
        if point["method"] != "ft":
            lr, beta, alpha, temperature = (point["params"][n] for n in ("lr", "beta", "alpha", "T"))
            level += self.gain + {2e-05: -0.25, 5e-05: 0.05, 1e-04: 0.2}[lr]
            level += {0.001: 0.0, 0.005: 0.06, 0.01: -0.1}[beta] - 0.02 * temperature
            level -= 0.05 if alpha < 1 else 0.0
        return level * (1 - 0.75 ** (1.6 * epoch)) / (1 - 0.75 ** (1.6 * self.epochs))

    def row(self, kind: str, elapsed: float = 0.4, **content: Any) -> None:
        self.clock += elapsed
        time = (START + dt.timedelta(seconds=self.clock)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.rows.append({"seq": len(self.rows), "kind": kind, "time": time, **content})

    def trial(self, point: dict[str, Any], ladder: Ladder | None) -> Iterator[None]:
        """The rows of one trial, one event at a time."""
        name = point["id"]
        folder = self.folder / "trials" / name
        self.row("state", point=name, state="RUNNING", cause=None, attempt=1, attributes={})
        yield
        best = -np.inf
        for evaluation in range(1, self.epochs + 1):
            if self.fail_all or (name in self.fail and evaluation == 2):
                folder.mkdir(parents=True, exist_ok=True)
                text = "Traceback (most recent call last):\n  ...\nRuntimeError: CUDA out of memory <2 GiB>\n"
                (folder / "failure.txt").write_text(text)
                cause = "RuntimeError: CUDA out of memory <2 GiB>"
                self.row("state", point=name, state="FAIL", cause=cause, attempt=1, attributes={})
                return
            logits = self.answers(self.skill(point, evaluation), 1000 * point["number"] + evaluation)
            value = self.metric.compute(logits, self.labels)
            decision = None
            if ladder is not None and point["origin"] != "baseline" and evaluation < self.epochs:
                found = ladder.judge(name, float(evaluation), value)
                decision = None if found is None else found.as_dict()
            self.save(folder, evaluation, logits, value > best)
            best = max(best, value)
            accuracy = metrics.get("accuracy").compute(logits, self.labels)
            self.row(
                "evaluation",
                20.0 + point["number"],
                point=name,
                evaluation=evaluation,
                epoch=float(evaluation),
                value=value,
                metrics={"mcc": value, "accuracy": accuracy},
                terms=self.terms(point, evaluation),
                seconds=38.0 + point["number"],
                steps=120,
                lr=point["params"]["lr"] * (1 - evaluation / self.epochs),
                decision=decision,
                attempt=1,
            )
            yield
            if decision is not None and decision["stop"]:
                self.row("state", point=name, state="PRUNED", cause=None, attempt=1, attributes={})
                return
        self.row("state", point=name, state="COMPLETE", cause=None, attempt=1, attributes={})

    def terms(self, point: dict[str, Any], evaluation: int) -> dict[str, float]:
        if point["method"] == "ft":
            return {"hard": 0.69 * 0.7**evaluation, "total": 0.69 * 0.7**evaluation}
        shape = {"soft": 0.5, "hard": 0.6, "embedding": 0.09, "attention": 3.1, "hidden": 0.4}
        found = {name: start * (0.25 + 0.75**evaluation) for name, start in shape.items()}
        found["total"] = found["soft"] + point["params"]["beta"] * (found["attention"] + found["hidden"])
        return found

    def save(self, folder: Path, evaluation: int, logits: np.ndarray, best: bool) -> None:
        if not self.predictions:
            return
        folder.mkdir(parents=True, exist_ok=True)
        for which in ("best", "last") if best else ("last",):
            np.savez(folder / f"predictions-{which}.npz", logits=logits, labels=self.labels)
        if folder.name == "ft":
            return
        seen: dict[str, Any] = {"evaluation": evaluation, "layer_weights": {}, "flow": {}}
        rng = np.random.default_rng(evaluation)
        for kind in ("hidden", "attention"):
            teacher = rng.dirichlet(np.linspace(1, 2 + evaluation, self.teacher_layers))
            student = rng.dirichlet(np.full(self.layers, 20.0))
            near = np.exp(
                -np.abs(np.linspace(0, 1, self.layers)[:, None] - np.linspace(0, 1, self.teacher_layers)[None]) * 5
            )
            seen["layer_weights"][kind] = {"student": student.tolist(), "teacher": teacher.tolist()}
            seen["flow"][kind] = (near / near.sum()).tolist()
        with (folder / "seen.jsonl").open("a") as file:
            file.write(json.dumps(seen) + "\n")

    def prepare(self) -> None:
        logits = self.answers(1.1, 99)
        if self.weak:
            logits = np.random.default_rng(99).normal(size=logits.shape).astype(np.float32)
        folder = self.folder / "teacher"
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / "predictions.npz", logits=logits, labels=self.labels)
        verdict = metrics.teacher_verdict(self.metric, logits, self.labels)
        content = {
            "teacher": {
                "path": str(folder),
                "key": "teacher-3fb1c2d4e5",
                "content": "9a8b7c6d5e4f",
                "score": verdict.score.value,
                "interval": [verdict.score.low, verdict.score.high],
                "chance": verdict.chance,
                "parameters": 22_713_986,
                "layers": self.teacher_layers,
                "hidden_size": 384,
                "weak": not verdict.ok,
                "weak_reason": verdict.reason,
                "curve": [0.2, 0.45, 0.6, verdict.score.value],
                "seconds": 93.5,
                "predictions": "teacher/predictions.npz",
            },
            "student": {
                "parameters": 19_166_594,
                "layers": self.layers,
                "hidden_size": 384,
                "init": "truncate",
            },
            "data": {
                "train_rows": 3800,
                "dev_rows": self.dev_rows,
                "fingerprint": "d41d8cd98f00b204e9800998ecf8427e",
                "majority": float(max(self.labels.mean(), 1 - self.labels.mean())),
            },
        }
        (self.folder / "prepared.json").write_text(json.dumps(content))

    def header(self, points: list[dict[str, Any]]) -> dict[str, Any]:
        task = "cola-made-up" if self.embedded else "cola"
        title = "made-up acceptability (generated sentences, not CoLA)" if self.embedded else "CoLA"
        origin = "embedded" if self.embedded else "local"
        rungs = list(milestones(self.epochs, 1, 2)) if self.scheduler == "asha" else []
        row = {
            "task": "cola",
            "layers": self.layers,
            "values": PUBLISHED,
            "source": "table of best values, 4 layers",
        }
        plan = {
            "method": "emd",
            "method_title": "BERT-EMD",
            "task": task,
            "task_title": title,
            "metric": "mcc",
            "metric_title": "Matthews correlation",
            "layers": self.layers,
            "recipe": "modern",
            "seed": 0,
            "epochs": self.epochs,
            "evaluations_per_epoch": 1,
            "evaluations": self.epochs,
            "scheduler": {"name": self.scheduler, "grace": 1, "reduction_factor": 2, "rungs": rungs},
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
            "teacher": {"origin": origin, "name": "all-minilm-l6-v2 (embedded)", "epochs": 4, "lr": 5e-05},
            "student": {"init": "truncate", "kept": [2, 3, 5, 6], "layers": 4, "name": "all-minilm-l6-v2 (embedded)"},
            "data": {"origin": origin, "name": title, "train_rows": 3800, "dev_rows": self.dev_rows},
            "estimate": {"seconds": 600},
        }
        return {
            "schema": 1,
            "tool": "distill-tune 0.1.0",
            "created": START.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "command": ["--method", "emd", "--task", "cola", "--layers", str(self.layers)],
            "config": {
                "method": "emd",
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

    def write(self) -> Path:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        points = self.plan_points()
        (self.folder / "sweep.json").write_text(json.dumps(self.header(points)))
        if self.prepared:
            self.prepare()
        self.row("session", number=1, argv=["--method", "emd", "--task", "cola", "--layers", "4"])
        ladder = Ladder(milestones(self.epochs, 1, 2), 2) if self.scheduler == "asha" else None
        waiting = [self.trial(point, ladder) for point in points]
        running: list[Iterator[None]] = []
        count = 0
        while (waiting or running) and (self.events is None or count < self.events):
            while waiting and len(running) < 2:
                running.append(waiting.pop(0))
            # Two trials take turns, the earlier one twice as fast, so that rungs fill out of step.
            trial = running[0] if count % 3 else running[-1]
            if next(trial, "ended") == "ended":
                running.remove(trial)
            count += 1
        with (self.folder / "rows.jsonl").open("w") as file:
            file.writelines(json.dumps(row) + "\n" for row in self.rows)
        if self.journal:
            self.write_journal(points)
        return self.folder

    def write_journal(self, points: list[dict[str, Any]]) -> None:
        """The Optuna study that the driver writes beside the rows."""
        import optuna
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(self.folder / "study.journal")))
        study = optuna.create_study(storage=storage, study_name="search", direction="maximize")
        for point in points:
            mine = [row for row in self.rows if row.get("point") == point["id"]]
            values = {r["evaluation"]: r["value"] for r in mine if r["kind"] == "evaluation"}
            states = [row["state"] for row in mine if row["kind"] == "state"]
            state = optuna.trial.TrialState[states[-1] if states else "WAITING"]
            scored = values and state.is_finished() and state.name != "FAIL"
            study.add_trial(
                optuna.trial.create_trial(
                    state=state,
                    value=max(values.values()) if scored else None,
                    params=point["params"],
                    distributions={name: optuna.distributions.FloatDistribution(-1e6, 1e6) for name in point["params"]},
                    user_attrs={name: point[name] for name in ("id", "method", "origin", "seed", "label")},
                    intermediate_values=values,
                )
            )


def build(folder: Path | str, **changes: Any) -> Path:
    """Write a sweep's folder and return it.

    Args:
        folder: Where; what is there is removed.
        **changes: Attributes of `Fake`: points, epochs, scheduler ("asha" or "none"), events (kill after so
            many trial events), fail (ids that fail in their second epoch), fail_all, embedded (made-up data)
            or not, weak (a teacher that knows nothing), prepared, predictions, journal, baseline, gain (what
            distillation brings), dev_rows, layers, teacher_layers.
    """
    return Fake(Path(folder), **changes).write()


if __name__ == "__main__":
    build(sys.argv[1], journal=True)
