"""Reads a sweep's folder and draws: tables, figures, report, best.yaml, proof of the record."""
