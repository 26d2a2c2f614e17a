"""`python -m nnrun` is the `nnrun` command."""

from nnrun.cli import main

if __name__ == "__main__":
    main()
