import pytest

from precache.core.cache_entries import entry_name
from precache.core.cache_inventory import CachedImage, CacheNumbers
from precache.core.image_list import ImageFinding, ImageList, ListedImage, ServiceStatus
from precache.core.images import ImageStatus, parse_image_id
from precache.rules.image_findings import find_images

IMAGE = parse_image_id("1" * 32)
ENTRY = entry_name(IMAGE)


def cached(status=None, entry=ENTRY):
    return CachedImage(entry, None, None, CacheNumbers(present=1), status)


@pytest.mark.parametrize(
    ("status", "found"),
    [
        ("active", ServiceStatus.ACTIVE),
        ("deactivated", ServiceStatus.DEACTIVATED),
        ("pending_delete", ServiceStatus.GONE),
        ("deleted", ServiceStatus.GONE),
        ("killed", ServiceStatus.GONE),
        *((status, ServiceStatus.UNKNOWN) for status in ("queued", "saving", "brand-new", "")),
    ],
)
@pytest.mark.parametrize("doubt", ["", "some"])
def test_an_image_of_the_list_has_the_status_of_its_record(status, found, doubt):
    listed = ImageList({IMAGE: ListedImage("debian", status)}, doubt)

    assert find_images([cached("gone")], listed) == [ImageFinding(ENTRY, found, IMAGE, "debian")]


def test_a_name_is_one_line_that_every_database_can_store():
    listed = ImageList({IMAGE: ListedImage("a\x00b\nc\ud800" + "x" * 300, "active")})

    [found] = find_images([cached()], listed)

    assert found.name.isprintable()
    assert len(found.name) == 255
    found.name.encode()


def test_every_status_of_glance_has_a_meaning():
    listed = {parse_image_id(f"{number:032}"): status for number, status in enumerate(ImageStatus)}
    images = ImageList({image: ListedImage("", status) for image, status in listed.items()})

    found = find_images([cached(entry=entry_name(image)) for image in listed], images)

    assert [each.image for each in found] == list(listed)


@pytest.mark.parametrize(
    ("before", "doubt", "after"),
    [
        (None, "", ServiceStatus.GONE),
        ("active", "", ServiceStatus.GONE),
        ("active", "some", ServiceStatus.UNKNOWN),
        (None, "some", ServiceStatus.UNKNOWN),
        ("gone", "some", ServiceStatus.GONE),
    ],
)
def test_an_image_that_is_not_in_the_list_is_gone_only_if_the_list_is_whole(before, doubt, after):
    assert find_images([cached(before)], ImageList({}, doubt)) == [ImageFinding(ENTRY, after)]
