"""BERT-EMD in one process: a teacher, a student of a third of its layers, and what the student says.

pip install -e ".[demo]" && python examples/without_ray.py
"""

import argparse
from pathlib import Path

from transformers import pipeline

import distill
from distill.models import embedded

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", type=Path, default=Path("student"), help="folder for the student")
parser.add_argument("--rows", type=int, default=4000, help="training rows")
parser.add_argument("--epochs", type=int, default=4, help="epochs of teacher and student")
asked = parser.parse_args()

result = distill.run(
    teacher=embedded.folder(),
    student=2,
    method="emd",
    data="cola-made-up",
    params={"lr": 2e-4, "beta": 0.001},
    epochs=asked.epochs,
    teacher_settings={"epochs": asked.epochs},
    max_train_rows=asked.rows,
    allow_weak_teacher=True,  # few rows make one, which an example may have
    out=asked.out,
    progress=print,
)
print(result)
print("Loss terms:", ", ".join(f"{name} {value:.3g}" for name, value in result.terms.items()))

# What lies in the folder needs nothing of this program.
says = pipeline("text-classification", model=str(result.path), device="cpu")
for sentence in ("The dog chased the cat.", "The dog cat the chased."):
    answer = says(sentence)[0]
    print(f"{sentence} -> {answer['label']} ({answer['score']:.2f})")
