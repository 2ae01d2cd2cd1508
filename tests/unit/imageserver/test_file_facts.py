"""What reading a file tells about it."""

import contextlib
import logging
import subprocess

import pytest

from precache.imageserver.directory_scan import ImageFile, scan_directory
from precache.imageserver.file_facts import BLOCK_BYTES, FileChanged, FileReading

MIB = 1024 * 1024


def facts_of(path):
    (file,) = scan_directory(path.parent)
    with contextlib.closing(FileReading(file)) as reading:
        while (facts := reading.read_block()) is None:
            pass
    return facts


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
    with contextlib.closing(FileReading(seen)) as reading, pytest.raises(FileChanged):
        reading.read_block()


def remove(path):
    path.unlink()


def replace(path):
    path.with_suffix(".part").write_bytes(path.read_bytes())
    path.with_suffix(".part").replace(path)


def append(path):
    with path.open("ab") as data:
        data.write(b"more")


@pytest.mark.parametrize("change", [remove, replace, append])
def test_reading_ends_at_the_first_block_after_a_change(images_dir, change):
    path = images_dir / "disk.raw"
    path.write_bytes(bytes(3 * BLOCK_BYTES))
    (file,) = scan_directory(images_dir)
    with contextlib.closing(FileReading(file)) as reading:
        assert reading.read_block() is None
        assert reading.bytes_left == 2 * BLOCK_BYTES

        change(path)

        with pytest.raises(FileChanged):
            reading.read_block()


def test_a_file_that_cannot_be_opened_is_not_said_to_be_hashed(images_dir, caplog):
    caplog.set_level(logging.INFO)
    path = images_dir / "secret.raw"
    path.write_bytes(b"x")
    (file,) = scan_directory(images_dir)
    path.unlink()

    with pytest.raises(FileNotFoundError):
        FileReading(file)

    assert "hashing" not in caplog.text
