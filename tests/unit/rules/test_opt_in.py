import pytest

from precache.core.errors import ImageNotOptedIn, ImageOwnerNotListed, PrecachingOff
from precache.core.images import Image, parse_image_id
from precache.rules.opt_in import ALL_IMAGES, OptIn, PrecacheImages

SOME, NONE = OptIn(PrecacheImages.SOME), OptIn(PrecacheImages.NONE)
LISTED = OptIn(projects=frozenset({"p1", "p2"}))
KERNEL, RAMDISK = (parse_image_id(digit * 32) for digit in "12")


def image(number=9, **fields):
    return Image(parse_image_id(f"{number}" * 32), "n", "active", "qcow2", 1, **fields)


@pytest.mark.parametrize(
    ("opt_in", "fields"),
    [
        (ALL_IMAGES, {}),
        (SOME, {"has_opted_in": True}),
        (LISTED, {"owner": "p2"}),
        (OptIn(PrecacheImages.SOME, frozenset({"p1"})), {"has_opted_in": True, "owner": "p1"}),
    ],
)
def test_an_image_that_may_be_cached_passes(opt_in, fields):
    opt_in.check([image(**fields)])


@pytest.mark.parametrize(
    ("opt_in", "fields", "error", "message"),
    [
        (NONE, {"has_opted_in": True}, PrecachingOff, r"precache_images = none"),
        (SOME, {"owner": "p1"}, ImageNotOptedIn, r"99999999-.*neither.*cache_in_nova=true.*precache=true"),
        (LISTED, {"owner": "p3"}, ImageOwnerNotListed, r"99999999-.* project p3.*precache_projects"),
        (LISTED, {}, ImageOwnerNotListed, r"no owner"),
        (OptIn(PrecacheImages.SOME, frozenset({"p1"})), {"owner": "p1"}, ImageNotOptedIn, "neither"),
        (OptIn(PrecacheImages.SOME, frozenset({"p1"})), {"has_opted_in": True}, ImageOwnerNotListed, "no owner"),
    ],
)
def test_another_image_is_refused_with_the_reason(opt_in, fields, error, message):
    with pytest.raises(error, match=message):
        opt_in.check([image(**fields)])


def test_kernel_and_ramdisk_may_be_cached_with_an_image_that_may_be():
    files = [Image(each, "file", "active", "aki", 1) for each in (KERNEL, RAMDISK)]

    SOME.check([*files, image(has_opted_in=True, kernel_id=KERNEL.upper(), ramdisk_id=RAMDISK)])


def test_an_image_that_is_refused_does_not_let_its_kernel_pass():
    kernel = Image(KERNEL, "file", "active", "aki", 1)

    with pytest.raises(ImageNotOptedIn, match=KERNEL):
        SOME.check([kernel, image(kernel_id=KERNEL, ramdisk_id="none")])


def test_a_chain_of_names_lets_only_the_first_kernel_pass():
    kernel = Image(KERNEL, "file", "active", "aki", 1, kernel_id=RAMDISK)
    other = Image(RAMDISK, "file", "active", "aki", 1)

    with pytest.raises(ImageNotOptedIn, match=RAMDISK):
        SOME.check([image(has_opted_in=True, kernel_id=KERNEL), kernel, other])
