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

from nnrun.errors import ConfigError, RunError
from nnrun.host.disk import cache_folder

TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class RemoteFile:
    """A file with its SHA-256 and the addresses it may be had from, tried in this order.

    `others` are the files of the same set that are missing too: whoever has to fetch one by hand is told of all.
    """

    name: str
    sha256: str
    urls: tuple[str, ...]
    others: tuple["RemoteFile", ...] = ()


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
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f"{file.name}.", suffix=".part", dir=folder)
    except OSError as error:
        raise RunError(
            f"{folder} cannot be written ({error.strerror}), so what is missing cannot be downloaded into it: "
            f"{_wanted(file)}. Choose another folder: dataset.root=FOLDER, which must exist, or the environment "
            "variable NNRUN_CACHE=FOLDER."
        ) from error
    os.close(handle)
    try:
        return _from_any(file, Path(name), folder)
    finally:
        Path(name).unlink(missing_ok=True)


def _from_any(file: RemoteFile, partial: Path, folder: Path) -> Path:
    failures = []
    for url in file.urls:
        try:
            logging.getLogger(__name__).info("downloading %s", url)
            with partial.open("wb") as content, urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as source:
                shutil.copyfileobj(source, content)
            with partial.open("rb") as content:
                found = hashlib.file_digest(content, "sha256").hexdigest()
            if found != file.sha256:
                raise ValueError(f"wrong content: SHA-256 {found}")
            # A temporary file is its owner's alone, the cache is everybody's.
            partial.chmod(0o644)
            return partial.replace(folder / file.name)
        except (OSError, ValueError, http.client.HTTPException) as error:
            failures.append(f"{url} ({error or type(error).__name__})")
    these, them = ("these files", "them") if file.others else ("this file", "it")
    raise RunError(
        f"{file.name} could not be downloaded: {'; '.join(failures)}. Put {these} into the folder {folder} yourself, "
        f"or set dataset.root= to the folder that holds {them}: {_wanted(file)}."
    )


def _wanted(file: RemoteFile) -> str:
    return ", ".join(f"{each.name} (SHA-256 {each.sha256})" for each in (file, *file.others))
