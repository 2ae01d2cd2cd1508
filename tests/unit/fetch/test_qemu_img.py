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
def image_file(tmp_path, make_image):
    path = tmp_path / "image"
    path.write_bytes(make_image("vmdk", "-o", "subformat=streamOptimized"))
    return path


def test_info_tells_what_the_rules_need(image_file, disk_bytes):
    info = QemuImg(image=IMAGE, limits=QemuImgLimits()).info_of_file(image_file)

    assert (info.format, info.vmdk_type, info.virtual_size_bytes) == ("vmdk", "streamOptimized", len(disk_bytes))
    assert (info.backing_file, info.data_file) == (None, None)


def test_failure_ends_in_the_last_words_of_qemu_img(tmp_path):
    with pytest.raises(ConversionFailed, match=r"Could not open .*: No such file or directory"):
        QemuImg(image=IMAGE, limits=QemuImgLimits()).info_of_file(tmp_path / "missing")


def test_address_space_is_limited(image_file):
    with pytest.raises(ConversionFailed):
        QemuImg(image=IMAGE, limits=QemuImgLimits(address_space_bytes=20 << 20)).info_of_file(image_file)


def test_processor_time_is_limited(image_file):
    with pytest.raises(ConversionFailed, match="used more than 0 s of processor time"):
        QemuImg(image=IMAGE, limits=QemuImgLimits(cpu_time=timedelta())).info_of_file(image_file)


def test_nothing_runs_after_a_stop(image_file):
    qemu_img = QemuImg(image=IMAGE, limits=QemuImgLimits())
    qemu_img.stop()

    with pytest.raises(Abandoned):
        qemu_img.info_of_file(image_file)


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


def test_host_without_qemu_img_is_told(image_file, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")

    with pytest.raises(ConversionFailed, match="qemu-img is not installed on this host"):
        QemuImg(image=IMAGE, limits=QemuImgLimits()).info_of_file(image_file)
