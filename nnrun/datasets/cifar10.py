"""CIFAR-10."""

import tarfile
import zlib
from pathlib import Path

import numpy as np

from nnrun.datasets.part import Part
from nnrun.datasets.public.download import RemoteFile, fetch
from nnrun.datasets.public.official import OfficialImages
from nnrun.errors import RunError

FOLDER = "cifar-10-batches-bin"
TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST = ("test_batch.bin",)


class Cifar10(OfficialImages):
    """60,000 colour images (32, 32, 3), 10,000 of them for the test.

    Read from the binary version, as archive or unpacked: records of a label and 3 x 1,024 bytes (red, green, blue).
    Source: Krizhevsky, Learning multiple layers of features from tiny images (2009).
    """

    name = "cifar10"
    shape = (32, 32, 3)
    channel_names = ("red", "green", "blue")
    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    # The authors publish the MD5 c32a1d4ab5d03f1284b67883e8d87530; MLDatasets.jl checks this SHA-256.
    archive = RemoteFile(
        "cifar-10-binary.tar.gz",
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
    )

    def read(self, folder: Path) -> tuple[Part, Part]:
        """Reads the batches below `folder`; without them downloads the archive. Raises RunError for damaged files."""
        source = self._locate(folder)
        try:
            if source.is_file():
                batches = read_archive(source)
            else:
                batches = {path.name: path.read_bytes() for path in source.iterdir() if path.name in TRAIN + TEST}
            if lacking := [name for name in TRAIN + TEST if name not in batches]:
                raise ValueError(f"it lacks {', '.join(lacking)}")
            train, test = (b"".join(batches[name] for name in names) for names in (TRAIN, TEST))
            return self._decode(train, source), self._decode(test, source)
        except (OSError, EOFError, ValueError, tarfile.TarError, zlib.error) as error:
            raise RunError(
                f"{source} must hold the binary version of CIFAR-10, but reading it failed: {error}. "
                "Replace it, or remove it so that it is downloaded again."
            ) from error

    def _locate(self, folder: Path) -> Path:
        for unpacked in (folder, folder / FOLDER):
            if (unpacked / TEST[0]).is_file():
                return unpacked
        archive = folder / self.archive.name
        return archive if archive.is_file() else fetch(self.archive, folder)

    def _decode(self, content: bytes, source: Path) -> Part:
        records = np.frombuffer(content, np.uint8).reshape(-1, 1 + 3 * 32 * 32)
        # Three planes, red, green, blue, become channels in the last axis.
        images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        return self.check(np.ascontiguousarray(images), records[:, 0], source)


def read_archive(path: Path) -> dict[str, bytes]:
    """Content of the batches in a tar archive, by name, in one pass and without unpacking anything to disk."""
    batches = {}
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            name = member.name.rpartition("/")[2]
            if member.isfile() and name in TRAIN + TEST:
                content = archive.extractfile(member)
                batches[name] = content.read() if content else b""
    return batches
