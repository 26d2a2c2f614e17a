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


def _leave_out_current_folder() -> None:
    """Takes the current folder from where `python -m` puts it: in front, so that its files stand for any library."""
    import os

    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if not sys.flags.safe_path and sys.path[:1] == [os.getcwd()]:
        del sys.path[0]
        sys.path += [package] * (package not in sys.path)


if __name__ == "__main__":
    _leave_out_current_folder()
    main()
