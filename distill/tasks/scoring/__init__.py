"""How answers are judged: one file for each kind of task, and what all kinds share.

`distill.tasks.metrics` is the door; everything public is imported from there.
"""
