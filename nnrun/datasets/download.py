"""Files of public data sets: found where the user keeps them, or downloaded and checked."""

import hashlib
import http.client
import logging
import os
import shutil
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from nnrun.cache import cache_folder
from nnrun.errors import ConfigError, RunError

TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class RemoteFile:
    """A file with its SHA-256 and the addresses it may be had from, tried in this order."""

    name: str
    sha256: str
    urls: tuple[str, ...]


def dataset_folder(name: str, root: str | None) -> Path:
    """`dataset.root`, or the cache folder. Raises ConfigError when `root` is no folder."""
    if root is None:
        return cache_folder() / "datasets" / name
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise ConfigError(
            f"dataset.root must be a folder with the files of {name}, but {folder} is none. "
            "Correct the path, or leave dataset.root out to download them."
        )
    return folder


def fetch(file: RemoteFile, folder: Path) -> Path:
    """Downloads a file into `folder` and returns its path; under its name there is the whole file or nothing.

    Raises RunError when no address gives a file of the right SHA-256, or the folder cannot be written.
    """
    failures = []
    for url in file.urls:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return _fetch_from(url, file, folder)
        except (OSError, ValueError, http.client.HTTPException) as error:
            failures.append(f"{url} ({error or type(error).__name__})")
    raise RunError(
        f"{file.name} could not be downloaded to {folder}: {'; '.join(failures)}. Put the file there yourself "
        f"(SHA-256 {file.sha256}), or set dataset.root= to the folder that holds it."
    )


def _fetch_from(url: str, file: RemoteFile, folder: Path) -> Path:
    logging.getLogger(__name__).info("downloading %s", url)
    handle, name = tempfile.mkstemp(prefix=f"{file.name}.", suffix=".part", dir=folder)
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as target, urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as source:
            shutil.copyfileobj(source, target)
        _check_sum(partial, file.sha256)
        return partial.replace(folder / file.name)
    finally:
        partial.unlink(missing_ok=True)


def _check_sum(path: Path, sha256: str) -> None:
    with path.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != sha256:
        raise ValueError(f"wrong content: SHA-256 {found}")
