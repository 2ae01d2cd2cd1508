"""What a disk stands on is read from its header; what cannot be read is an error, never "nothing"."""

from __future__ import annotations

import os
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from precache.core.errors import DiskUnreadable
from precache.imagecache.disks.backing import backing_chain
from precache.ports.domain_disks import DiskFile


def qemu_img(*arguments: object) -> None:
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True)


def header(offset: int, length: int, name: bytes = b"") -> bytes:
    return struct.pack(">4sIQI", b"QFI\xfb", 3, offset, length).ljust(512, b"\0") + name


def test_a_raw_disk_has_an_empty_chain(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(bytes(4096))

    assert list(backing_chain(DiskFile(tmp_path / "disk"))) == []


def test_a_qcow2_disk_without_backing_file_has_an_empty_chain(tmp_path: Path) -> None:
    qemu_img("create", "-f", "qcow2", tmp_path / "disk", "1M")

    assert list(backing_chain(DiskFile(tmp_path / "disk"))) == []


@pytest.mark.parametrize("overlay_format", ["qcow2", "qcow", "qed", "vmdk"])
def test_an_overlay_made_by_qemu_img_has_its_base_in_the_chain(tmp_path: Path, overlay_format: str) -> None:
    base = tmp_path / "base"
    base_format = overlay_format if overlay_format == "vmdk" else "raw"
    qemu_img("create", "-f", base_format, base, "1M")
    qemu_img("create", "-f", overlay_format, "-b", base, "-F", base_format, tmp_path / "disk")

    for disk_format in (overlay_format, None):  # known, and claimed
        assert base in list(backing_chain(DiskFile(tmp_path / "disk", disk_format)))


def test_a_chain_is_followed_to_its_end(tmp_path: Path) -> None:
    base, middle, disk = tmp_path / "base", tmp_path / "middle", tmp_path / "disk"
    qemu_img("create", "-f", "raw", base, "1M")
    qemu_img("create", "-f", "qcow2", "-b", base, "-F", "raw", middle)
    qemu_img("create", "-f", "qcow2", "-b", "middle", "-F", "qcow2", disk)

    assert list(backing_chain(DiskFile(disk))) == [middle, base]


def test_a_chain_that_bites_its_tail_ends(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(header(512, 4, b"disk"))

    for disk_format in ("qcow2", None):
        assert list(backing_chain(DiskFile(tmp_path / "disk", disk_format))) == []


def test_a_known_chain_without_end_is_unreadable_and_a_claimed_one_is_cut(tmp_path: Path) -> None:
    for number in range(100):
        name = f"file{number + 1:03}".encode()
        (tmp_path / f"file{number:03}").write_bytes(header(512, len(name), name))
    extension = struct.pack(">II8s", 0xE2792ACA, 5, b"qcow2\0\0\0")

    assert len(list(backing_chain(DiskFile(tmp_path / "file000")))) < 100
    for path in tmp_path.glob("file*"):
        content = bytearray(path.read_bytes())
        content[100:104] = (104).to_bytes(4, "big")
        content[104 : 104 + len(extension)] = extension
        path.write_bytes(content)
    with pytest.raises(DiskUnreadable, match="backing chain has more than"):
        list(backing_chain(DiskFile(tmp_path / "file000", "qcow2")))


@pytest.mark.parametrize(
    ("name", "file"),
    [
        (b"/base", "/base"),
        (b"file:/base", "/base"),
        (b'json:{"driver": "raw", "file": {"driver": "file", "filename": "/base"}}', "/base"),
        (b'json:{"file.filename": "/base"}', "/base"),
        (b"nbd://example.org/base", None),
        (b"rbd:pool/base", None),
    ],
)
def test_every_notation_of_qemu_for_a_file_is_understood(tmp_path: Path, name: bytes, file: str | None) -> None:
    (tmp_path / "disk").write_bytes(header(512, len(name), name))

    assert list(backing_chain(DiskFile(tmp_path / "disk"))) == ([] if file is None else [Path(file)])


@pytest.mark.parametrize(
    "content",
    [
        header(512, 30, b"too short"),
        header(512, 0),
        header(512, 1024, b"x" * 1024),
        header(2**63, 4),
        b"QFI\xfb\0\0",
        header(512, 6, b"json:{"),
        b"QED\0" + b"\xff" * 60,
    ],
)
def test_a_damaged_header_is_an_error_where_the_format_is_known_and_nothing_where_a_guest_may_have_written_it(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "disk").write_bytes(content)

    with pytest.raises(DiskUnreadable, match="disk"):
        list(backing_chain(DiskFile(tmp_path / "disk", "qed" if content.startswith(b"QED") else "qcow2")))
    assert list(backing_chain(DiskFile(tmp_path / "disk"))) == []


def test_a_known_disk_that_is_missing_or_has_a_missing_backing_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(header(512, 6, b"middle"))

    for disk in ("gone", "disk"):
        with pytest.raises(DiskUnreadable, match="mount its file system"):
            list(backing_chain(DiskFile(tmp_path / disk, "qcow2")))


def test_a_missing_cache_entry_is_no_error_because_entries_have_no_backing_file(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(header(512, 40, b"a" * 40))

    assert list(backing_chain(DiskFile(tmp_path / "disk", "qcow2"))) == [tmp_path / ("a" * 40)]


def test_a_disk_that_is_known_to_be_raw_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(header(512, 5, b"/base"))

    assert list(backing_chain(DiskFile(tmp_path / "disk", "raw"))) == []


@pytest.mark.parametrize("magic", [b"# Disk DescriptorFile\n", b"KDMV"])
def test_a_descriptor_that_a_guest_wrote_opens_no_pipe_and_no_device(tmp_path: Path, magic: bytes) -> None:
    os.mkfifo(tmp_path / "pipe")
    named = b'RW 8 FLAT "pipe" 0\nRW 8 FLAT "/dev/tty" 0\nparentFileNameHint="/proc/kmsg"\n'
    start = magic + struct.pack("<IIQQQQ", 1, 3, 8, 8, 1, 1) if magic == b"KDMV" else magic
    (tmp_path / "disk").write_bytes(start.ljust(512, b"\0") + named if magic == b"KDMV" else start + named)

    found = list(backing_chain(DiskFile(tmp_path / "disk")))

    assert found == [tmp_path / "pipe", Path("/dev/tty"), Path("/proc/kmsg")]


def test_a_file_that_only_a_guest_names_need_not_be_readable(open_path: Path, as_nobody: None) -> None:
    os.seteuid(0)
    (open_path / "secret").touch(mode=0o600)
    (open_path / "disk").write_bytes(header(512, 6, b"secret"))
    os.seteuid(65534)

    assert list(backing_chain(DiskFile(open_path / "disk"))) == [open_path / "secret"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=64))
def test_no_header_breaks_the_reader(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "disk").write_bytes(b"QFI\xfb" + content)

    with suppress(DiskUnreadable):
        list(backing_chain(DiskFile(tmp_path / "disk")))


def test_a_missing_disk_has_no_backing_file(tmp_path: Path) -> None:
    assert list(backing_chain(DiskFile(tmp_path / "disk"))) == []


def test_a_named_pipe_does_not_hold_the_reader_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "disk")

    assert list(backing_chain(DiskFile(tmp_path / "disk"))) == []
