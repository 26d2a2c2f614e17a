"""The terminal, signals, files and a user's own code, as the machine has them."""
