"""Pea-KD: shuffled parameter sharing, pre-training with the teacher's predictions, patient distillation."""

from __future__ import annotations

from distill.methods import ptp

METHOD = ptp.method("pea", "Pea-KD", shared="swap", following="pkd")
