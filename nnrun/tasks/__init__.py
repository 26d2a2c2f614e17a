"""Tasks: one file per choice of `task=`; losses, metrics and baselines."""
