"""An image in a file of its own: what it is downloaded to, inspected in, and, if requested, converted from.

qemu-img reads the file while it grows. An image that stays as it is has no other file.
"""

from __future__ import annotations

from precache.background.task_group import TaskGroup
from precache.fetch.attempt import Attempt
from precache.fetch.blocks import Block
from precache.fetch.conversion import Conversion
from precache.fetch.fetch_rules import FetchRules
from precache.fetch.growing_file import GrowingFile
from precache.fetch.result_check import check_length
from precache.fetch.sparse_file import SparseFile, WriteAt, flush
from precache.imagecache.qemu_img import QemuImg
from precache.sandbox import Sandbox


class DownloadFile:
    """The port `BlockSink` for one attempt."""

    def __init__(
        self, attempt: Attempt, *, group: TaskGroup, rules: FetchRules, write_at: WriteAt, sandbox: Sandbox
    ) -> None:
        """group: gets the threads of the conversion, and so their failures. Raises OSError, also FileExistsError."""
        record, target, observed = attempt.record, attempt.target, attempt.final_parts
        self._attempt, self._group = attempt, group
        self._file = SparseFile(
            attempt.download, direct=target is None, write_at=write_at, kept_bytes=attempt.kept_bytes
        )
        self._growing = growing = GrowingFile(
            file=self._file, size_bytes=record.size_bytes, final_parts=observed if target is None else None
        )
        self._qemu_img = QemuImg(limits=rules.qemu_img, sandbox=sandbox)
        self._conversion = Conversion(
            image=record,
            arriving=growing,
            target=target,
            qemu_img=self._qemu_img,
            direct=self._file.can_be_direct,
            group=group,
            check_space=lambda result_bytes: attempt.space.admit_result(result_bytes, growing.arrived_bytes),
            vmdk_types=rules.vmdk_types,
            deep_inspection=rules.deep_inspection and not attempt.order.options.as_is,
            final_parts=observed,
        )

    @property
    def file(self) -> SparseFile:
        return self._file

    @property
    def arrived_bytes(self) -> int:
        return self._growing.arrived_bytes

    @property
    def kept_bytes(self) -> int:
        """Return how many bytes from the start are in the file."""
        return max(self._growing.arrived_bytes, self._attempt.kept_bytes)

    def start(self) -> None:
        """Start the inspection and the conversion."""
        self._group.start("converter", self._conversion.run)

    def append(self, block: Block, *, is_written: bool = False) -> None:
        self._growing.append(block, is_written=is_written)

    def finish(self) -> None:
        self._growing.finish()

    def abandon(self) -> None:
        self._growing.abandon()
        self._qemu_img.stop()

    def complete(self) -> None:
        """Check the length of the result, and write it to the disk. The threads have ended.

        Raises UnusableImage, OSError.
        """
        target = self._attempt.target
        if target is None:
            check_length(self._attempt.record, self._attempt.download, self.arrived_bytes)
            self._file.flush()
        else:
            check_length(self._attempt.record, target, self._conversion.disk_bytes)
            flush(target)

    def close(self) -> None:
        self._file.close()
