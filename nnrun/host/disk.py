"""Files that are there whole or not at all."""

import os
from pathlib import Path


def write(path: Path, content: bytes, durable: bool = True) -> None:
    """Writes to a temporary name, syncs if `durable`, renames: readers see the old file or the new one."""
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
