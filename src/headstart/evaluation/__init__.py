"""Evaluation: figures with intervals, and comparisons with verdicts.

- `metrics`: accuracy, per class, confusion, calibration, worst errors
- `compare`: strategies side by side on paired draws
"""
