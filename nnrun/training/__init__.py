"""The compiled program and the loop that drives it."""
