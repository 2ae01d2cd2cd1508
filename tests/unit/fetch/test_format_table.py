"""The table of formats: what the cache gets is what qemu-img makes of the image, or nothing, with the reason."""

import re

import pytest

from precache.core.errors import PrecacheError
from precache.fetch.fetch_rules import FetchRules
from tests.disk_images.making import Workshop
from tests.disk_images.table import CASES
from tests.unit.fetch.world import BY_QEMU_IMG, record_of

TAKEN = [case for case in CASES if case.refusal is None]
# Kept as it is, an image takes the same way whatever its variant: one of each format tells it at once.
KEPT = [
    pytest.param(case, id=case.name, marks=() if case.name.endswith("plain") else pytest.mark.long)
    for case in TAKEN
    if not case.is_raw
]
REFUSED = [case for case in CASES if case.refusal is not None]
STREAMED = ("qcow2", "vmdk")


@pytest.fixture
def workshop(tmp_path):
    directory = tmp_path / "workshop"
    directory.mkdir()
    return Workshop(directory)


@pytest.mark.parametrize(
    ("case", "rules"),
    [
        *(pytest.param(case, FetchRules(), id=case.name) for case in TAKEN),
        *(
            pytest.param(case, BY_QEMU_IMG, id=f"{case.name} by qemu-img", marks=pytest.mark.long)
            for case in TAKEN
            if case.disk_format in STREAMED
        ),
    ],
)
def test_entry_is_what_qemu_img_makes_of_the_image(world, workshop, case, rules):
    image = bytes(case.make(workshop))

    path = world.fetch(image, case.disk_format, rules=rules)

    assert path.read_bytes() == (image if case.is_raw else workshop.raw_of(image, case.qemu_format))
    assert world.litter() == [path.name]


@pytest.mark.parametrize("case", KEPT)
def test_host_that_keeps_formats_takes_what_it_would_convert(world, workshop, case):
    image = bytes(case.make(workshop))

    path = world.fetch(image, case.disk_format, rules=FetchRules(force_raw_images=False))

    assert path.read_bytes() == image


@pytest.mark.parametrize(
    ("case", "rules"),
    [
        *(pytest.param(case, FetchRules(), id=f"{case.name} converted") for case in REFUSED),
        *(
            pytest.param(case, BY_QEMU_IMG, id=f"{case.name} by qemu-img")
            for case in REFUSED
            if case.disk_format in STREAMED
        ),
        *(
            pytest.param(case, FetchRules(force_raw_images=False), id=f"{case.name} kept")
            for case in REFUSED
            if not case.is_found_by_reading
        ),
    ],
)
def test_image_that_is_no_whole_disk_is_refused_with_the_reason(world, workshop, case, rules):
    image = bytes(case.make(workshop))

    with pytest.raises(PrecacheError) as refusal:
        world.fetch(image, record=record_of(image, case.disk_format), rules=rules)

    assert re.search(case.refusal, str(refusal.value))
    assert "driver=" not in str(refusal.value)
    assert world.litter() == []
