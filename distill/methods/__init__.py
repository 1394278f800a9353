"""Distillation methods, one module each; found by listing this package."""

from __future__ import annotations

from distill.methods.base import Hyperparameter, Method, Stage, get, names

__all__ = ["Hyperparameter", "Method", "Stage", "get", "names"]
