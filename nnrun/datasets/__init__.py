"""Data sets: one file per choice of `dataset=`, and what they share."""
