"""`python -m nnrun` is the `nnrun` command: its entry, which imports all else where Ctrl-C is listened to."""

import sys


def main() -> None:
    """Runs the command line."""
    try:
        from nnrun.commands import cli

        cli.main()
    except KeyboardInterrupt:
        sys.stderr.write("nnrun: Interrupted before anything was trained.\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
