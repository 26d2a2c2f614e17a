"""Whether what a file claims to hold can be held: a few bytes can claim any amount."""

import os
from pathlib import Path

from nnrun.errors import RunError

MOST_PACKED = 1032
"""Bytes that deflate makes of one, at best."""


def check_claim(path: Path, size: int) -> None:
    """Raises RunError when a file, packed or not, cannot hold `size` bytes, or the machine's memory cannot."""
    if size > MOST_PACKED * path.stat().st_size + 1024:
        raise RunError(f"{path} says that it holds {size:,} bytes, which no file of its length does. Replace the file.")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size > memory:
        raise RunError(
            f"{path} holds {size / 1e9:.1f} GB of values, but this machine has {memory / 1e9:.1f} GB of memory. Give "
            "fewer examples, or the images as files: dataset=image_folder reads any number of them."
        )
