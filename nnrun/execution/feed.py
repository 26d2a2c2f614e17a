"""The rows that training steps get: from arrays on the devices, or from chunks read ahead out of mapped files."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np

from nnrun.datasets.part import Part, is_mapped
from nnrun.execution.devices import Placement
from nnrun.training import batches
from nnrun.training.program import Chunk, Pool

CHUNK_BYTES = 32 * 2**20
"""Bytes of a chunk; four of them are in memory at a time."""
BLOCK_BYTES = 64 * 2**10
"""Neighbouring rows read at once: large enough that a disk reads them as fast as a whole file."""


class Feed(Protocol):
    """Rows for the steps of an epoch."""

    def take(self, step: int) -> tuple[Any, int]:
        """What the step of this number (from 0, over all epochs) trains on, and how many steps it lasts for."""


def feed(part: Part | Pool, batch_size: int, seed: int, placement: Placement, in_order: bool = False) -> Feed:
    """The feed of a training part, or of the Pool of folds, which lies on the devices.

    `seed` shuffles rows that are mapped, others are shuffled on the device. in_order: rows are not shuffled, but read
    side by side as Model.streams says.
    """
    if isinstance(part, Pool):
        return Resident(part, -(-part.places.shape[1] // batch_size))
    if is_mapped(part):
        return Streamed(part, batch_size, seed, placement, in_order)
    return Resident(placement.share(part), -(-batches.count(part) // batch_size))


class Resident:
    """A part that lies on the devices whole; steps take their rows from it."""

    def __init__(self, part: Any, steps: int) -> None:
        self._part, self._steps = part, steps

    def take(self, step: int) -> tuple[Any, int]:
        """The whole part, to the end of the epoch."""
        return self._part, self._steps - step % self._steps


class Streamed:
    """A part in mapped files, in chunks of whole batches, the next one read by a thread while this one trains.

    Every epoch takes blocks of neighbouring rows in another order, and shuffles the rows of each chunk; the order
    depends on `seed` and the epoch alone, so that a group of trials shares every chunk and a resumed run goes on alike.
    Rows that are to stay in order are the same in every epoch.
    """

    def __init__(self, part: Part, batch_size: int, seed: int, placement: Placement, in_order: bool = False) -> None:
        self._part, self._batch_size, self._seed, self._placement = part, batch_size, seed, placement
        self._in_order = in_order
        row = sum(values[:1].nbytes for values in part.values())
        self._rows, self._block = batches.count(part), max(1, BLOCK_BYTES // row)
        self._steps = -(-self._rows // batch_size)
        self._length = max(1, min(self._steps, CHUNK_BYTES // (row * batch_size)))
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
        self._read: dict[int, Future[Chunk]] = {}

    def take(self, step: int) -> tuple[Chunk, int]:
        """The chunk that holds the step; reading of the one after begins."""
        first = step - step % self._steps % self._length
        end = min(first + self._length, first - first % self._steps + self._steps)
        self._read = {at: self._read.get(at) or self._reader.submit(self._chunk, at) for at in (first, end)}
        return self._read[first].result(), end - step

    def _chunk(self, first: int) -> Chunk:
        rows = self._side_by_side(first % self._steps) if self._in_order else self._shuffled(first)
        return Chunk(self._placement.share(rows), np.int32(first))

    def _side_by_side(self, within: int) -> dict[str, np.ndarray]:
        """The batches from a step of the epoch on, row r of step s being example r * steps + s."""
        steps = np.arange(within, within + self._length)[:, None]
        taken = (np.arange(self._batch_size) * self._steps + steps).clip(max=self._rows - 1)
        return {name: np.asarray(values[taken]) for name, values in self._part.items()}

    def _shuffled(self, first: int) -> dict[str, np.ndarray]:
        epoch, within = divmod(first, self._steps)
        start, size = within * self._batch_size, self._length * self._batch_size
        pieces = self._pieces(epoch, start, min(start + size, self._rows))
        taken = sum(piece.stop - piece.start for piece in pieces)
        # The last chunk may lack rows: some come twice, so that all chunks have one shape and share a program.
        order = np.resize(np.random.default_rng((self._seed, epoch, within)).permutation(taken), size)
        return {
            name: np.concatenate([values[piece] for piece in pieces])[order].reshape(
                self._length, self._batch_size, *values.shape[1:]
            )
            for name, values in self._part.items()
        }

    def _pieces(self, epoch: int, start: int, stop: int) -> list[slice]:
        """Slices of the part that are rows `start` to `stop` of the epoch's order."""
        blocks = np.random.default_rng((self._seed, epoch)).permutation(-(-self._rows // self._block)) * self._block
        # Where each block ends in the order of the epoch; the last block of the part may be shorter.
        ends = np.cumsum(np.minimum(self._block, self._rows - blocks))
        first, last = int(np.searchsorted(ends, start, "right")), int(np.searchsorted(ends, stop, "left"))
        found = []
        for i in range(first, last + 1):
            begun = int(ends[i - 1]) if i else 0
            base = int(blocks[i]) - begun
            found.append(slice(base + max(start, begun), base + min(stop, int(ends[i]))))
        return found
