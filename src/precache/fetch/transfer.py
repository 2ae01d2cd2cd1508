"""The transfer from the image service to a sink, hashed meanwhile: a reader, a hasher and a writer, each a thread.

Reading, hashing and writing all release the interpreter's lock, so that they run in parallel and only the slowest
counts. Each block is passed on in order: free -> reader -> hasher -> writer -> free.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from queue import SimpleQueue

from precache.background.cancel_token import CancelToken
from precache.background.task_group import TaskGroup
from precache.core.errors import DigestMismatch
from precache.core.images import Digest, Image
from precache.core.stopping import StopReason
from precache.fetch.block_sink import BlockSink
from precache.fetch.blocks import BLOCK_BYTES, Block, BlockQueue, new_pool
from precache.fetch.growing_file import Abandoned
from precache.fetch.limited_stream import LimitedStream
from precache.fetch.resumable_hash import ResumableHash
from precache.fetch.sparse_file import SparseFile
from precache.ports.image_signatures import SignatureCheck

_TRAVELLING_BLOCKS = 16
"""Blocks between the stages: enough for each stage to continue during a pause of its neighbours."""


class Transfer:
    """One download. `sink.finish()` is called only after all data has arrived and the digest matches."""

    def __init__(
        self,
        *,
        image: Image,
        stream: LimitedStream,
        sink: BlockSink,
        signature: SignatureCheck | None = None,
        kept: SparseFile | None = None,
        kept_bytes: int = 0,
        resumable_hash: ResumableHash | None = None,
    ) -> None:
        """stream: begins after `kept_bytes`, which the file `kept` has already, and which are read from there.

        signature: a second check of the data; None if no signature is required.
        resumable_hash: of the image's algorithm, and of all bytes before the first one of the stream, which the sink
            has; then there is no file `kept`. None for hashlib.
        """
        self._signature = signature
        self._image = image
        self._stream = stream
        self._free = new_pool(_TRAVELLING_BLOCKS)
        self._read: BlockQueue = SimpleQueue()
        self._hashed: BlockQueue = SimpleQueue()
        self._sink, self._kept, self._kept_bytes = sink, kept, kept_bytes
        self._resumable_hash = resumable_hash
        self._first_byte = resumable_hash.length_bytes if resumable_hash else 0
        self._hash_states: deque[tuple[int, bytes]] = deque(maxlen=_TRAVELLING_BLOCKS + 1)
        """Of the last blocks that were hashed: the end of each, and the state of the hash there."""
        self._save_hash(self._first_byte)
        self._stopped = CancelToken()
        self._is_cut = False
        self._is_read, self._is_written = threading.Event(), threading.Event()
        self.is_verified = False
        """Whether the whole image has arrived with its digest. Then the sink may still have work."""
        self.received_bytes = kept_bytes or self._first_byte
        """More than have arrived in the sink: on a slow link a block takes many seconds. Set by the reader alone."""

    def hash_state(self, count: int) -> bytes | None:
        """Return the state of the resumable hash after so many bytes, at which the sink has stopped; None if there is
        none. The threads have ended."""
        return next((state for end, state in self._hash_states if end == count), None)

    def start(self, group: TaskGroup) -> None:
        """Start the three threads.

        `group` gets their failures: those of ResumingStream.readinto, DigestMismatch, SignatureRefused, or OSError of
        the disk.
        """
        group.start("reader", self._read_all)
        group.start("hasher", self._hash_all)
        group.start("writer", self._write_all)

    def cut(self, timeout_s: float) -> bool:
        """Receive no more, and write what was received; return whether the sink had it before the time was over.

        Call `stop` then. What the threads raise meanwhile does not matter.
        """
        give_up_at = time.monotonic() + timeout_s
        self._is_cut = True
        self._stream.close()
        self._is_read.wait(timeout_s)
        self._read.put(None)  # the reader may have ended by a failure
        return self.wait_for_sink(max(give_up_at - time.monotonic(), 0))

    def wait_for_sink(self, timeout_s: float) -> bool:
        """Wait until the sink is given nothing any more; return whether that is so when the time is over."""
        return self._is_written.wait(timeout_s)

    def stop(self) -> None:
        """Make the threads of the transfer, and what waits for its data, end soon. Harmless at the end."""
        self._stopped.cancel(StopReason.ABANDONED)
        self._stream.close()
        for queue in (self._free, self._read, self._hashed):
            queue.put(None)
        self._sink.abandon()

    def _read_all(self) -> None:
        offset = self._first_byte
        try:
            while block := self._take(self._free):
                block.offset = offset
                block.length = self._fill(block)
                offset += block.length
                if block.length:
                    self._read.put(block)
                if block.length < BLOCK_BYTES or self._is_cut:
                    self._read.put(None)
                    return
        finally:
            self._stream.close()
            self._is_read.set()

    def _fill(self, block: Block) -> int:
        kept = self._kept if block.offset < self._kept_bytes else None
        filled = self._fill_from_file(block, kept) if kept is not None else 0
        while filled < BLOCK_BYTES and not self._is_cut:
            try:
                count = self._stream.readinto(block.view[filled:])
            except Exception:
                if self._is_cut:  # its cause
                    break
                raise
            if not count:
                break
            filled += count
            self.received_bytes += count
        return filled

    def _fill_from_file(self, block: Block, kept: SparseFile) -> int:
        count = min(self._kept_bytes - block.offset, BLOCK_BYTES)
        if kept.read(block) < count:
            raise OSError(None, "what was kept of a paused download is gone", str(kept.path))
        return count

    def _hash_all(self) -> None:
        expected = self._image.digest
        state: ResumableHash | hashlib._Hash | None = self._resumable_hash
        if state is None and expected:
            state = hashlib.new(expected.algorithm, usedforsecurity=False)
        while block := self._take(self._read):
            if state:
                state.update(block.view[: block.length])
                self._save_hash(block.offset + block.length)
            if self._signature:
                self._signature.update(block.view[: block.length])
            self._hashed.put(block)
        if self._is_cut:
            self._hashed.put(None)
            return
        if state and expected:
            self._check(expected, Digest(expected.algorithm, state.hexdigest()))
        if self._signature:
            self._signature.verify()
        self._hashed.put(None)

    def _save_hash(self, count: int) -> None:
        if self._resumable_hash:
            self._hash_states.append((count, self._resumable_hash.save()))

    def _write_all(self) -> None:
        try:
            while block := self._take(self._hashed):
                self._sink.append(block, is_written=block.offset + block.length <= self._kept_bytes)
                self._free.put(block)
            if not self._is_cut:
                self.is_verified = True
                self._sink.finish()
        finally:
            self._is_written.set()

    def _check(self, expected: Digest, actual: Digest) -> None:
        if actual != expected:
            raise DigestMismatch(self._image.id, str(expected), str(actual))

    def _take(self, queue: BlockQueue) -> Block | None:
        block = queue.get()
        if self._stopped.is_cancelled:
            raise Abandoned
        return block
