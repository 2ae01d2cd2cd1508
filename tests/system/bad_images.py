"""Disk images that break a rule, by intent or by accident.

Each maker writes the file `path`. `secret` is a file of the host that nothing may ever read.
"""

from __future__ import annotations

import struct
from pathlib import Path

from tests.system.conftest import MIB, qcow2, qemu_img, random_raw

DISK_MIB = 4

# Where the header of a qcow2 has what.
_VIRTUAL_SIZE, _L1_ENTRIES, _L1_OFFSET, _REFCOUNT_CLUSTERS = 24, 36, 40, 56

_SECTOR_BYTES = 512
_ISO_SYSTEM_AREA_BYTES = 32 * 1024
_VOLUME_BLOCKS, _BLOCK_BYTES = 64, 2048
_PARTITION_TABLE = 446
_BOOT_SIGNATURE = b"\x55\xaa"


# Images that refer to another file.


def with_backing_file(path: Path, secret: Path) -> None:
    qemu_img("create", "-f", "qcow2", "-F", "raw", "-b", secret, path)


def with_data_file(path: Path, secret: Path) -> None:
    """Name the secret where the disk's data are to be. qemu-img itself would only name a file that it writes to."""
    stand_in = secret.with_name("x" * len(secret.name))
    qemu_img("create", "-f", "qcow2", "-o", f"data_file={stand_in},data_file_raw=on", path, "1M")
    stand_in.unlink()
    path.write_bytes(path.read_bytes().replace(bytes(stand_in), bytes(secret)))


def flat_vmdk(path: Path, secret: Path) -> None:
    path.write_text(_descriptor("monolithicFlat", f'RW 8 FLAT "{secret}" 0'))


def split_vmdk(path: Path, secret: Path) -> None:
    path.write_text(_descriptor("twoGbMaxExtentSparse", f'RW 8 SPARSE "{secret}"'))


def sparse_vmdk_that_says_it_is_flat(path: Path, secret: Path) -> None:
    _sparse_vmdk_with(path, _descriptor("monolithicFlat", f'RW 8 FLAT "{secret}" 0'))


def sparse_vmdk_with_a_second_extent(path: Path, secret: Path) -> None:
    _sparse_vmdk_with(path, _descriptor("monolithicSparse", f'RW 8192 SPARSE "own.vmdk"\nRW 8 FLAT "{secret}" 0'))


def _descriptor(kind: str, extents: str) -> str:
    return f'# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="{kind}"\n{extents}\n'


def _sparse_vmdk_with(path: Path, descriptor: str) -> None:
    raw = random_raw(path.with_suffix(".tmp"), DISK_MIB)
    qemu_img("convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=monolithicSparse", raw, path)
    raw.unlink()
    first, count = struct.unpack_from("<QQ", path.read_bytes(), 28)
    _overwrite(path, first * _SECTOR_BYTES, descriptor.encode().ljust(count * _SECTOR_BYTES, b"\0"))


# Images that are not what their name says.


def raw_disk(path: Path, secret: Path) -> None:
    random_raw(path, DISK_MIB)


def qcow2_disk(path: Path, secret: Path) -> None:
    qcow2(path, DISK_MIB)


def hybrid_iso(path: Path, secret: Path) -> None:
    """An ISO image that is also a disk with a partition table, as those are that boot from a stick."""
    iso(path, secret)
    partition = struct.pack("<B3BB3BII", 0, 0, 2, 0, 0xEE, 0xFF, 0xFF, 0xFF, 1, MIB // _SECTOR_BYTES - 1)
    _overwrite(path, _PARTITION_TABLE, partition.ljust(64, b"\0") + _BOOT_SIGNATURE)


def qcow2_and_iso(path: Path, secret: Path) -> None:
    """A qcow2 with a backing file that an inspector might stop at taking for a harmless ISO image."""
    with_backing_file(path, secret)
    _overwrite(path, _ISO_SYSTEM_AREA_BYTES, _volume_descriptor())


def empty(path: Path, secret: Path) -> None:
    path.touch()


# Images that are damaged.


def truncated_qcow2(path: Path, secret: Path) -> None:
    """Header and tables are there; half of the data that they speak of is not."""
    qcow2(path, DISK_MIB)
    with path.open("r+b") as file:
        file.truncate(DISK_MIB * MIB // 2)


def qcow2_with_broken_l1_table(path: Path, secret: Path) -> None:
    qcow2(path, DISK_MIB)
    _overwrite(path, _number(path, _L1_OFFSET), struct.pack(">Q", 1 << 63 | 0x10200))


def qcow2_with_broken_l2_table(path: Path, secret: Path) -> None:
    qcow2(path, DISK_MIB)
    l2_offset = _number(path, _number(path, _L1_OFFSET)) & ~(1 << 63)
    _overwrite(path, l2_offset + 8, struct.pack(">Q", 1 << 63 | 0x10200))


def qcow2_with_huge_l1_table(path: Path, secret: Path) -> None:
    qcow2(path, DISK_MIB)
    _overwrite(path, _L1_ENTRIES, struct.pack(">I", 0x7FFFFFFF))


def qcow2_with_huge_refcount_table(path: Path, secret: Path) -> None:
    qcow2(path, DISK_MIB)
    _overwrite(path, _REFCOUNT_CLUSTERS, struct.pack(">I", 0x7FFFFFFF))


def qcow2_of_an_exbibyte(path: Path, secret: Path) -> None:
    qcow2(path, DISK_MIB)
    _overwrite(path, _VIRTUAL_SIZE, struct.pack(">Q", 1 << 60))


def truncated_vhd(path: Path, secret: Path) -> None:
    raw = random_raw(path.with_suffix(".tmp"), DISK_MIB)
    qemu_img("convert", "-f", "raw", "-O", "vpc", "-o", "force_size=on", raw, path)
    raw.unlink()
    with path.open("r+b") as file:
        file.truncate(MIB)


def iso(path: Path, secret: Path) -> None:
    """A good one, as far as anybody looks: the system area, and the first volume descriptor."""
    content = bytes(_ISO_SYSTEM_AREA_BYTES) + _volume_descriptor() + b"files" * 10_000
    path.write_bytes(content.ljust(_VOLUME_BLOCKS * _BLOCK_BYTES, b"\0"))


def _volume_descriptor() -> bytes:
    descriptor = bytearray(2048)
    descriptor[:7] = b"\x01CD001\x01"
    # Logical blocks, in both orders.
    descriptor[80:88] = struct.pack("<I", _VOLUME_BLOCKS) + struct.pack(">I", _VOLUME_BLOCKS)
    descriptor[128:132] = struct.pack("<H", _BLOCK_BYTES) + struct.pack(">H", _BLOCK_BYTES)
    return bytes(descriptor)


def _number(path: Path, offset: int) -> int:
    (number,) = struct.unpack_from(">Q", path.read_bytes(), offset)
    return int(number)


def _overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)
