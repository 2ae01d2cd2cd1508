"""Whole fetches, with real qemu-img: what comes out, what is said meanwhile, what it costs the image service."""

import hashlib
import os
import random
import shutil
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from precache.adapters.images_memory import ImageFaults
from precache.core.errors import DigestMismatch, UnsafeImage
from precache.core.images import Digest
from precache.core.jobs import Phase
from precache.core.orders import OrderOptions
from precache.core.work_context import working_on_job
from precache.fetch.fetch_rules import FetchRules
from precache.imagecache.records.entry_record import EntryRecord
from tests.disk_images.making import vmware_stream
from tests.unit.fetch.world import BY_QEMU_IMG, BY_STREAM, IMAGE, World, record_of, sha512

MIB = 1 << 20

AS_IS = OrderOptions(as_is=True)

VMDK_STREAM = ("vmdk", "-o", "subformat=streamOptimized")

FORMATS = [
    ("qcow2", ("qcow2",)),
    ("qcow2", ("qcow2", "-o", "compat=0.10")),
    ("qcow2", ("qcow2", "-c")),
    ("vmdk", ("vmdk", "-o", "subformat=monolithicSparse")),
    ("vmdk", VMDK_STREAM),
    ("vhd", ("vpc", "-o", "subformat=dynamic,force_size=on")),
    ("vhdx", ("vhdx",)),
    ("vdi", ("vdi",)),
]


@pytest.mark.parametrize(("disk_format", "recipe"), FORMATS, ids=[" ".join(recipe) for _, recipe in FORMATS])
def test_every_format_becomes_the_raw_disk_inside(world, make_image, disk_bytes, disk_format, recipe):
    path = world.fetch(make_image(*recipe), disk_format)

    assert path.read_bytes() == disk_bytes
    assert path.stat().st_blocks * 512 < len(disk_bytes) // 2
    assert world.litter() == [path.name]
    is_streamed = disk_format == "qcow2" or recipe == VMDK_STREAM
    assert world.decoded_by.partition(" ")[0] == ("stream" if is_streamed else "qemu-img")


def test_vmdk_with_its_tables_at_the_end_is_decoded_while_it_arrives(world):
    disk = random.Random(15).randbytes(3 * MIB) + bytes(MIB)

    path = world.fetch(vmware_stream(disk), "vmdk")

    assert path.read_bytes() == disk
    assert world.decoded_by == "stream"


def test_vmdk_whose_end_is_not_its_headers_is_refused_as_before(world):
    image = vmware_stream(random.Random(16).randbytes(3 * MIB))
    image = image[:-1024] + b"COWD" + image[-1020:]

    with pytest.raises(UnsafeImage, match="Header and footer"):
        world.fetch(image, "vmdk")


@pytest.mark.parametrize(
    ("disk_format", "recipe", "forces_raw", "known_format"),
    [("qcow2", ("qcow2",), True, "raw"), ("qcow2", ("qcow2",), False, "qcow2"), ("raw", ("raw",), True, "raw")],
)
def test_the_record_has_the_digest_of_the_image_service_if_the_file_is_the_download(
    world, make_image, disk_format, recipe, forces_raw, known_format
):
    data = make_image(*recipe)

    with working_on_job("job-1"):
        path = world.fetch(data, disk_format, rules=FetchRules(force_raw_images=forces_raw))

    assert world.described == EntryRecord(
        image=IMAGE,
        image_name="debian-12",
        digest=str(sha512(data)) if path.read_bytes() == data else "",
        form="as-is" if path.read_bytes() == data else "raw",
        source="image service",
        source_digest=str(sha512(data)),
        format=known_format,
        requested_by="job-1",
    )


def test_raw_image_is_kept_byte_for_byte_with_its_holes(world, disk_bytes):
    path = world.fetch(disk_bytes, "raw")

    assert path.read_bytes() == disk_bytes
    assert path.stat().st_blocks * 512 < len(disk_bytes) // 2
    assert world.litter() == [path.name]


@pytest.mark.parametrize(("disk_format", "recipe"), [FORMATS[0], FORMATS[4]])
def test_host_that_keeps_formats_gets_the_bytes_as_they_are(world, make_image, disk_format, recipe):
    data = make_image(*recipe)

    path = world.fetch(data, disk_format, rules=FetchRules(force_raw_images=False))

    assert path.read_bytes() == data
    assert world.litter() == [path.name]
    assert world.decoded_by == ""


@pytest.mark.parametrize("disk_format", ["ami", "aki", "ari"])
def test_bare_content_needs_no_known_format(world, disk_format):
    data = b"\x7fELF" + os.urandom(5000)

    assert world.fetch(data, disk_format).read_bytes() == data


@pytest.mark.parametrize("disk_format", ["aki", "ari", "ami", "raw"])
def test_a_kernel_is_cached_as_it_is(world, disk_format):
    # As a disk its first sector breaks a safety check: it ends like a boot record, but has no table of partitions.
    kernel = b"MZ" + os.urandom(508) + b"\x55\xaa" + os.urandom(100_000)
    with pytest.raises(UnsafeImage, match="safety check"):
        world.fetch(kernel, "raw")

    path = world.fetch(kernel, disk_format, options=AS_IS)

    assert path.read_bytes() == kernel
    assert world.litter() == [path.name]


def test_a_kernel_is_verified(world):
    record = record_of(b"kernel", "aki", digest=sha512(b"other"))

    with pytest.raises(DigestMismatch):
        world.fetch(b"kernel", record=record, options=AS_IS)
    assert world.litter() == []


@pytest.mark.parametrize("disk_format", ["raw", "qcow2"])
def test_a_disk_is_not_cached_as_it_is(world, make_image, disk_format):
    with pytest.raises(UnsafeImage, match="disk_format" if disk_format == "raw" else "kernel or ramdisk"):
        world.fetch(make_image("qcow2"), disk_format, options=AS_IS)
    assert world.litter() == []


@pytest.mark.parametrize("boot_record", [b"", b"\x55\xaa"])
def test_iso_image_is_kept_also_if_it_boots_from_a_stick(world, boot_record):
    data = bytearray(40 * 1024)
    data[32 * 1024 : 32 * 1024 + 6] = b"\x01CD001"
    data[446 : 446 + 16] = b"\x80" + bytes(3) + b"\x17" + bytes(11)
    data[510:512] = boot_record or bytes(2)

    assert world.fetch(bytes(data), "iso").read_bytes() == data


def test_raw_image_may_begin_with_a_partition_table(world):
    data = bytearray(MIB)
    data[446 : 446 + 16] = b"\x80" + bytes(3) + b"\x83" + bytes(11)
    data[510:512] = b"\x55\xaa"

    assert world.fetch(bytes(data), "raw").read_bytes() == data


@pytest.mark.parametrize("size", [1, 511, 4097, MIB - 1, MIB, MIB + 1])
def test_no_size_is_special(world, size):
    data = os.urandom(size)

    assert world.fetch(data, "raw").read_bytes() == data


def test_image_is_read_from_the_service_once(world, make_image):
    world.fetch(make_image("qcow2"), "qcow2")

    assert world.images.requests == [(IMAGE, 0)]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    breaks=st.sets(st.integers(0, 700_000), max_size=6),
    longest_read=st.sampled_from([37_777, 65_536, 1_000_003]),
    has_ranges=st.booleans(),
    rules=st.sampled_from([BY_STREAM, BY_QEMU_IMG]),
)
def test_interruptions_anywhere_leave_no_trace_in_the_result(
    tmp_path_factory, make_image, disk_bytes, breaks, longest_read, has_ranges, rules
):
    world = World(tmp_path_factory.mktemp("interrupted") / "cache")
    faults = ImageFaults(breaks_at=breaks, longest_read=longest_read, has_ranges=has_ranges)

    path = world.fetch(make_image("qcow2"), "qcow2", faults=faults, rules=replace(rules, retries=30))

    assert path.read_bytes() == disk_bytes
    assert world.litter() == [path.name]


def test_length_that_was_not_announced_is_detected(world, make_image, disk_bytes):
    data = make_image("qcow2")
    record = record_of(data, "qcow2", size_bytes=None)

    path = world.fetch(data, record=record, faults=ImageFaults(announces_length=False))

    assert path.read_bytes() == disk_bytes


@pytest.mark.parametrize("algorithm", ["md5", "sha256", "sha512"])
def test_any_digest_of_the_service_is_verified(world, algorithm):
    digest = Digest.parse(algorithm, hashlib.new(algorithm, b"data").hexdigest())

    assert world.fetch(b"data", record=record_of(b"data", digest=digest)).read_bytes() == b"data"


def test_image_without_any_digest_is_accepted_with_a_warning(world, caplog):
    world.fetch(b"data", record=record_of(b"data", digest=None))

    assert "cannot be verified" in caplog.text


def test_damaged_data_is_fetched_once_more_from_the_start(world, disk_bytes):
    path = world.fetch(disk_bytes, "raw", faults=ImageFaults(damaged_reads=1))

    assert world.images.requests == [(IMAGE, 0), (IMAGE, 0)]
    assert path.read_bytes() == disk_bytes
    assert world.litter() == [path.name]


@pytest.mark.parametrize("rules", [BY_STREAM, BY_QEMU_IMG])
def test_watcher_gets_the_phases_in_order_and_the_final_count(world, make_image, rules):
    data = make_image("qcow2")

    world.fetch(data, "qcow2", rules=rules)

    phases = [phase for phase, _, _ in world.reports]
    order = [Phase.DOWNLOADING, Phase.CONVERTING, Phase.PUBLISHING]
    assert phases[0] == Phase.DOWNLOADING
    assert phases == sorted(phases, key=order.index)
    assert world.reports[-1] == (Phase.PUBLISHING, len(data), len(data))
    assert {total for _, _, total in world.reports} == {len(data)}


def test_a_host_without_native_aio_converts_all_the_same(world, make_image, disk_bytes, tmp_path, monkeypatch):
    data, real = make_image("qcow2"), shutil.which("qemu-img")
    refusing = tmp_path / "bin" / "qemu-img"
    refusing.parent.mkdir()
    refusing.write_text(
        "#!/bin/sh\n"
        'case "$*" in *aio=native*) echo "qemu-img: Unable to use native AIO: out of contexts" >&2; exit 1;; esac\n'
        f'exec {real} "$@"\n'
    )
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", str(refusing.parent), prepend=os.pathsep)

    assert world.fetch(data, "qcow2", rules=BY_QEMU_IMG).read_bytes() == disk_bytes
