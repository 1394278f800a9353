"""Tasks: what is classified or scored, how its files look, and how an answer is judged."""

from __future__ import annotations

from distill.tasks.base import Examples, Task, TaskData
from distill.tasks.registry import get, names, stand_in

__all__ = ["Examples", "Task", "TaskData", "get", "names", "stand_in"]
