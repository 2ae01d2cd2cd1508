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
from precache.imagecache.backing import backing_chain


def qemu_img(*arguments: object) -> None:
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True)


def header(offset: int, length: int, name: bytes = b"") -> bytes:
    return struct.pack(">4sIQI", b"QFI\xfb", 3, offset, length).ljust(512, b"\0") + name


def test_a_raw_disk_stands_on_nothing(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(bytes(4096))

    assert list(backing_chain(tmp_path / "disk")) == []


def test_a_qcow2_disk_without_backing_file_stands_on_nothing(tmp_path: Path) -> None:
    qemu_img("create", "-f", "qcow2", tmp_path / "disk", "1M")

    assert list(backing_chain(tmp_path / "disk")) == []


@pytest.mark.parametrize("overlay_format", ["qcow2", "qcow", "qed", "vmdk"])
def test_an_overlay_made_by_qemu_img_stands_on_its_base(tmp_path: Path, overlay_format: str) -> None:
    base = tmp_path / "base"
    base_format = overlay_format if overlay_format == "vmdk" else "raw"
    qemu_img("create", "-f", base_format, base, "1M")
    qemu_img("create", "-f", overlay_format, "-b", base, "-F", base_format, tmp_path / "disk")

    assert list(backing_chain(tmp_path / "disk")) == [base]


def test_a_chain_is_followed_to_its_end(tmp_path: Path) -> None:
    base, middle, disk = tmp_path / "base", tmp_path / "middle", tmp_path / "disk"
    qemu_img("create", "-f", "raw", base, "1M")
    qemu_img("create", "-f", "qcow2", "-b", base, "-F", "raw", middle)
    qemu_img("create", "-f", "qcow2", "-b", "middle", "-F", "qcow2", disk)

    assert list(backing_chain(disk)) == [middle, base]


def test_a_chain_that_bites_its_tail_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(header(512, 4, b"disk"))

    with pytest.raises(DiskUnreadable, match="stand one on another"):
        list(backing_chain(tmp_path / "disk"))


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

    assert list(backing_chain(tmp_path / "disk")) == ([] if file is None else [Path(file)])


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
def test_a_damaged_header_is_unreadable(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "disk").write_bytes(content)

    with pytest.raises(DiskUnreadable, match="disk"):
        list(backing_chain(tmp_path / "disk"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=64))
def test_no_header_breaks_the_reader(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "disk").write_bytes(b"QFI\xfb" + content)

    with suppress(DiskUnreadable):
        list(backing_chain(tmp_path / "disk"))


def test_a_disk_that_is_gone_stands_on_nothing(tmp_path: Path) -> None:
    assert list(backing_chain(tmp_path / "disk")) == []


def test_a_named_pipe_does_not_hold_the_reader_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "disk")

    assert list(backing_chain(tmp_path / "disk")) == []
