"""qemu-img under limits: what it says, how it fails, how it is stopped."""

import os
import threading
from datetime import timedelta

import pytest

from precache.core.errors import ConversionFailed
from precache.fetch.growing_file import Abandoned
from precache.fetch.qemu_img import Output, Part, QemuImg, QemuImgLimits
from precache.fetch.sparse_file import create_empty
from precache.sandbox import Sandbox, landlock
from tests.unit.fetch.served import Served
from tests.unit.fetch.world import IMAGE
from tests.waiting import wait_until


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
    with pytest.raises(ConversionFailed, match=r"fifo.*(Permission denied|Operation not permitted)"):
        QemuImg(image=IMAGE, limits=QemuImgLimits()).info(served_descriptor.theirs, "vmdk")


def test_run_that_only_waits_is_ended_with_the_reason_once_its_time_is_over(served_descriptor):
    clock = FakeSeconds()
    limits = QemuImgLimits(cpu_time=timedelta(seconds=30))
    qemu_img = QemuImg(image=IMAGE, limits=limits, sandbox=Sandbox(landlock_version=0), monotonic=clock)

    def end_it() -> bool:
        clock.seconds += 50
        qemu_img.kill_if_overdue(is_arriving=clock.seconds < 1000)
        return not run.is_alive()

    failures = []
    run = threading.Thread(target=lambda: failures.append(_failure(qemu_img, served_descriptor)))
    run.start()
    wait_until(end_it)

    assert "qemu-img had not finished after 120 s, and was ended" in str(failures[0])
    assert clock.seconds > 1000  # while the image was still arriving, it was left alone


class FakeSeconds:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def _failure(qemu_img, served):
    with pytest.raises(ConversionFailed) as caught:
        qemu_img.info(served.theirs, "vmdk")
    return caught.value
