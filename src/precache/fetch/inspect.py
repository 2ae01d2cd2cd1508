"""Is this the format it is said to be, and is it safe? Asked of the bytes, before any tool opens them.

The formats are read by the inspectors of oslo.utils, which Nova, Glance and Cinder trust too. The refusals are Nova's
own, word by word, because operators search for them; the rule that was broken follows in brackets.
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
from precache.rules.qemu_probe import HEAD_BYTES, probe

UNSUPPORTED = "Image not in a supported format"
UNSAFE = "Image does not pass safety check"
MISMATCH = "Image content does not match disk_format"

HEAD_CHUNK_BYTES = 1 << 18
"""All formats but a few are recognised within the first 256 KiB."""

_QCOW2_CLUSTER_BITS_AT = 20
_QCOW2_CLUSTER_BITS = range(9, 22)

_HARMLESS_TO_READ = frozenset({"mbr", "unknown_features"})
"""Rules whose breach names no file. A kernel of a PC always breaks the first: it begins with half a boot record."""

_WAY_OUT = (
    "; if the image is trusted all the same, [workarounds] disable_deep_image_inspection = true, here and in Nova, "
    "leaves this check out"
)

_HYBRID_ISO = frozenset({"iso", "gpt"})


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the content is. qemu_format: the only format that a tool may take it for.

    cluster_bytes: of a qcow2, the unit in which it says where its data are; None for every other format.
    """

    qemu_format: str
    cluster_bytes: int | None = None


def inspect(image: Image, chunks: Iterable[bytes], *, deep: bool = True) -> Inspection:
    """Read as much of the content as the verdict needs, and return it.

    chunks: the content from its start; consumed only as far as needed, to the end for formats with a footer.
    deep: False to leave the inspectors out; what qemu would take the content for is checked all the same.
    Raises UnsafeImage: the format is not one we can vouch for, not the one of the record, or breaks a safety check.
    """
    expected = qemu_format(image.disk_format)
    if expected is None:
        raise UnsafeImage(image.id, UNSUPPORTED)
    head, chunks = _split_head(chunks)
    # The inspectors and qemu disagree on some content, a text descriptor with a byte that is not ASCII among it: what
    # any tool would take for another format is refused, as Nova refuses it.
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
    """Return the first HEAD_BYTES, or what there is, and all the content with them."""
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
        # An ISO image that also boots from a stick carries a partition table in its unused first sectors.
        return matches["iso"]
    if len(matches) != 1:
        # Content that is two things at once would be whatever the next tool takes it for.
        raise UnsafeImage(image.id, MISMATCH)
    return next(iter(matches.values()))


def _broken_rules(error: format_inspector.SafetyCheckFailed) -> str:
    rules = "; ".join(f"{name}: {violation}" for name, violation in error.failures.items())
    # What an image refers to is refused with that option, too.
    return rules + _WAY_OUT if error.failures.keys() <= _HARMLESS_TO_READ else rules


def _cluster_bytes(head: bytes) -> int | None:
    if probe(head) != "qcow2" or len(head) < _QCOW2_CLUSTER_BITS_AT + 4:
        return None
    (bits,) = struct.unpack_from(">I", head, _QCOW2_CLUSTER_BITS_AT)
    # qemu refuses any other number.
    return 1 << bits if bits in _QCOW2_CLUSTER_BITS else None


def _agrees(found: str, disk_format: str | None) -> bool:
    if disk_format in BARE_FORMATS:
        return True
    # A partition table is what a whole-disk raw image begins with.
    return found == disk_format or (found, disk_format) == ("gpt", RAW)
