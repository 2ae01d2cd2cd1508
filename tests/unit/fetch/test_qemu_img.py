"""qemu-img under limits: what it says, how it fails, how it is stopped."""

from datetime import timedelta

import pytest

from precache.core.errors import ConversionFailed
from precache.fetch.arriving_file import Abandoned
from precache.fetch.qemu_img import Output, Part, QemuImg, QemuImgLimits
from precache.fetch.sparse_file import create_empty
from tests.unit.fetch.served import Served
from tests.unit.fetch.world import IMAGE


@pytest.fixture
def served(tmp_path, make_image):
    served = Served(tmp_path / "download", make_image("vmdk", "-o", "subformat=streamOptimized"))
    yield served
    served.close()


def test_info_tells_what_the_rules_need(served, disk_bytes):
    info = QemuImg(image=IMAGE, limits=QemuImgLimits()).info(served.theirs, "vmdk")

    assert (info.format, info.vmdk_type, info.virtual_size_bytes) == ("vmdk", "streamOptimized", len(disk_bytes))
    assert (info.backing_file, info.data_file) == (None, None)


def test_content_is_never_taken_for_another_format_than_the_given_one(served):
    with pytest.raises(ConversionFailed, match="not in qcow2 format"):
        QemuImg(image=IMAGE, limits=QemuImgLimits()).info(served.theirs, "qcow2")


def test_address_space_is_limited(served):
    with pytest.raises(ConversionFailed):
        QemuImg(image=IMAGE, limits=QemuImgLimits(address_space_bytes=20 << 20)).info(served.theirs, "vmdk")


def test_processor_time_is_limited(served):
    with pytest.raises(ConversionFailed, match="used more than 0 s of processor time"):
        QemuImg(image=IMAGE, limits=QemuImgLimits(cpu_time=timedelta())).info(served.theirs, "vmdk")


def test_nothing_runs_after_a_stop(served):
    qemu_img = QemuImg(image=IMAGE, limits=QemuImgLimits())
    qemu_img.stop()

    with pytest.raises(Abandoned):
        qemu_img.info(served.theirs, "vmdk")


@pytest.mark.parametrize("output", Output)
def test_a_part_is_converted_to_its_place_and_the_rest_left_alone(tmp_path, disk_bytes, output):
    half = len(disk_bytes) // 2
    target = tmp_path / "with, comma"
    create_empty(target, len(disk_bytes))
    served = Served(tmp_path / "download", disk_bytes)

    QemuImg(image=IMAGE, limits=QemuImgLimits()).convert(
        served.theirs, "raw", Part(half, len(disk_bytes) - half), target, output
    )

    served.close()
    assert target.read_bytes() == bytes(half) + disk_bytes[half:]


def test_host_without_qemu_img_is_told(served, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")

    with pytest.raises(ConversionFailed, match="qemu-img is not installed on this host"):
        QemuImg(image=IMAGE, limits=QemuImgLimits()).info(served.theirs, "vmdk")
