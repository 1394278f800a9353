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
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from distill.tasks import metrics
from tests.fake_plan import START, Asked
from trainables.rungs import Ladder


@dataclass
class Fake(Asked):
    """A sweep in the making: its rows, and the clock that they are stamped with."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    clock: float = 0.0

    def __post_init__(self) -> None:
        rng = np.random.default_rng(7)
        rows = self.held_out or self.dev_rows
        self.labels = (rng.random(rows) < 0.55).astype(np.int64)
        self.difficulty = rng.normal(size=rows)
        self.metric = metrics.get("mcc")

    @cached_property
    def unseen(self) -> Fake:
        """The dev rows of a sweep whose held-out rows choose."""
        return replace(self, held_out=0, dev_rows=self.dev_rows, rows=[], clock=0.0)

    def answers(self, skill: float, seed: int) -> np.ndarray:
        """Logits [n, 2] whose errors are shared in part by all networks, as on real data."""
        rng = np.random.default_rng(seed)
        margin = skill - self.difficulty + 0.35 * rng.normal(size=len(self.labels))
        sign = np.where(self.labels == 1, 1.0, -1.0)
        return np.stack([np.zeros(len(self.labels)), sign * margin], axis=1).astype(np.float32)

    def scores(self, logits: np.ndarray) -> dict[str, float]:
        return {name: metrics.get(name).compute(logits, self.labels) for name in ("mcc", "accuracy")}

    def skill(self, point: dict[str, Any], epoch: float) -> float:
        """The tabulated curve: how good the network of `point` is after `epoch` epochs."""
        level = 0.72
        if point["origin"] == "kd":
            level += 0.6 * self.gain
        elif point["origin"] != "baseline":
            lr, beta, alpha, temperature = (point["params"][n] for n in ("lr", "beta", "alpha", "T"))
            level += self.gain + {2e-05: -0.25, 5e-05: 0.05, 1e-04: 0.2}[lr]
            level += {0.001: 0.0, 0.005: 0.06, 0.01: -0.1}[beta] - 0.02 * temperature
            level -= 0.05 if alpha < 1 else 0.0
        if "phase" in point:
            # What a seed does to all, and what it does to one.
            level += 0.05 * np.sin(point["seed"]) + 0.03 * np.sin(point["number"])
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
        for evaluation in range(1, self.evaluations + 1):
            epoch = evaluation / self.evaluations_per_epoch
            if self.fail_all or (name in {*self.fail, *self.causes} and evaluation == 2):
                cause = self.causes.get(name, "RuntimeError: CUDA out of memory <2 GiB>")
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "failure.txt").write_text(f"Traceback (most recent call last):\n  ...\n{cause}\n")
                self.row("state", point=name, state="FAIL", cause=cause, attempt=1, attributes={})
                return
            skill, seed = self.skill(point, epoch), 1000 * point["number"] + evaluation
            logits = self.answers(skill, seed)
            value = self.metric.compute(logits, self.labels)
            decision = None
            if ladder is not None and point["origin"] != "baseline" and evaluation < self.evaluations:
                found = ladder.judge(name, epoch, value)
                decision = None if found is None else found.as_dict()
            self.save(folder, evaluation, logits, value > best)
            reported = None
            if self.held_out and value > best:
                on_dev = self.unseen.answers(skill, seed + 500)
                reported = self.unseen.scores(on_dev)
                if self.predictions:
                    np.savez(folder / "predictions-report.npz", logits=on_dev, labels=self.unseen.labels)
            best = max(best, value)
            self.row(
                "evaluation",
                20.0 + point["number"],
                point=name,
                evaluation=evaluation,
                epoch=epoch,
                value=value,
                metrics=self.scores(logits),
                reported=reported,
                terms=self.terms(point, epoch),
                seconds=(38.0 + point["number"]) * self.pace,
                steps=120,
                lr=point["params"]["lr"] * (1 - epoch / self.epochs),
                decision=decision,
                attempt=1,
            )
            yield
            if decision is not None and decision["stop"]:
                self.row("state", point=name, state="PRUNED", cause=None, attempt=1, attributes={})
                return
            if name in self.hand and evaluation == 2:
                self.row("state", point=name, state="PRUNED", cause="stopped by hand", attempt=1, attributes={})
                return
        self.row("state", point=name, state="COMPLETE", cause=None, attempt=1, attributes={})

    def terms(self, point: dict[str, Any], epoch: float) -> dict[str, float]:
        if point["method"] in ("ft", "kd"):
            return {"hard": 0.69 * 0.7**epoch, "total": 0.69 * 0.7**epoch}
        shape = {"soft": 0.5, "hard": 0.6, "embedding": 0.09, "attention": 3.1, "hidden": 0.4}
        found = {name: start * (0.25 + 0.75**epoch) for name, start in shape.items()}
        found["total"] = found["soft"] + point["params"]["beta"] * (found["attention"] + found["hidden"])
        return found

    def save(self, folder: Path, evaluation: int, logits: np.ndarray, best: bool) -> None:
        if not self.predictions:
            return
        folder.mkdir(parents=True, exist_ok=True)
        for which in ("best", "last") if best else ("last",):
            np.savez(folder / f"predictions-{which}.npz", logits=logits, labels=self.labels)
        if not folder.name.startswith(("ft", "kd")):
            with (folder / "seen.jsonl").open("a") as file:
                file.write(json.dumps(self.seen(evaluation)) + "\n")

    def seen(self, evaluation: int) -> dict[str, Any]:
        """Layer weights that drift, and a flow near the diagonal that carries as much as the weights say."""
        near = np.abs(np.linspace(0, 1, self.layers)[:, None] - np.linspace(0, 1, self.teacher_layers)[None])
        weights, flows = {}, {}
        for number, term in enumerate(("attention", "hidden")):
            rng = np.random.default_rng(number)
            shares = []
            for size in (self.layers, self.teacher_layers):
                drift = rng.normal(size=size) * 0.5 * evaluation / self.evaluations
                shares.append(np.exp(0.2 * rng.normal(size=size) + drift))
            student, teacher = (share / share.sum() for share in shares)
            flow = np.exp(-(8 + 6 * number) * near)
            for _ in range(60):
                flow *= (student / flow.sum(axis=1))[:, None]
                flow *= teacher / flow.sum(axis=0)
            weights[term] = {"student": student.tolist(), "teacher": teacher.tolist()}
            flows[term] = np.where(flow < 1e-3, 0.0, flow).tolist()
        return {"evaluation": evaluation, "layer_weights": weights, "flow": flows}

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
                **({} if self.own_score is None else {"own_score": self.own_score}),
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
                "report": self.report(folder) if self.held_out else None,
            },
            "student": {
                "parameters": 19_166_594,
                "layers": self.layers,
                "hidden_size": 384,
                "init": "truncate",
            },
            "data": {
                "train_rows": 3800 - self.held_out,
                "dev_rows": self.dev_rows,
                "fingerprint": "d41d8cd98f00b204e9800998ecf8427e",
                "majority": float(max(self.labels.mean(), 1 - self.labels.mean())),
            },
        }
        (self.folder / "prepared.json").write_text(json.dumps(content))

    def report(self, folder: Path) -> dict[str, Any]:
        """The teacher on dev, where held-out rows choose."""
        logits = self.unseen.answers(1.1, 98)
        np.savez(folder / "predictions-report.npz", logits=logits, labels=self.unseen.labels)
        verdict = metrics.teacher_verdict(self.metric, logits, self.unseen.labels)
        return {
            "score": verdict.score.value,
            "own_score": verdict.score.value,
            "interval": [verdict.score.low, verdict.score.high],
            "chance": verdict.chance,
            "predictions": "teacher/predictions-report.npz",
        }

    def write(self) -> Path:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        points = self.plan_points()
        further = self.further(points)
        if not self.extended:
            points += further
        (self.folder / "sweep.json").write_text(json.dumps(self.header(points)))
        if self.prepared:
            self.prepare()
        self.row("session", number=1, argv=["--method", "emd", "--task", "cola", "--layers", "4"])
        if self.extended:
            self.row("extend", points=further)
            points += further
        ladder = Ladder(self.rungs(), 2) if self.scheduler == "asha" else None
        count = self.run(points, ladder, 0)
        if self.confirmed and (self.events is None or count < self.events):
            again = self.again(points)
            self.row("confirm", points=again, top=self.top, seeds=list(range(1, 1 + self.confirmed)), argv=[])
            self.run(again, None, count)
            points += again
        with (self.folder / "rows.jsonl").open("w") as file:
            file.writelines(json.dumps(row) + "\n" for row in self.rows)
        if self.journal:
            self.write_journal(points)
        return self.folder

    def run(self, points: list[dict[str, Any]], ladder: Ladder | None, count: int) -> int:
        """Let trials take turns until all have ended or the sweep is killed; how many events there were by then."""
        waiting = [self.trial(point, ladder) for point in points]
        running: list[Iterator[None]] = []
        while (waiting or running) and (self.events is None or count < self.events):
            while waiting and len(running) < 2:
                running.append(waiting.pop(0))
            # Two trials take turns, the earlier one twice as fast, so that rungs fill out of step.
            trial = running[0] if count % 3 else running[-1]
            if next(trial, "ended") == "ended":
                running.remove(trial)
            count += 1
        return count

    def again(self, points: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Confirming runs of the best points, the undistilled student and knowledge distillation."""
        best: dict[str, float] = {}
        for row in self.rows:
            if row["kind"] == "evaluation":
                best[row["point"]] = max(row["value"], best.get(row["point"], -1.0))
        own = [p for p in points if p["origin"] != "baseline" and p["seed"] == 0 and p["id"] in best]
        top = sorted(own, key=lambda point: -best[point["id"]])[: self.top]
        student = next((p for p in points if p["origin"] == "baseline"), self.student())
        kd = {**student, "id": "kd", "method": "kd", "origin": "kd", "params": {"alpha": 0.7, "T": 20.0, "lr": 5e-05}}
        kd |= {"label": "alpha 0.7 · T 20 · lr 5e-05", "grades": {}}
        found: list[dict[str, Any]] = []
        for seed in range(1, 1 + self.confirmed):
            others = () if self.beside else (student, kd)
            for base in (*others, *top):
                name, number = f"{base['id']}-c{seed}", len(points) + len(found)
                changed = {"id": name, "number": number, "seed": seed, "phase": "confirm", "of": base["id"]}
                found.append({**base, **changed, "label": f"{base['label']} · seed {seed}"})
        return found

    def write_journal(self, points: list[dict[str, Any]]) -> None:
        """The Optuna study that the driver writes beside the rows."""
        import optuna
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(self.folder / "study.journal")))
        studies = {"search": optuna.create_study(storage=storage, study_name="search", direction="maximize")}
        for point in points:
            name = point.get("phase", "search")
            if name not in studies:
                studies[name] = optuna.create_study(storage=storage, study_name=name, direction="maximize")
            mine = [row for row in self.rows if row.get("point") == point["id"]]
            values = {r["evaluation"]: r["value"] for r in mine if r["kind"] == "evaluation"}
            states = [row["state"] for row in mine if row["kind"] == "state"]
            state = optuna.trial.TrialState[states[-1] if states else "WAITING"]
            scored = values and state.is_finished() and state.name != "FAIL"
            studies[name].add_trial(
                optuna.trial.create_trial(
                    state=state,
                    value=max(values.values()) if scored else None,
                    params=point["params"],
                    distributions={key: optuna.distributions.FloatDistribution(-1e6, 1e6) for key in point["params"]},
                    user_attrs={key: point[key] for key in ("id", "method", "origin", "seed", "label")},
                    intermediate_values=values,
                )
            )


def build(folder: Path | str, **changes: Any) -> Path:
    """Write a sweep's folder and return it.

    Args:
        folder: Where; what is there is removed.
        **changes: Attributes of `Fake`: points, epochs, evaluations_per_epoch, scheduler ("asha" or "none"),
            events (kill after so many trial events), fail (ids that fail in their second evaluation), causes
            (id to the cause it fails of), fail_all, hand (ids stopped by hand after their second evaluation),
            seeds (id to how many seeds it runs with), extended (further seeds come as a row of kind "extend"),
            settings (points vary batch_size and name warmup), recipe, hub (the teacher's origin), own_score (of
            the teacher, read as it was fine-tuned), embedded (made-up data) or not, weak (a teacher that knows
            nothing), prepared, predictions, journal, baseline, gain (what distillation brings), dev_rows,
            held_out (so many training rows choose instead of dev), layers, teacher_layers.
    """
    return Fake(Path(folder), **changes).write()


if __name__ == "__main__":
    build(sys.argv[1], journal=True)
