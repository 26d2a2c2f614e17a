"""nnrun: train and tune neural networks from the command line."""
