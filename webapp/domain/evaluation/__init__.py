"""Evaluation: totals and awards brought in line with attendance, for one person and for many."""
