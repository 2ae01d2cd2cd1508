"""Which images are decoded while they arrive, and for which qemu-img reads a file of the download."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from precache.core.images import DiskFormat, Image
from precache.fetch.blocks import BLOCK_BYTES
from precache.fetch.decoding.placements import ReadSpilled, StreamReader
from precache.fetch.fetch_rules import FetchRules
from precache.fetch.qcow2.reader import Qcow2Reader
from precache.fetch.resumable_hash import can_be_saved
from precache.fetch.vmdk import VmdkReader, stand_in_end
from precache.rules.conversion import is_converted

MakeReader = Callable[[bytes, int, ReadSpilled], StreamReader]
"""Makes a reader of the head of an image, the size of the whole image, and what reads the side file.

Raises NotStreamable."""

READERS: Mapping[str, MakeReader] = {DiskFormat.QCOW2: Qcow2Reader, DiskFormat.VMDK: VmdkReader}
"""By Glance's names of the formats."""

STREAMED_VMDK = "streamOptimized"
"""The only kind of VMDK that a reader knows."""

STREAM = "stream"
QEMU_IMG = "qemu-img"

_NO_REASON = ""


def is_streamed(disk_format: str | None, *, rules: FetchRules, verifies_signatures: bool) -> bool:
    """Return whether images of this format are decoded while they arrive, unless one of them is an exception."""
    is_chosen = rules.decode_while_streaming and is_converted(disk_format, rules.force_raw_images)
    is_accepted = disk_format != DiskFormat.VMDK or STREAMED_VMDK in rules.vmdk_types
    return is_chosen and disk_format in READERS and is_accepted and not verifies_signatures


def needs_no_download(disk_format: str | None, *, rules: FetchRules, verifies_signatures: bool) -> bool:
    """Return whether the space for an image of this format is that of its result, as far as the format tells.

    Of the kinds of VMDK only one is decoded while it arrives, and the image's head names it.
    """
    streamed = is_streamed(disk_format, rules=rules, verifies_signatures=verifies_signatures)
    return streamed and disk_format != DiskFormat.VMDK


def why_qemu_img(image: Image, *, rules: FetchRules, verifies_signatures: bool, kept_bytes: int) -> str | None:
    """Return why qemu-img is to read the image, if it is converted; None if it is decoded while it arrives.

    Empty if that is so for all images of its format. kept_bytes: of its download, from an earlier fetch. If that was
    paused in the first block, the way was not chosen yet.

    What is decoded cannot be read again for the hash or the signature. So if these cannot be stored in a pause, an
    image that is large would begin from its start after each.
    """
    if not is_streamed(image.disk_format, rules=rules, verifies_signatures=False):
        return _NO_REASON
    if verifies_signatures:
        return "its signature is verified"
    if image.size_bytes is None:
        return "its size is unknown"
    if image.digest is not None and not can_be_saved(image.digest.algorithm):
        return f"its {image.digest.algorithm} hash cannot be paused on this host"
    if kept_bytes >= BLOCK_BYTES:
        return "a part of it was downloaded before"
    return None


def stand_in_for_end(disk_format: str | None, head: bytes) -> bytes | None:
    """Return what an inspector may take for the end of the image, which its reader compares with the real one.

    None if the inspector must see the image itself. Raises NotStreamable.
    """
    return stand_in_end(head) if disk_format == DiskFormat.VMDK else None


def decoder_name(why_qemu_img: str | None) -> str:
    """Return what is reported of an image that was decoded. why_qemu_img: as of the function of this name."""
    if why_qemu_img is None:
        return STREAM
    return f"{QEMU_IMG} ({why_qemu_img})" if why_qemu_img else QEMU_IMG
