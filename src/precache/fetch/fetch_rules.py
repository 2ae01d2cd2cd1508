"""The settings of the host's configuration for fetching."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from precache.fetch.conversion import VMDK_TYPES
from precache.imagecache.qemu_img import QemuImgLimits
from precache.rules.throughput import MinThroughput


@dataclass(frozen=True, slots=True)
class FetchRules:
    """The settings of the host's configuration for fetching.

    force_raw_images: convert to raw; else the cache stores the download as it is.
    decode_while_streaming: decode a qcow2 or VMDK while it arrives, without a file of the download; else qemu-img reads
        such a file.
    deep_inspection: inspect the content before qemu-img reads it; if False, only qemu-img's own output is checked.
    retries: how many attempts in a row may bring no new byte before an interrupted transfer fails.
    least_rate: the lowest rate at which a transfer may continue.
    refetches: how often data with a wrong digest is removed and fetched again.
    reserves_whole_disk: ask for free space for the whole converted disk, holes included; else for as much as the
        download has.
    vmdk_types: the create-types that are accepted.
    """

    force_raw_images: bool = True
    decode_while_streaming: bool = True
    deep_inspection: bool = True
    retries: int = 3
    least_rate: MinThroughput = field(default_factory=MinThroughput)
    refetches: int = 1
    reserves_whole_disk: bool = True
    vmdk_types: Collection[str] = VMDK_TYPES
    qemu_img: QemuImgLimits = field(default_factory=QemuImgLimits)
