"""Networks: one file per choice of `model=`, and what they share."""
