import pytest

from precache.core.errors import ImageCompressed, ImageFormatUnsupported, ImageNotActive
from precache.core.images import DiskFormat, Image, ImageId, ImageStatus
from precache.rules.admission import check_admissible


def image(status=ImageStatus.ACTIVE, disk_format="qcow2", **more):
    return Image(id=ImageId("i"), name="n", status=status, disk_format=disk_format, size_bytes=1, **more)


@pytest.mark.parametrize("disk_format", list(DiskFormat))
def test_active_image_of_a_known_format_is_admitted(disk_format):
    check_admissible(image(disk_format=disk_format.value))


@pytest.mark.parametrize(
    "status", [status for status in ImageStatus if status is not ImageStatus.ACTIVE] + ["brand-new"]
)
def test_image_that_is_not_active_is_refused(status):
    with pytest.raises(ImageNotActive, match="not active"):
        check_admissible(image(status=status))


@pytest.mark.parametrize("disk_format", [None, "", "docker", "QCOW2"])
def test_image_of_another_format_is_refused(disk_format):
    with pytest.raises(ImageFormatUnsupported):
        check_admissible(image(disk_format=disk_format))


def test_status_comes_before_format():
    with pytest.raises(ImageNotActive):
        check_admissible(image(status="queued", disk_format=None))


def test_compressed_image_is_refused_with_what_to_do():
    with pytest.raises(ImageCompressed, match=r"container format compressed.*Upload the image uncompressed"):
        check_admissible(image(container_format="compressed"))


@pytest.mark.parametrize("container_format", [None, "bare", "ovf", "docker"])
def test_other_containers_are_left_to_the_hosts_inspection(container_format):
    check_admissible(image(container_format=container_format))
