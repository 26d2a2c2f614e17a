"""Which trials of a search leave before their last epoch."""
