"""A finished network used again: predictions, evaluation, samples, export."""
