"""An image service that holds the end of an image back until something of its start was passed on."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

MIB = 1 << 20
PATIENCE_S = 20.0


def _disk() -> bytes:
    content, rng = bytearray(20 * MIB + 3 * 512), random.Random(5)
    for start in (0, 1, 2, 7, 8, 9, 10, 12, 13, 15):
        content[start * MIB + 512 : (start + 1) * MIB] = rng.randbytes(MIB - 512)
    return bytes(content)


DISK = _disk()
"""A disk of which some is data, with holes, one of them at the end."""

KINDS = {
    "raw": ("raw", [], True),
    "qcow2": ("qcow2", [], True),
    "compressed": ("qcow2", ["-c"], True),
    "kept": ("qcow2", [], False),
    "unknown size": ("raw", [], True),
}
"""The format of an image of the disk, further options of qemu-img, and whether it is converted to raw."""


def make_image(directory: Path, kind: str) -> bytes:
    """Return an image of the disk. kind: of KINDS."""
    disk_format, options, _ = KINDS[kind]
    (directory / "disk").write_bytes(DISK)
    command = ["qemu-img", "convert", "-f", "raw", "-O", disk_format, *options, directory / "disk", directory / "image"]
    subprocess.run(command, check=True, capture_output=True)
    return (directory / "image").read_bytes()


class ThrottledImages:
    """Holds the end of the image back until something was announced; notes if that was in vain."""

    def __init__(self, images, is_news, held_from, damaged_at=None):
        """damaged_at: the byte at this offset is wrong in the first stream."""
        self._images, self._is_news, self._held_from = images, is_news, held_from
        self.damaged_at = damaged_at
        self.was_news = True

    def show(self, image):
        return self._images.show(image)

    def open(self, image, offset_bytes=0, *, stop=None):
        return _ThrottledStream(self, self._images.open(image, offset_bytes, stop=stop), offset_bytes)

    def wait(self, offset):
        if offset >= self._held_from:
            self.was_news = self._is_news.wait(PATIENCE_S) and self.was_news


class _ThrottledStream:
    def __init__(self, images, stream, offset):
        self._images, self._stream, self._offset = images, stream, offset
        self.remaining_bytes, self.has_marked_end, self.close = stream.remaining_bytes, True, stream.close

    def readinto(self, buffer):
        self._images.wait(self._offset)
        count = self._stream.readinto(buffer[: MIB // 4])
        damaged_at = self._images.damaged_at
        if damaged_at is not None and self._offset <= damaged_at < self._offset + count:
            buffer[damaged_at - self._offset] ^= 1
            self._images.damaged_at = None
        self._offset += count
        return count
