"""A trained network in formats that other programs run: one file per choice of `--format`."""
