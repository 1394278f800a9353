"""A configuration as the options of a command line. Imports without torch and Ray."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from trainables.config import SweepConfig

# What is no option by that name: written apart, or of no concern to one sweep.
_APART = ("settings", "teacher_settings", "command", "sizes", "methods", "beside", "baseline")


def spelled(config: SweepConfig) -> tuple[str, ...]:
    """Options that ask for the same sweep: every one that is not at its default, in the order of the fields."""
    plain = SweepConfig()
    found: list[str] = []
    for name in (field.name for field in fields(SweepConfig) if field.name not in _APART):
        value = getattr(config, name)
        if value == getattr(plain, name):
            continue
        found.append(f"--{name.replace('_', '-')}")
        if value is not True:
            found.append(_text(value))
    for flag, settings in (("--set", config.settings), ("--teacher-set", config.teacher_settings)):
        for name, values in settings.items():
            found += [flag, f"{name}={_text(values)}"]
    if not config.baseline:
        found.append("--no-baseline")
    return tuple(found)


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
