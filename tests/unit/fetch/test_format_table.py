"""The table of formats: what the cache gets is what qemu-img makes of the image, or nothing, with the reason."""

import re

import pytest

from precache.core.errors import PrecacheError
from precache.fetch.fetch_rules import FetchRules
from tests.disk_images.making import Workshop
from tests.disk_images.table import CASES
from tests.unit.fetch.world import record_of

TAKEN = [case for case in CASES if case.refusal is None]
# Kept as it is, an image takes the same way whatever its variant: one of each format tells it at once.
KEPT = [
    pytest.param(case, id=case.name, marks=() if case.name.endswith("plain") else pytest.mark.long)
    for case in TAKEN
    if not case.is_raw
]
REFUSED = [case for case in CASES if case.refusal is not None]


@pytest.fixture
def workshop(tmp_path):
    directory = tmp_path / "workshop"
    directory.mkdir()
    return Workshop(directory)


@pytest.mark.parametrize("case", TAKEN, ids=lambda case: case.name)
def test_entry_is_what_qemu_img_makes_of_the_image(world, workshop, case):
    image = bytes(case.make(workshop))

    path = world.fetch(image, case.disk_format)

    assert path.read_bytes() == (image if case.is_raw else workshop.raw_of(image, case.qemu_format))
    assert world.litter() == [path.name]


@pytest.mark.parametrize("case", KEPT)
def test_host_that_keeps_formats_takes_what_it_would_convert(world, workshop, case):
    image = bytes(case.make(workshop))

    path = world.fetch(image, case.disk_format, rules=FetchRules(force_raw_images=False))

    assert path.read_bytes() == image


@pytest.mark.parametrize(
    ("case", "force_raw_images"),
    [(case, True) for case in REFUSED] + [(case, False) for case in REFUSED if not case.is_found_by_reading],
    ids=lambda value: getattr(value, "name", "converted" if value is True else "kept"),
)
def test_image_that_is_no_whole_disk_is_refused_with_the_reason(world, workshop, case, force_raw_images):
    image = bytes(case.make(workshop))

    with pytest.raises(PrecacheError) as refusal:
        world.fetch(
            image, record=record_of(image, case.disk_format), rules=FetchRules(force_raw_images=force_raw_images)
        )

    assert re.search(case.refusal, str(refusal.value))
    assert "driver=" not in str(refusal.value)
    assert world.litter() == []
