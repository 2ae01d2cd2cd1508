"""What reading a file tells about it."""

import subprocess
import threading

import pytest

from precache.imageserver.directory_scan import ImageFile, scan_directory
from precache.imageserver.file_facts import read_facts

MIB = 1024 * 1024


def facts_of(path):
    (file,) = scan_directory(path.parent)
    return read_facts(file, threading.Event())


@pytest.mark.parametrize(
    ("ending", "qemu_format", "disk_format"),
    [("qcow2", "qcow2", "qcow2"), ("vmdk", "vmdk", "vmdk"), ("vhdx", "vhdx", "vhdx"), ("vdi", "vdi", "vdi")],
)
def test_the_size_of_the_disk_inside_is_found(images_dir, ending, qemu_format, disk_format):
    path = images_dir / f"disk.{ending}"
    subprocess.run(["qemu-img", "create", "-q", "-f", qemu_format, path, str(16 * MIB)], check=True)

    facts = facts_of(path)

    assert (facts.disk_format, facts.virtual_size_bytes) == (disk_format, 16 * MIB)


def test_a_raw_file_is_as_large_as_its_disk(images_dir):
    (images_dir / "disk.raw").write_bytes(b"x" * 1000)

    assert facts_of(images_dir / "disk.raw").virtual_size_bytes == 1000


def test_an_img_file_is_raw_unless_it_holds_qcow2(images_dir):
    path = images_dir / "disk.img"
    path.write_bytes(b"\0" * 512)
    raw = facts_of(path)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, str(MIB)], check=True)

    assert (raw.disk_format, facts_of(path).disk_format) == ("raw", "qcow2")


@pytest.mark.parametrize("content", [b"", b"no disk at all", b"QFI\xfb" + b"\xff" * 600, b"KDMV" + b"\xff" * 600])
@pytest.mark.parametrize("ending", ["qcow2", "vmdk", "vhd", "vhdx", "vdi", "iso"])
def test_content_that_is_not_what_the_name_says_has_no_known_size(images_dir, content, ending):
    path = images_dir / f"disk.{ending}"
    path.write_bytes(content)

    facts = facts_of(path)

    assert (facts.disk_format, facts.virtual_size_bytes) == (ending, None)


def test_a_file_that_changed_since_it_was_seen_has_no_facts(images_dir):
    path = images_dir / "disk.raw"
    path.write_bytes(b"half")
    (seen,) = scan_directory(images_dir)
    path.write_bytes(b"half and more")

    assert isinstance(seen, ImageFile)
    assert read_facts(seen, threading.Event()) is None


def test_reading_ends_when_it_is_told_to(images_dir):
    (images_dir / "disk.raw").write_bytes(b"x")
    (file,) = scan_directory(images_dir)
    stop = threading.Event()
    stop.set()

    assert read_facts(file, stop) is None
