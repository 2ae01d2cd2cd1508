"""The qemu-img commands of a fetch: read the properties of an image, and convert it part by part.

qemu-img reads the image over a connection that serves only this image.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from precache.imagecache.qemu_img import QemuImg, QemuImgFailed
from precache.rules.conversion import conversion_cpu_time

_CONNECTION = "{0}.driver=nbd,{0}.server.type=fd,{0}.server.str=0"
"""The image as a block device, reached through the socket that is the standard input of the process.

{0}: the prefix of the node's options."""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """An image's properties as qemu-img reports them. backing_file, data_file, vmdk_type: None if there is none."""

    format: str
    virtual_size_bytes: int
    backing_file: str | None = None
    data_file: str | None = None
    vmdk_type: str | None = None


class Output(Enum):
    """How the result is written: (qemu's cache mode, further option of the file).

    Past the page cache, as in Nova, if the file system supports it. The kernel's asynchronous writes take half the
    processor time of qemu's threads. This matters for the many small writes of a compressed image: 3.0 s instead of 4.9
    s for 1 GiB.
    """

    DIRECT_NATIVE = ("none", ",file.aio=native")
    DIRECT = ("none", "")
    CACHED = ("writeback", "")

    @property
    def cache(self) -> str:
        return self.value[0]

    @property
    def option(self) -> str:
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Part:
    """A range of a disk, in bytes that are multiples of a sector."""

    offset: int
    size: int


IsArriving = Callable[[], bool]
"""Returns True while the image arrives; then a run may wait for the transfer, which has its own limits."""


def read_image_info(
    qemu_img: QemuImg, connection: socket.socket, source_format: str, is_arriving: IsArriving
) -> ImageInfo:
    """Return the properties of the image behind the connection, and close the connection.

    source_format: qemu's name for the detected format. Raises QemuImgFailed if the image does not have it.
    """
    source = f"driver={source_format},{_CONNECTION.format('file')}"
    command = ["info", "--output=json", "--image-opts", source]
    try:
        return _parse_info(json.loads(qemu_img.run(command, connection=connection, is_waiting=is_arriving)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise QemuImgFailed("'qemu-img info' parsing failed.") from error


def convert_part(
    qemu_img: QemuImg,
    connection: socket.socket,
    source_format: str,
    part: Part,
    target: Path,
    output: Output,
    is_arriving: IsArriving,
) -> None:
    """Write one part of the disk behind the connection to the same place in `target`, and close the connection.

    target: a raw file that has its full length already and is zero in this part; zeros are not written.
    Raises NativeAioUnavailable, QemuImgFailed; OSError (ENOSPC) for a full disk.
    """
    section = f"driver=raw,offset={part.offset},size={part.size}"
    source = f"{section},file.driver={source_format},{_CONNECTION.format('file.file')}"
    sink = f"{section},file.driver=file,file.filename={_escaped(target)}{output.option}"
    # Out-of-order writes (-W): without them one slow read delays all writes after it.
    command = ["convert", "-W", "-t", output.cache, "-n", "--target-is-zero", "--image-opts", "--target-image-opts"]
    qemu_img.run(
        [*command, source, sink],
        cpu_time=conversion_cpu_time(part.size, qemu_img.limits.cpu_time),
        connection=connection,
        writable=(target,),
        is_waiting=is_arriving,
    )


def _escaped(path: Path) -> str:
    """Return the path as a value for qemu's options, with each comma doubled."""
    return str(path).replace(",", ",,")


def _parse_info(info: dict[str, Any]) -> ImageInfo:
    specific = info.get("format-specific", {}).get("data", {})
    return ImageInfo(
        format=info["format"],
        virtual_size_bytes=int(info["virtual-size"]),
        backing_file=info.get("backing-filename"),
        data_file=specific.get("data-file"),
        vmdk_type=specific.get("create-type"),
    )
