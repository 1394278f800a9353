"""BERT-EMD under a Ray Tuner of your own: ASHA, a few points of the published grid, runs logged to MLflow.

pip install -e ".[demo]" mlflow && python examples/own_tuner.py
"""

import argparse
from pathlib import Path

import ray
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.schedulers import ASHAScheduler

import search_spaces
import trainables

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", type=Path, default=Path("own-tuner"), help="folder for trials, student and MLflow")
parser.add_argument("--rows", type=int, default=4000, help="training rows")
parser.add_argument("--epochs", type=int, default=4, help="epochs of teacher and student")
asked = parser.parse_args()
out = asked.out.absolute()

# The teacher is made here, once; the trials only read it.
distil = trainables.trainable(
    "emd",
    task="cola-made-up",
    layers=2,
    source="embedded",
    epochs=asked.epochs,
    teacher_epochs=asked.epochs,
    max_train_rows=asked.rows,
    allow_weak_teacher=True,  # few rows make one, which an example may have
)
space = search_spaces.load("emd").ray("cola", 4)
space.update(lr=tune.grid_search([5e-5, 2e-4]), beta=tune.grid_search([0.001, 0.01]), T=1.0, alpha=1.0, theta=1.0)

ray.init(include_dashboard=False, log_to_driver=False)
results = tune.Tuner(
    distil,
    param_space=space,
    tune_config=tune.TuneConfig(
        metric="mcc",
        mode="max",
        scheduler=ASHAScheduler(time_attr="epoch", max_t=asked.epochs, grace_period=1, reduction_factor=2),
        reuse_actors=True,
    ),
    run_config=tune.RunConfig(
        name="trials",
        storage_path=str(out),
        checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
        callbacks=[MLflowLoggerCallback(f"sqlite:///{out}/mlflow.db", experiment_name="emd")],
        verbose=0,
    ),
).fit()
best = results.get_best_result("best", "max")
print(f"Trials: {len(results)}, failed: {results.num_errors}")
print(f"Best: mcc {best.metrics['best']:.3f} with lr {best.config['lr']:g}, beta {best.config['beta']:g}")
print(f"Student: {trainables.student_of(best, out / 'student')}")
print(f"MLflow: mlflow ui --backend-store-uri sqlite:///{out}/mlflow.db")
