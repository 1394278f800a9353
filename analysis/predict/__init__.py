"""Answers of a student to rows, as files: `python -m analysis.predict DIR --split test`.

DIR is a sweep's folder, the parent of several sweeps, or a student as `from_pretrained` reads it. Needs torch, not Ray.
"""
