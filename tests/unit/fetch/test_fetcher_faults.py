"""All failures, seen from outside: the right error with advice, and no file left."""

import errno
import os
import struct
import subprocess
import threading
from dataclasses import replace

import pytest

from precache.adapters.images_memory import ImageFaults, MemoryImages
from precache.core.cache_contents import ImageSize
from precache.core.errors import (
    CacheUnusable,
    ConversionFailed,
    DigestMismatch,
    ImageCompressed,
    ImageNotActive,
    ImageServiceUnavailable,
    ImageTooLong,
    NoImageData,
    NotEnoughSpace,
    Refused,
    Stopped,
    TransferInterrupted,
    UnsafeImage,
    UnusableImage,
)
from precache.core.jobs import Phase
from precache.fetch.fetch_rules import FetchRules
from precache.fetch.fetcher import Fetcher
from precache.imagecache.entry_lock import EntryLocks
from precache.imagecache.keep_limits import KeepLimits
from precache.imagecache.kept_downloads import KeptDownloads
from tests.unit.fetch.world import BY_QEMU_IMG, BY_STREAM, IMAGE, disk_with, record_of, sha512

MIB = 1 << 20
GIB = 1 << 30

both_ways = pytest.mark.parametrize("rules", [BY_STREAM, BY_QEMU_IMG], ids=["stream", "qemu-img"])

UNALIGNED_TABLE = struct.pack(">Q", 1 << 63 | 0x10200)
"""Says that the disk's first table begins in the middle of a cluster, which qemu calls corrupt."""


def qcow2_with(data, offset, value):
    return data[:offset] + value + data[offset + len(value) :]


# The data is not what was promised.


def test_digest_that_is_wrong_twice_is_final(world):
    with pytest.raises(DigestMismatch, match="expected sha512:"):
        world.fetch(b"data", record=record_of(b"data", digest=sha512(b"other")))

    assert world.images.requests == [(IMAGE, 0), (IMAGE, 0)]
    assert world.litter() == []


@both_ways
def test_damage_that_breaks_the_conversion_is_reported_as_damage(world, make_image, rules):
    data = make_image("qcow2")
    (l1_offset,) = struct.unpack(">Q", data[40:48])
    damaged = qcow2_with(data, l1_offset, UNALIGNED_TABLE)

    with pytest.raises(DigestMismatch):
        world.fetch(damaged, record=record_of(damaged, "qcow2", digest=sha512(data)), rules=rules)

    assert world.litter() == []


def test_more_data_than_announced_is_refused(world):
    with pytest.raises(ImageTooLong):
        world.fetch(b"data", faults=ImageFaults(surplus=b"more", announces_length=False))

    assert world.litter() == []


@pytest.mark.parametrize("size_bytes", [0, None])
def test_image_without_data_is_reported(world, size_bytes):
    with pytest.raises(NoImageData, match="has no associated data"):
        world.fetch(b"", record=record_of(b"", size_bytes=size_bytes))

    assert world.litter() == []


def test_image_whose_end_cannot_be_verified_is_refused(world):
    data = b"\x90" * (3 * MIB)
    record = record_of(data, size_bytes=None, digest=None)

    with pytest.raises(UnusableImage, match="neither its size nor its hash"):
        world.fetch(data, record=record, faults=ImageFaults(ends_at=MIB, announces_length=False))

    assert world.litter() == []


@pytest.mark.parametrize("faults", [ImageFaults(), ImageFaults(announces_length=False, marks_end=True)])
def test_image_without_size_and_hash_is_taken_if_its_transfer_says_where_it_ends(world, faults):
    record = record_of(b"data", size_bytes=None, digest=None)

    assert world.fetch(b"data", record=record, faults=faults).read_bytes() == b"data"


# The transfer does not work.


def test_data_that_always_ends_early_is_an_interrupted_transfer(world, make_image):
    with pytest.raises(TransferInterrupted, match="300000 of"):
        world.fetch(make_image("qcow2"), "qcow2", faults=ImageFaults(ends_at=300_000))

    assert len(world.images.requests) == 1 + FetchRules().retries
    assert world.litter() == []


def test_service_that_is_down_is_reported(world):
    with pytest.raises(ImageServiceUnavailable):
        world.fetch(b"data", faults=ImageFaults(failing_opens=99))

    assert world.litter() == []


def test_compressed_image_is_refused_unread(world, make_image):
    data = make_image("qcow2")

    with pytest.raises(ImageCompressed):
        world.fetch(data, record=record_of(data, "qcow2", container_format="compressed"))

    assert world.images.requests == []


def test_image_that_is_not_active_is_not_asked_for(world):
    with pytest.raises(ImageNotActive, match="its status is deactivated"):
        world.fetch(b"data", record=record_of(b"data", status="deactivated"))

    assert world.images.requests == []


# The content is not acceptable.


@pytest.mark.parametrize("disk_format", ["ploop", "luks", "", None])
def test_format_that_cannot_be_inspected_is_refused_unread(world, disk_format):
    with pytest.raises(UnsafeImage, match="Image not in a supported format"):
        world.fetch(b"data", disk_format)

    assert world.images.requests == []


@pytest.mark.parametrize(
    ("recipe", "disk_format"),
    [
        (("qcow2",), "raw"),
        (("qcow2",), "vmdk"),
        (("vmdk",), "raw"),
        (("vdi",), "iso"),
        (("vhdx",), "vhd"),
        (None, "qcow2"),
    ],
)
@pytest.mark.parametrize("force_raw_images", [True, False])
def test_content_of_another_format_is_refused(world, make_image, disk_bytes, recipe, disk_format, force_raw_images):
    data = make_image(*recipe) if recipe else disk_bytes

    with pytest.raises(UnsafeImage, match="Image content does not match disk_format"):
        world.fetch(data, disk_format, rules=FetchRules(force_raw_images=force_raw_images))

    assert world.litter() == []


def test_bare_content_that_a_tool_would_open_as_a_disk_is_refused(world, make_image):
    with pytest.raises(UnsafeImage, match="Image content does not match disk_format"):
        world.fetch(make_image("qcow2"), "ami")

    assert world.litter() == []


def test_beginning_of_a_format_is_not_that_format(world, make_image):
    with pytest.raises(UnsafeImage, match="Image content does not match disk_format"):
        world.fetch(make_image("qcow2")[:100], "qcow2")

    assert world.litter() == []


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        (("-b", "/etc/passwd", "-F", "raw"), "backing_file: Image has a backing file"),
        (("-o", "data_file=data.raw"), "data_file: Image has data_file set"),
    ],
)
@pytest.mark.parametrize("force_raw_images", [True, False])
def test_qcow2_that_refers_to_another_file_is_refused(world, tmp_path, options, rule, force_raw_images):
    subprocess.run(
        ["qemu-img", "create", "-u", "-f", "qcow2", *options, "evil.qcow2", "1M"], cwd=tmp_path, check=True, stdout=-3
    )

    with pytest.raises(UnsafeImage, match=rf"Image does not pass safety check \({rule}"):
        world.fetch(
            (tmp_path / "evil.qcow2").read_bytes(), "qcow2", rules=FetchRules(force_raw_images=force_raw_images)
        )

    assert world.litter() == []


@pytest.mark.parametrize("subformat", ["monolithicFlat", "twoGbMaxExtentSparse"])
def test_vmdk_that_refers_to_other_files_is_refused(world, tmp_path, subformat):
    command = ["qemu-img", "create", "-f", "vmdk", "-o", f"subformat={subformat}", "evil.vmdk", "1M"]
    subprocess.run(command, cwd=tmp_path, check=True, stdout=-3)

    with pytest.raises(UnsafeImage):
        world.fetch((tmp_path / "evil.vmdk").read_bytes(), "vmdk")

    assert world.litter() == []


@pytest.mark.parametrize(
    ("kind", "allowed"), [("monolithicSparse", "streamOptimized"), ("streamOptimized", "monolithicSparse")]
)
def test_vmdk_kind_that_the_host_does_not_allow_is_refused(world, make_image, kind, allowed):
    data = make_image("vmdk", "-o", f"subformat={kind}")

    with pytest.raises(UnsafeImage, match=f"Invalid VMDK create-type specified: {kind}"):
        world.fetch(data, "vmdk", rules=FetchRules(vmdk_types=(allowed,)))

    assert world.litter() == []


def test_disk_image_inside_a_disk_image_is_refused(world, make_image, tmp_path):
    (tmp_path / "inner.qcow2").write_bytes(make_image("qcow2"))
    command = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "inner.qcow2", "outer.qcow2"]
    subprocess.run(command, cwd=tmp_path, check=True)

    with pytest.raises(UnsafeImage, match="Converted to raw, but format is now qcow2"):
        world.fetch((tmp_path / "outer.qcow2").read_bytes(), "qcow2")

    assert world.litter() == []


def test_refusal_comes_before_the_rest_is_downloaded(world, make_image):
    data = make_image("qcow2") + os.urandom(MIB)

    with pytest.raises(UnsafeImage):
        world.fetch(data, "raw", faults=ImageFaults(stalls_at=MIB))

    assert world.litter() == []


# qemu-img fails.


def test_image_that_is_broken_from_the_start_fails_with_the_words_of_qemu_img(world, make_image):
    data = make_image("qcow2")
    (l1_offset,) = struct.unpack(">Q", data[40:48])
    broken = qcow2_with(data, l1_offset, UNALIGNED_TABLE)

    with pytest.raises(ConversionFailed, match="could not be converted: qemu-img: "):
        world.fetch(broken, "qcow2")

    assert world.litter() == []


# The disk is too small, full or bad.


def test_space_is_checked_before_the_first_byte(world):
    with pytest.raises(NotEnoughSpace, match="free some space"):
        world.fetch(b"data", disk=disk_with(3))

    assert world.images.requests == []


@both_ways
def test_space_for_the_disk_is_checked_before_the_first_byte_if_the_service_has_its_size(world, make_image, rules):
    data = make_image("qcow2")
    record = record_of(data, "qcow2", virtual_size_bytes=5 * GIB)
    needed_bytes = 5 * GIB + (0 if rules.decode_while_streaming else len(data))

    with pytest.raises(NotEnoughSpace) as refusal:
        world.fetch(data, record=record, rules=rules, disk=disk_with(needed_bytes - 1))

    assert refusal.value.needed_bytes == needed_bytes
    assert world.images.requests == []


@pytest.mark.parametrize(
    "rules",
    [
        FetchRules(),
        FetchRules(reserves_whole_disk=False),
        FetchRules(force_raw_images=False),
        BY_QEMU_IMG,
        replace(BY_QEMU_IMG, reserves_whole_disk=False),
    ],
)
def test_fetch_is_refused_exactly_if_less_is_free_than_its_space_is_said_to_be(world, make_image, disk_bytes, rules):
    refuse_exactly_what_does_not_fit(world, make_image("qcow2"), "qcow2", disk_bytes, rules)


@pytest.mark.parametrize("subformat", ["monolithicSparse", "streamOptimized"])
def test_vmdk_needs_space_for_a_download_because_its_format_does_not_tell_what_decodes_it(
    world, make_image, disk_bytes, subformat
):
    data = make_image("vmdk", "-o", f"subformat={subformat}")

    needed = refuse_exactly_what_does_not_fit(world, data, "vmdk", disk_bytes, FetchRules())

    assert needed == len(data) + len(disk_bytes)


def refuse_exactly_what_does_not_fit(world, data, disk_format, disk_bytes, rules):
    record = record_of(data, disk_format, virtual_size_bytes=len(disk_bytes))
    fetcher = Fetcher(images=MemoryImages(images={}), clock=world.clock, rules=rules)
    locks = EntryLocks(directory=world.cache / "locks", clock=world.clock)
    kept = KeptDownloads(directory=world.cache, locks=locks, clock=world.clock, limits=KeepLimits())
    needed = fetcher.space_needed([ImageSize.of(record)], kept)

    with pytest.raises(NotEnoughSpace):
        world.fetch(data, record=record, rules=rules, disk=disk_with(needed - 1))

    world.fetch(data, record=record, rules=rules, disk=disk_with(needed))
    return needed


@both_ways
def test_space_for_the_disk_is_checked_when_the_header_has_its_size(world, make_image, disk_bytes, rules):
    data = make_image("qcow2")

    with pytest.raises(NotEnoughSpace) as refusal:
        world.fetch(data, "qcow2", rules=rules, disk=disk_with(len(disk_bytes) - 1))

    assert refusal.value.needed_bytes >= len(disk_bytes)
    assert world.litter() == []


@both_ways
def test_host_that_trusts_in_holes_needs_space_for_the_download_only(world, make_image, disk_bytes, rules):
    data = make_image("qcow2")

    path = world.fetch(data, "qcow2", rules=replace(rules, reserves_whole_disk=False), disk=disk_with(len(data)))

    assert path.read_bytes() == disk_bytes


def test_host_that_keeps_the_format_needs_no_space_for_the_disk_inside(world, make_image):
    data = make_image("qcow2")
    record = record_of(data, "qcow2", virtual_size_bytes=5 * GIB)

    path = world.fetch(data, record=record, rules=FetchRules(force_raw_images=False), disk=disk_with(len(data)))

    assert path.read_bytes() == data


class FillingDisk:
    """A disk that takes so much and no more; then it has so much left, and 100 MiB before."""

    def __init__(self, written_bytes, *, code=errno.ENOSPC, left_bytes):
        self._written_bytes, self._code, self._left_bytes = written_bytes, code, left_bytes
        self._is_full = False

    def write_at(self, fd, view, offset):
        if offset >= self._written_bytes:
            self._is_full = True
            raise OSError(self._code, os.strerror(self._code))
        return os.pwrite(fd, view, offset)

    def size(self, directory):
        return disk_with(self._left_bytes if self._is_full else 100 * MIB)(directory)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize(("recipe", "rules"), [(None, BY_STREAM), (("qcow2",), BY_STREAM), (("qcow2",), BY_QEMU_IMG)])
def test_disk_that_others_fill_up_during_a_download_is_reported_in_numbers(
    world, make_image, disk_bytes, recipe, rules, code
):
    disk = FillingDisk(MIB, code=code, left_bytes=3)
    data = make_image(*recipe) if recipe else disk_bytes

    with pytest.raises(NotEnoughSpace) as failure:
        world.fetch(data, "qcow2" if recipe else "raw", rules=rules, write_at=disk.write_at, disk=disk.size)

    assert failure.value.needed_bytes >= len(data)
    assert failure.value.free_bytes == 3
    assert world.litter() == []


@pytest.mark.parametrize(
    ("is_size_known", "why"), [(True, "something else took its space"), (False, "gives no size for this image")]
)
def test_disk_that_fills_up_though_it_seemed_large_enough_is_reported_with_what_was_written(world, is_size_known, why):
    disk, data = FillingDisk(MIB, left_bytes=100 * MIB), os.urandom(3 * MIB)
    sizes = {} if is_size_known else {"size_bytes": None}

    with pytest.raises(NotEnoughSpace, match=why) as failure:
        world.fetch(
            data,
            record=record_of(data, **sizes),
            write_at=disk.write_at,
            disk=disk.size,
        )

    assert MIB <= failure.value.written_bytes < len(data)
    assert "100.0 MiB are free without the image; free some space" in str(failure.value)
    assert world.litter() == []


def test_disk_that_fails_is_reported_with_its_place(world):
    def write_at(fd, view, offset):
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(CacheUnusable, match=r"cache.*input/output error; check it"):
        world.fetch(b"data", write_at=write_at)

    assert world.litter() == []


def test_cache_directory_that_is_gone_is_reported(world):
    world.cache.rmdir()

    with pytest.raises(CacheUnusable, match="does not exist; create or mount it"):
        world.fetch(b"data")


# The fetch is stopped.


def stop_when(condition):
    def watch(phase, bytes_done, bytes_total):
        if condition(phase, bytes_done):
            raise Stopped("caching")

    return watch


@pytest.mark.parametrize(
    ("disk_format", "recipe", "rules"),
    [("raw", None, BY_STREAM), ("qcow2", ("qcow2",), BY_STREAM), ("qcow2", ("qcow2",), BY_QEMU_IMG)],
)
@pytest.mark.parametrize("stalls_at", [0, MIB])
def test_stop_takes_effect_while_the_service_stalls(
    world, make_image, disk_bytes, disk_format, recipe, rules, stalls_at
):
    data = make_image(*recipe) if recipe else disk_bytes
    asked = []

    def watch(phase, bytes_done, bytes_total):
        asked.append(phase)
        if len(asked) > 2:
            raise Stopped("caching")

    with pytest.raises(Stopped):
        world.fetch(data, disk_format, rules=rules, faults=ImageFaults(stalls_at=stalls_at), watch=watch)

    assert world.litter() == []


def test_bytes_that_were_received_are_reported_before_their_block_is_full(world, disk_bytes):
    reported = []

    def watch(phase, bytes_done, bytes_total):
        reported.append(bytes_done)
        if bytes_done == 1000 or len(reported) > 100:
            raise Stopped("caching")

    with pytest.raises(Stopped):
        world.fetch(disk_bytes, faults=ImageFaults(stalls_at=1000), watch=watch)

    assert reported[-1] == 1000


class SilentService:
    """An image service one call of which gives no answer until the test lets it go."""

    def __init__(self, inner, silent_call):
        self._inner, self._silent_call = inner, silent_call
        self.go, self.was_asked = threading.Event(), threading.Event()

    def show(self, image):
        return self._answer("show", lambda: self._inner.show(image))

    def open(self, image, offset_bytes=0, **options):
        return self._answer("open", lambda: self._inner.open(image, offset_bytes, **options))

    def _answer(self, call, answer):
        if call == self._silent_call:
            self.was_asked.set()
            assert self.go.wait(60)
        return answer()


@pytest.mark.parametrize("silent_call", ["show", "open"])
def test_stop_does_not_wait_for_an_answer_of_the_service(world, silent_call):
    services = []

    def silent(images):
        services.append(SilentService(images, silent_call))
        return services[0]

    try:
        with pytest.raises(Stopped):
            world.fetch(b"data", wrap=silent, watch=stop_when(lambda phase, done: services[0].was_asked.is_set()))

        assert list(world.cache.iterdir()) == []
    finally:
        services[0].go.set()


@both_ways
def test_stop_at_the_first_report_leaves_nothing(world, make_image, rules):
    with pytest.raises(Stopped):
        world.fetch(make_image("qcow2"), "qcow2", rules=rules, watch=stop_when(lambda phase, done: True))

    assert world.litter() == []


@both_ways
def test_stop_before_publishing_leaves_nothing(world, make_image, rules):
    with pytest.raises(Stopped):
        world.fetch(
            make_image("qcow2"), "qcow2", rules=rules, watch=stop_when(lambda phase, done: phase is Phase.PUBLISHING)
        )

    assert world.litter() == []


def _descriptor_that_names(path, subformat):
    """Return a VMDK's descriptor that names `path`; with a byte that is not ASCII it is one to qemu alone."""
    lines = b'# \xff\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="%b"\nRW 2048 FLAT "%b" 0\n'
    return (lines % (subformat, os.fsencode(path))).ljust(MIB, b"#")


@pytest.mark.parametrize("subformat", [b"monolithicFlat", b"streamOptimized"])
@pytest.mark.parametrize("disk_format", ["raw", "ami"])
def test_text_that_only_qemu_takes_for_a_disk_is_refused_and_what_it_names_left_alone(
    world, tmp_path, subformat, disk_format
):
    os.mkfifo(tmp_path / "fifo")  # a process that opens it waits for ever

    with pytest.raises(UnsafeImage, match="Image content does not match disk_format"):
        world.fetch(_descriptor_that_names(tmp_path / "fifo", subformat), disk_format)

    assert world.litter() == []


def test_such_a_text_inside_a_disk_image_is_refused_and_what_it_names_left_alone(world, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "inner").write_bytes(_descriptor_that_names(tmp_path / "fifo", b"monolithicFlat"))
    command = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "inner", "outer.qcow2"]
    subprocess.run(command, cwd=tmp_path, check=True)

    with pytest.raises(UnsafeImage, match="Converted to raw, but format is now vmdk"):
        world.fetch((tmp_path / "outer.qcow2").read_bytes(), "qcow2")

    assert world.litter() == []


def _pc_kernel():
    """Return what a kernel of a PC begins with: half a boot record, without partitions."""
    return (b"MZ".ljust(510, b"\0") + b"\x55\xaa" + b"HdrS").ljust(MIB, b"\x90")


def test_refusal_names_the_workaround_if_it_helps(world):
    with pytest.raises(
        UnsafeImage, match=r"safety check \(mbr: .*\[workarounds\] disable_deep_image_inspection = true"
    ):
        world.fetch(_pc_kernel(), "aki")

    assert world.litter() == []


def test_workaround_lets_in_what_only_the_inspection_refuses(world):
    assert world.fetch(_pc_kernel(), "aki", rules=FetchRules(deep_inspection=False)).read_bytes() == _pc_kernel()


def test_workaround_does_not_let_in_what_refers_to_another_file(world, tmp_path):
    command = ["qemu-img", "create", "-f", "qcow2", "-F", "raw", "-b", "/etc/passwd", "evil.qcow2", "1M"]
    subprocess.run(command, cwd=tmp_path, check=True, stdout=-3)
    data = (tmp_path / "evil.qcow2").read_bytes()

    with pytest.raises(Refused, match=r"/etc/passwd|backing") as caught:
        world.fetch(data, "qcow2", rules=FetchRules(deep_inspection=False))

    assert "disable_deep_image_inspection" not in str(caught.value)
    assert world.litter() == []


@pytest.mark.parametrize("disk_format", ["raw", "vmdk"])
def test_workaround_does_not_let_in_what_is_another_format_to_qemu(world, make_image, disk_format):
    with pytest.raises(UnsafeImage, match="Image content does not match disk_format"):
        world.fetch(make_image("qcow2"), disk_format, rules=FetchRules(deep_inspection=False))


def test_workaround_does_not_change_the_result(world, make_image, disk_bytes):
    path = world.fetch(make_image("qcow2"), "qcow2", rules=FetchRules(deep_inspection=False))

    assert path.read_bytes() == disk_bytes
