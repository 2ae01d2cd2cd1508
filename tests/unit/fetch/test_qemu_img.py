"""qemu-img under limits: what it says, how it fails, how it is stopped."""

import itertools
import os
from datetime import timedelta

import pytest

from precache.fetch.qemu_commands import Output, Part, convert_part, read_image_info
from precache.fetch.sparse_file import create_empty
from precache.imagecache.qemu_img import QemuImg, QemuImgFailed, QemuImgLimits
from precache.sandbox import Sandbox, landlock
from tests.unit.fetch.served import Served


def has_arrived() -> bool:
    """Return that no byte of the image is still to come."""
    return False


@pytest.fixture
def served(tmp_path, make_image):
    served = Served(tmp_path / "download", make_image("vmdk", "-o", "subformat=streamOptimized"))
    yield served
    served.close()


def test_info_has_the_values_for_the_rules(served, disk_bytes):
    info = read_image_info(QemuImg(), served.theirs, "vmdk", has_arrived)

    assert (info.format, info.vmdk_type, info.virtual_size_bytes) == ("vmdk", "streamOptimized", len(disk_bytes))
    assert (info.backing_file, info.data_file) == (None, None)


def test_content_is_never_read_in_another_format_than_the_given_one(served):
    with pytest.raises(QemuImgFailed, match="not in qcow2 format"):
        read_image_info(QemuImg(), served.theirs, "qcow2", has_arrived)


def test_address_space_is_limited(served):
    with pytest.raises(QemuImgFailed):
        read_image_info(QemuImg(limits=QemuImgLimits(address_space_bytes=20 << 20)), served.theirs, "vmdk", has_arrived)


def test_processor_time_is_limited(served):
    with pytest.raises(QemuImgFailed, match="used more than 0 s of processor time"):
        read_image_info(QemuImg(limits=QemuImgLimits(cpu_time=timedelta())), served.theirs, "vmdk", has_arrived)


def test_nothing_runs_after_a_stop(served):
    qemu_img = QemuImg()
    qemu_img.stop()

    with pytest.raises(QemuImgFailed, match="was stopped"):
        read_image_info(qemu_img, served.theirs, "vmdk", has_arrived)


@pytest.mark.parametrize("output", Output)
def test_a_part_is_converted_to_its_place_and_the_rest_left_alone(tmp_path, disk_bytes, output):
    half = len(disk_bytes) // 2
    target = tmp_path / "with, comma"
    create_empty(target, len(disk_bytes))
    served = Served(tmp_path / "download", disk_bytes)

    part = Part(half, len(disk_bytes) - half)
    convert_part(QemuImg(), served.theirs, "raw", part, target, output, has_arrived)

    served.close()
    assert target.read_bytes() == bytes(half) + disk_bytes[half:]


def test_host_without_qemu_img_is_reported(served, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")

    with pytest.raises(QemuImgFailed, match="qemu-img is not installed on this host"):
        read_image_info(QemuImg(), served.theirs, "vmdk", has_arrived)


@pytest.fixture
def served_descriptor(tmp_path):
    """A VMDK that names a pipe in which nothing ever comes."""
    os.mkfifo(tmp_path / "fifo")
    text = f'# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\n' \
        f'RW 2048 FLAT "{tmp_path / "fifo"}" 0\n'  # fmt: skip
    served = Served(tmp_path / "download", text.encode().ljust(4096, b"#"))
    yield served
    served.close()


@pytest.mark.skipif(landlock.version() == 0, reason="this kernel has no Landlock")
def test_file_that_an_image_names_cannot_be_opened(served_descriptor):
    with pytest.raises(QemuImgFailed, match=r"fifo.*(Permission denied|Operation not permitted)"):
        read_image_info(QemuImg(), served_descriptor.theirs, "vmdk", has_arrived)


def test_run_that_only_waits_is_ended_with_the_reason_once_its_time_is_over(served_descriptor):
    seconds = itertools.count(0, 50)
    asked = []

    def is_arriving() -> bool:
        asked.append(True)
        return len(asked) < 10  # while the image is still arriving, it is left alone

    qemu_img = QemuImg(sandbox=Sandbox(landlock_version=0), monotonic=lambda: next(seconds))

    with pytest.raises(QemuImgFailed, match="qemu-img had not finished after 120 s, and was ended"):
        read_image_info(qemu_img, served_descriptor.theirs, "vmdk", is_arriving)

    assert len(asked) >= 12
