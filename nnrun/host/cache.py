"""Where compiled programs and downloads are kept between runs."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """$NNRUN_CACHE, or nnrun/ in the user's cache folder ($XDG_CACHE_HOME, ~/.cache)."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nnrun"
    return Path(os.environ.get("NNRUN_CACHE") or default)
