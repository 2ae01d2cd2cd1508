"""Checks that the content has the format of its record and is safe, before any tool opens it.

The formats are read by the inspectors of oslo.utils, which Nova, Glance and Cinder trust too. The messages are Nova's
to the letter, because operators search for them; the broken rule follows in brackets.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from oslo_utils.imageutils import format_inspector

from precache.core.errors import UnsafeImage
from precache.core.images import Image
from precache.rules.conversion import BARE_FORMATS, RAW, qemu_format
from precache.rules.disk_formats.qcow2_layout import CLUSTER_BITS
from precache.rules.qemu_probe import HEAD_BYTES, probe

UNSUPPORTED = "Image not in a supported format"
UNSAFE = "Image does not pass safety check"
MISMATCH = "Image content does not match disk_format"

HEAD_CHUNK_BYTES = 1 << 18
"""All formats but a few are recognised within the first 256 KiB."""

_QCOW2_CLUSTER_BITS_AT = 20

_HARMLESS_TO_READ = frozenset({"mbr", "unknown_features"})
"""Rules without references to files. A PC kernel always breaks the first: it begins with half a boot record."""

_WAY_OUT = (
    "; if the image is trusted all the same, [workarounds] disable_deep_image_inspection = true, here and in Nova, "
    "leaves this check out"
)

_HYBRID_ISO = frozenset({"iso", "gpt"})


@dataclass(frozen=True, slots=True)
class Inspection:
    """The result of an inspection. qemu_format: the only format in which a tool may open the content.

    cluster_bytes: the cluster size of a qcow2; None for every other format.
    """

    qemu_format: str
    cluster_bytes: int | None = None


def inspect(image: Image, chunks: Iterable[bytes], *, deep: bool = True) -> Inspection:
    """Return the inspection of the content, after reading only as much of it as is needed.

    chunks: the content from its start; consumed only as far as needed, to the end for formats with a footer.
    deep: False to skip the inspectors; the format that qemu would detect is checked in any case.
    Raises UnsafeImage if the format is not supported, is not the format of the record, or breaks a safety check.
    """
    expected = qemu_format(image.disk_format)
    if expected is None:
        raise UnsafeImage(image.id, UNSUPPORTED)
    head, chunks = _split_head(chunks)
    # The inspectors and qemu disagree on some content, such as a text descriptor with a byte that is not ASCII. Content
    # that any tool would open as another format is refused, as in Nova.
    if not deep and probe(head) != expected:
        raise UnsafeImage(image.id, MISMATCH)
    if not deep:
        return Inspection(expected, _cluster_bytes(head))
    found = _recognise(image, chunks)
    try:
        found.safety_check()
    except format_inspector.SafetyCheckFailed as error:
        raise UnsafeImage(image.id, f"{UNSAFE} ({_broken_rules(error)})") from error
    except format_inspector.ImageFormatError as error:
        raise UnsafeImage(image.id, MISMATCH) from error
    if not _agrees(str(found), image.disk_format) or probe(head) != expected:
        raise UnsafeImage(image.id, MISMATCH)
    return Inspection(expected, _cluster_bytes(head))


def _split_head(chunks: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Return the first HEAD_BYTES (or all, if there are fewer), and the whole content including them."""
    rest, taken, length = iter(chunks), [], 0
    for chunk in rest:
        taken.append(chunk)
        length += len(chunk)
        if length >= HEAD_BYTES:
            break
    return b"".join(taken)[:HEAD_BYTES], itertools.chain(taken, rest)


def _recognise(image: Image, chunks: Iterable[bytes]) -> format_inspector.FileInspector:
    wrapper = format_inspector.InspectWrapper(iter(chunks))  # type: ignore[arg-type]  # iterates it, as documented; annotated as a file
    for _ in wrapper:
        if wrapper.formats is not None:
            break
    matches = {str(found): found for found in wrapper.formats or ()}
    if matches.keys() == _HYBRID_ISO:
        # An ISO image that also boots from a USB stick has a partition table in its unused first sectors.
        return matches["iso"]
    if len(matches) != 1:
        # Content that is valid in two formats would be opened in a different one by each tool.
        raise UnsafeImage(image.id, MISMATCH)
    return next(iter(matches.values()))


def _broken_rules(error: format_inspector.SafetyCheckFailed) -> str:
    rules = "; ".join(f"{name}: {violation}" for name, violation in error.failures.items())
    # References to other files are refused with that option, too.
    return rules + _WAY_OUT if error.failures.keys() <= _HARMLESS_TO_READ else rules


def _cluster_bytes(head: bytes) -> int | None:
    if probe(head) != "qcow2" or len(head) < _QCOW2_CLUSTER_BITS_AT + 4:
        return None
    (bits,) = struct.unpack_from(">I", head, _QCOW2_CLUSTER_BITS_AT)
    return 1 << bits if bits in CLUSTER_BITS else None


def _agrees(found: str, disk_format: str | None) -> bool:
    if disk_format in BARE_FORMATS:
        return True
    # A raw image of a whole disk begins with a partition table.
    return found == disk_format or (found, disk_format) == ("gpt", RAW)
