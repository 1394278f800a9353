"""The options of the commands, and how wrong ones are answered. Imports without torch and Ray."""

from __future__ import annotations

import argparse

from distill.artifact_command import STORE_HELP
from distill.command_line import Parser
from trainables.config import (
    DASHBOARDS,
    DATA,
    FINETUNING,
    LABEL_KINDS,
    RECIPES,
    SCHEDULERS,
    SEARCHES,
    SOURCES,
    STUDENT_INITS,
    TEACHER,
)


def parser() -> argparse.ArgumentParser:
    """The command line of `python -m trainables.sweep`. Unset options stay out of the namespace."""
    root = Parser(
        prog="python -m trainables.sweep",
        description="Run the published grid of a distillation method as Ray Tune trials, and report the best.",
        argument_default=argparse.SUPPRESS,
    )
    what = root.add_argument_group("what to run")
    what.add_argument(
        "--method",
        metavar="NAME",
        help="distillation method, or several such as ft,kd,emd, compared at equal device-seconds; "
        "python -m search_spaces lists them (default: emd)",
    )
    what.add_argument("--task", metavar="NAME", help="a known task, such as cola, snli or squad2 (default: cola)")
    what.add_argument(
        "--layers",
        metavar="N",
        help="layers of the student, or several such as 2,3,4,6, each swept; needed unless "
        "--student or --student-layers says it",
    )
    what.add_argument(
        "--recipe", choices=RECIPES, help="the method as one would train it today, or as published (default: modern)"
    )
    what.add_argument("--space", metavar="FILE.yaml", help="a grid of your own instead of the method's")
    what.add_argument("--config", metavar="FILE.yaml", help="read options from a file, such as a sweep's best.yaml")
    what.add_argument(
        "--set",
        action="append",
        metavar="NAME=V1,V2",
        help="fix or replace the values of a hyper-parameter of the method (python -m distill.methods lists them) or "
        "of training (docs/settings.md)",
    )
    what.add_argument(
        "--adaptors",
        metavar="NAME,NAME:WEIGHT",
        help="adaptors of mixstep and twostep that are on, with weight 1 where none is named; short for --set of all "
        "eight",
    )
    what.add_argument(
        "--trials",
        type=int,
        metavar="N",
        help="run N points: the first of the grid, or so many draws (default: as many as the grid has; 8 on made-up "
        "data)",
    )
    what.add_argument("--no-baseline", dest="baseline", action="store_false", help="leave out the undistilled student")
    what.add_argument(
        "--seed", type=int, metavar="N", help="seed of the order of points, weights and batches (default: 0)"
    )
    models = root.add_argument_group("models and data")
    add_model_options(models)
    own = root.add_argument_group("your own data, instead of --task")
    add_own_options(own)
    models.add_argument(
        "--augmented",
        metavar="FILE",
        help="train students on all rows of FILE, made by python -m distill.augment; the teacher stays with the task's "
        "own",
    )
    models.add_argument(
        "--student",
        metavar="ID|DIR",
        help="hub id or folder of an encoder that serves as student (default: layers of the teacher's; with --recipe "
        "published the one the method was published with, for emd huawei-noah/TinyBERT_General_4L_312D or _6L_768D)",
    )
    models.add_argument(
        "--student-layers",
        metavar="3,6,9,12",
        help="layers the truncated student keeps, from 1 (default: evenly spaced)",
    )
    models.add_argument(
        "--student-init",
        choices=STUDENT_INITS,
        help="whose layers the truncated student takes (default: the pre-trained encoder's where it is here)",
    )
    models.add_argument(
        "--student-filters",
        metavar="DIR",
        help="ted: a fine-tuned student with its filters (stage-… of the store), so that neither is trained here",
    )
    teacher = root.add_argument_group("teacher")
    add_teacher_options(teacher)
    teacher.add_argument(
        "--teacher-filters",
        metavar="DIR",
        help="ted: the teacher's filters (teacher-stage-… of the store), so that they are not trained here",
    )
    engine = root.add_argument_group("training and early stopping")
    engine.add_argument(
        "--epochs",
        type=int,
        metavar="N",
        help="epochs of a full trial (default: the grid's, 10 for emd; 4 on made-up data)",
    )
    engine.add_argument(
        "--search",
        choices=SEARCHES,
        help="which points: the published ones, the grid, random draws around it, or Optuna's TPE (default: grid)",
    )
    engine.add_argument("--scheduler", metavar="|".join(SCHEDULERS), help="early stopping (default: asha)")
    engine.add_argument(
        "--grace", type=float, metavar="EPOCHS", help="no stop before so many epochs, fractions allowed (default: 1)"
    )
    engine.add_argument(
        "--reduction-factor",
        type=int,
        metavar="N",
        help="keep one in N at each rung (default: 3 from 9 epochs on, else 2)",
    )
    engine.add_argument(
        "--cpus-per-trial", type=float, metavar="N", help="cores of one trial, fractions allowed (default: 1)"
    )
    engine.add_argument(
        "--gpus-per-trial",
        metavar="N|auto",
        help="GPUs of one trial, fractions allowed; auto measures what a trial needs (default: 1 where there is one)",
    )
    engine.add_argument(
        "--max-concurrent", type=int, metavar="N", help="run at most N trials at once (default: as many as fit)"
    )
    engine.add_argument(
        "--select-on",
        metavar="dev|train-holdout:SHARE",
        help="rows that choose epoch and configuration; held-out training rows leave dev for one last look "
        "(default: dev)",
    )
    engine.add_argument(
        "--confirm", metavar="3x5", help="run the best 3 again with 5 fresh seeds, beside ft and kd, when all is done"
    )
    budgets = root.add_argument_group("budgets and cluster")
    add_budget_options(budgets)
    budgets.add_argument(
        "--device-seconds",
        metavar="TIME|dearest|none",
        help="what each sweep may use of the devices, such as 8h, or as much as the dearest of several methods "
        "(default: dearest with several methods, else none)",
    )
    budgets.add_argument(
        "--cache-gb",
        type=float,
        metavar="GB",
        help="keep the teacher's hidden states and attention scores on disk if they fit (default: 8)",
    )
    budgets.add_argument(
        "--artifacts-gb", type=float, metavar="GB", help="remove unused artifacts, oldest first, to stay below GB"
    )
    budgets.add_argument(
        "--storage", metavar="URI", help="fsspec path for checkpoints, journal and report that all nodes reach"
    )
    place = root.add_argument_group("record")
    place.add_argument("--out", metavar="DIR", help="folder of this sweep (default: a new one in sweeps/)")
    place.add_argument("--keep-students", type=int, metavar="N", help="keep the weights of the N best (default: 3)")
    place.add_argument(
        "--resume",
        metavar="DIR|URI",
        help="continue a sweep, also from its mirror in a storage; takes only --allow-changed and what concerns a "
        "session: limits, --address, --dashboard, --storage",
    )
    place.add_argument(
        "--allow-changed", action="store_true", help="resume although code or versions differ from the start"
    )
    place.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    return root


def add_budget_options(group: argparse._ArgumentGroup) -> None:
    """Limits that every session of a sweep may set anew."""
    group.add_argument("--time-budget", metavar="TIME", help="stop after so long, such as 90m or 8h; resumable")
    group.add_argument("--max-failures", type=int, metavar="N", help="stop when N points have failed")
    group.add_argument(
        "--max-consecutive-failures", type=int, metavar="N", help="stop when N points fail in a row (default: 5)"
    )
    group.add_argument("--address", metavar="HOST:PORT|auto", help="a running Ray cluster (default: this machine)")
    group.add_argument(
        "--dashboard",
        choices=DASHBOARDS,
        metavar="|".join(DASHBOARDS),
        help="whether Ray shows its page (default: ray)",
    )


def add_later_options(group: argparse.ArgumentParser, what: str) -> None:
    """Options of the commands that add to a sweep which exists.

    Args:
        what: It is that would be done, for people.
    """
    group.add_argument("--dry-run", action="store_true", help=f"print what would {what} and stop")
    group.add_argument("--no-run", action="store_true", help="only write it down; --resume runs it later")
    group.add_argument(
        "--allow-changed", action="store_true", help="go on although code or versions differ from the start"
    )


Group = argparse._ArgumentGroup | argparse.ArgumentParser


def add_model_options(group: Group) -> None:
    """Options that name teacher, data and store."""
    group.add_argument(
        "--teacher",
        metavar="ID|DIR",
        help=f"hub id (ID@REVISION for a revision) or folder of the teacher's encoder (default: {TEACHER})",
    )
    group.add_argument(
        "--data-dir",
        metavar="DIR",
        help=f"folder in GLUE's layout (CoLA/train.tsv, CoLA/dev.tsv) (default: {DATA} from the hub)",
    )
    group.add_argument(
        "--source",
        choices=SOURCES,
        help="take teacher and data from nowhere but the hub, local folders, or what is embedded (default: what is "
        "named, then the hub, then what is embedded)",
    )
    group.add_argument(
        "--metric",
        metavar="NAME",
        help="choose epochs and points by another metric than the task's own, which then stands beside it, such as f1 "
        "for mrpc",
    )
    group.add_argument("--max-train-rows", type=int, metavar="N", help="train on N rows drawn by the seed")
    group.add_argument(
        "--doc-stride",
        type=int,
        metavar="N",
        help="tokens that two windows over one context share, where answers are sought in texts (default: 128, "
        "or a third of a shorter row)",
    )
    group.add_argument(
        "--null-threshold",
        type=float,
        metavar="X",
        help="say that there is no answer where that is ahead of the best one by more than X (default: 0)",
    )
    group.add_argument("--artifacts", metavar="DIR", help=STORE_HELP)


def add_own_options(group: Group) -> None:
    """Options that name rows file by file; with `--task` they are other files of that task."""
    group.add_argument(
        "--task-file",
        "--train-file",
        metavar="FILE|ID",
        help="training rows: csv, tsv, jsonl, ndjson, json or parquet, or a data set on the hub, "
        "ORG/NAME[:CONFIG][@REVISION]",
    )
    group.add_argument("--dev-file", metavar="FILE", help="rows that choose epoch and configuration")
    group.add_argument(
        "--dev-split", metavar="NAME", help="the same of a data set on the hub (default: validation, or dev)"
    )
    group.add_argument("--text-column", metavar="NAME", help="column of the texts (default: text)")
    group.add_argument("--pair-column", metavar="NAME", help="column of the second texts, where rows are pairs")
    group.add_argument("--label-column", metavar="NAME", help="column of labels or scores (default: label)")
    group.add_argument(
        "--label-kind",
        choices=LABEL_KINDS,
        help="whether labels are classes or scores (default: scores where they are numbers, not all of them whole)",
    )


def add_teacher_options(group: Group) -> None:
    """Options that `trainables.sweep` and `trainables.teacher` share."""
    group.add_argument(
        "--teacher-lr",
        type=float,
        metavar="LR",
        help="its peak learning rate (default: 5e-5, 1e-4 for the embedded encoder; the recipe's if published)",
    )
    group.add_argument(
        "--teacher-epochs",
        type=int,
        metavar="N",
        help="its epochs, the best on dev is kept (default: 4; 8 on made-up data unless the recipe is published)",
    )
    group.add_argument(
        "--teacher-set", action="append", metavar="NAME=VALUE", help="a number of its training, such as batch_size=16"
    )
    group.add_argument(
        "--finetune-teacher",
        choices=FINETUNING,
        help="whether it is fine-tuned here; auto takes one that was trained for the task as it is (default: auto)",
    )
    group.add_argument("--teacher-seed", type=int, metavar="N", help="its seed (default: 0)")
    group.add_argument(
        "--allow-weak-teacher",
        action="store_true",
        help="go on although the teacher is no better than chance",
    )
