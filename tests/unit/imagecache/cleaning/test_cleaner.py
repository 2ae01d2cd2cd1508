"""The cleaner removes what is old and unused, and nothing in doubt."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precache.adapters.clock_memory import MemoryClock
from precache.core.errors import DomainsUnknown
from precache.imagecache.cache import ImageCache
from precache.imagecache.cleaning.cleaner import Cleaner
from precache.imagecache.cleaning.cleaner_memory import MEMORY_NAME
from precache.imagecache.cleaning.entry_removal import EntryRemoval
from precache.imagecache.disks.in_use import InstanceDisks
from precache.imagecache.disks.overlay_list import add_overlay
from precache.ports.domain_disks import DiskFile
from precache.rules.eviction import Cleaning
from precache.rules.expiry import ExpiryLimits, shape_of
from tests.unit.imagecache.another_process import another_process
from tests.unit.imagecache.conftest import ENTRY
from tests.unit.imagecache.disks.test_backing import header

OTHER = "0d5e6b61602d758984b3bf038267614d6016eb2a"
LIMITS = ExpiryLimits(original=timedelta(days=1), resized=timedelta(hours=1))

HOLDER = f"""
with cache.locks.hold("{ENTRY}", lambda: None):
    say("held")
    hear()
"""


class Domains:
    """The port `DomainDisks`, as the test says; None stands for a host without a hypervisor."""

    def __init__(self, *files: DiskFile) -> None:
        self.found: list[DiskFile] | DomainsUnknown | None = list(files)

    def files(self) -> list[DiskFile] | None:
        if isinstance(self.found, DomainsUnknown):
            raise self.found
        return self.found


def cleaner_of(
    cache: ImageCache,
    clock: MemoryClock,
    *,
    removes_unused: bool = True,
    cleaning: Cleaning | None = None,
    domains: Domains | None = None,
    disks: InstanceDisks | None = None,
    may_clean: Callable[[], str] = lambda: "",
    is_shared: Callable[[], bool] = lambda: False,
) -> Cleaner:
    """Return a cleaner that has made its first pass, which removes nothing."""
    cleaner = Cleaner(
        cache=cache,
        removal=EntryRemoval(cache=cache, disks=disks or disks_of(cache, domains), clock=clock),
        clock=clock,
        cleaning=cleaning or Cleaning(LIMITS, removes_unused=removes_unused),
        may_clean=may_clean,
        is_shared=is_shared,
    )
    assert cleaner.clean() == []
    return cleaner


def disks_of(cache: ImageCache, domains: Domains | None = None) -> InstanceDisks:
    return InstanceDisks(
        instances_path=cache.directory.parent, cache_directory=cache.directory, domains=domains or Domains()
    )


def put(cache: ImageCache, name: str, clock: MemoryClock, age: timedelta = timedelta()) -> Path:
    path = cache.directory / name
    path.write_bytes(bytes(512))
    last_used = (clock.now() - age).timestamp()
    os.utime(path, (last_used, last_used))
    return path


def put_overlay(path: Path, base: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    name = os.fsencode(base)
    path.write_bytes(header(512, len(name), name))


def names(cache: ImageCache) -> set[str]:
    """Return the names of all files in the cache except the cleaner's own."""
    return {path.name for path in cache.directory.iterdir() if not path.name.startswith(MEMORY_NAME)}


def test_an_old_unused_image_goes_and_a_young_one_stays(cache: ImageCache, clock: MemoryClock) -> None:
    put(cache, ENTRY, clock, age=timedelta(days=1))
    put(cache, OTHER, clock, age=timedelta(hours=23))

    removed = cleaner_of(cache, clock).clean()

    assert removed == [ENTRY]
    assert names(cache) == {OTHER}


def test_resized_copies_go_after_their_own_shorter_limit(cache: ImageCache, clock: MemoryClock) -> None:
    put(cache, f"{ENTRY}_20", clock, age=timedelta(hours=1))
    put(cache, "swap_512", clock, age=timedelta(hours=1))

    assert cleaner_of(cache, clock).clean() == [f"{ENTRY}_20"]


def test_the_image_of_an_instance_stays_and_its_age_begins_again(cache: ImageCache, clock: MemoryClock) -> None:
    base = put(cache, ENTRY, clock, age=timedelta(days=9))
    put_overlay(cache.directory.parent / "instance-1" / "disk", base)

    assert cleaner_of(cache, clock).clean() == []
    assert base.stat().st_mtime == clock.now().timestamp()


def test_an_image_expires_a_limit_after_its_last_instance_has_gone(cache: ImageCache, clock: MemoryClock) -> None:
    disk = cache.directory.parent / "instance-1" / "disk"
    put_overlay(disk, put(cache, ENTRY, clock, age=timedelta(days=9)))
    cleaner = cleaner_of(cache, clock)
    cleaner.clean()
    disk.unlink()
    clock.advance(timedelta(hours=23))
    too_early = cleaner.clean()
    clock.advance(timedelta(hours=1))

    assert too_early == []
    assert cleaner.clean() == [ENTRY]


def test_an_image_seen_under_another_path_counts_as_used(cache: ImageCache, clock: MemoryClock) -> None:
    put(cache, ENTRY, clock, age=timedelta(days=9))
    put_overlay(cache.directory.parent / "instance-1" / "disk.eph0", Path("/in/a/container/_base") / ENTRY)

    assert cleaner_of(cache, clock).clean() == []


def test_a_disk_outside_of_the_instances_keeps_its_image_until_it_is_deleted(
    cache: ImageCache, clock: MemoryClock, tmp_path_factory: pytest.TempPathFactory
) -> None:
    disk = tmp_path_factory.mktemp("elsewhere") / "vm.qcow2"
    add_overlay(cache.directory, ENTRY, disk, clock.now())
    put_overlay(disk, put(cache, ENTRY, clock, age=timedelta(days=9)))
    cleaner = cleaner_of(cache, clock)

    while_there = cleaner.clean()
    disk.unlink()
    clock.advance(timedelta(days=1))
    afterwards = cleaner.clean()

    assert while_there == []
    assert afterwards == [ENTRY]
    assert names(cache) == set()


def test_a_known_disk_that_cannot_be_understood_stops_the_pass_and_is_named(
    cache: ImageCache, clock: MemoryClock, caplog: pytest.LogCaptureFixture
) -> None:
    put(cache, ENTRY, clock, age=timedelta(days=9))
    disk = cache.directory.parent / "instance-1" / "disk"
    disk.parent.mkdir()
    disk.write_bytes(header(512, 30, b"cut"))

    assert cleaner_of(cache, clock, domains=Domains(DiskFile(disk, "qcow2"))).clean() == []
    assert str(disk) in caplog.text


@pytest.mark.parametrize(
    "content",
    [
        b"QFI\xfb\0\0\0\2" + b"\xff" * 60,
        b"KDMV" + b"\xff" * 60,
        b'# Disk DescriptorFile\nRW 8 FLAT "pipe" 0\n',
        b"QED\0" + b"\xff" * 60,
        header(512, 5, b"/dev/"),
    ],
)
def test_what_a_guest_wrote_into_its_raw_disk_neither_stops_nor_delays_a_pass(
    cache: ImageCache, clock: MemoryClock, content: bytes
) -> None:
    put(cache, ENTRY, clock, age=timedelta(days=9))
    disk = cache.directory.parent / "instance-1" / "disk"
    disk.parent.mkdir()
    os.mkfifo(disk.with_name("pipe"))
    disk.write_bytes(content.ljust(4096, b"\0"))

    assert cleaner_of(cache, clock).clean() == [ENTRY]


def test_the_first_pass_after_a_start_removes_nothing(cache: ImageCache, clock: MemoryClock) -> None:
    put(cache, ENTRY, clock, age=timedelta(days=9))
    cleaner = Cleaner(
        cache=cache,
        removal=EntryRemoval(cache=cache, disks=disks_of(cache), clock=clock),
        clock=clock,
        cleaning=Cleaning(LIMITS),
    )

    assert [cleaner.clean(), cleaner.clean()] == [[], [ENTRY]]


def test_while_the_file_system_of_a_listed_disk_is_not_mounted_nothing_is_removed(
    cache: ImageCache, clock: MemoryClock, tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    guests = tmp_path_factory.mktemp("guests")
    disk = guests / "vm.qcow2"
    add_overlay(cache.directory, ENTRY, disk, clock.now())
    put_overlay(disk, put(cache, ENTRY, clock, age=timedelta(days=9)))
    put(cache, OTHER, clock, age=timedelta(days=9))  # a disk that nobody listed may be there, too
    cleaner = cleaner_of(cache, clock)
    clock.advance(timedelta(days=9))

    guests.rename(guests.with_name("away"))
    guests.mkdir()
    while_away = [cleaner.clean(), cleaner.clean()]
    guests.rmdir()
    guests.with_name("away").rename(guests)

    assert while_away == [[], []]
    assert caplog.text.count("may not be mounted") == 1  # one line, not one for each pass
    assert f"remove its line from {cache.directory / ENTRY}.overlays" in caplog.text
    assert cleaner.clean() == [OTHER]


@pytest.mark.parametrize("name", ["root.qcow2", "snapshots/before.img", "a/b/c/disk", ".hidden"])
def test_a_disk_of_any_name_at_any_depth_of_an_instance_keeps_its_image(
    cache: ImageCache, clock: MemoryClock, name: str
) -> None:
    disk = cache.directory.parent / "instance-1" / name
    disk.parent.mkdir(parents=True)
    put_overlay(disk, put(cache, ENTRY, clock, age=timedelta(days=9)))

    assert cleaner_of(cache, clock).clean() == []


def test_a_disk_inside_of_the_cache_directory_keeps_its_image(cache: ImageCache, clock: MemoryClock) -> None:
    put_overlay(cache.directory / "vm.qcow2", put(cache, ENTRY, clock, age=timedelta(days=9)))

    assert cleaner_of(cache, clock).clean() == []


@pytest.mark.parametrize("change", ["renamed", "moved", "copied", "a snapshot deeper"])
def test_a_listed_disk_that_was_changed_keeps_its_image_if_the_hypervisor_has_it(
    cache: ImageCache, clock: MemoryClock, tmp_path_factory: pytest.TempPathFactory, change: str
) -> None:
    disk = tmp_path_factory.mktemp("guests") / "vm.qcow2"
    add_overlay(cache.directory, ENTRY, disk, clock.now())
    put_overlay(disk, put(cache, ENTRY, clock, age=timedelta(days=9)))
    new = {"renamed": disk.with_name("web.qcow2")}.get(change, tmp_path_factory.mktemp("other") / "vm.qcow2")
    disk.rename(new)
    if change == "a snapshot deeper":
        put_overlay(new.with_suffix(".snap"), new)
        new = new.with_suffix(".snap")

    assert cleaner_of(cache, clock, domains=Domains(DiskFile(new, "qcow2"))).clean() == []


def test_a_medium_of_a_domain_that_is_an_entry_itself_stays(cache: ImageCache, clock: MemoryClock) -> None:
    path = put(cache, ENTRY, clock, age=timedelta(days=9))

    assert cleaner_of(cache, clock, domains=Domains(DiskFile(path, "raw"))).clean() == []


def test_a_hypervisor_that_does_not_answer_stops_every_pass_and_is_reported_once(
    cache: ImageCache, clock: MemoryClock, caplog: pytest.LogCaptureFixture
) -> None:
    put(cache, ENTRY, clock, age=timedelta(days=9))
    domains = Domains()
    domains.found = DomainsUnknown("libvirt does not answer", "start libvirtd")
    cleaner = cleaner_of(cache, clock, domains=domains)

    while_silent = [cleaner.clean(), cleaner.clean()]
    domains.found = []

    assert while_silent == [[], []]
    assert caplog.text.count("start libvirtd") == 1
    assert cleaner.clean() == [ENTRY]


def test_without_a_hypervisor_an_image_stays_whose_disk_may_have_been_moved(
    cache: ImageCache, clock: MemoryClock, tmp_path_factory: pytest.TempPathFactory
) -> None:
    disk = tmp_path_factory.mktemp("guests") / "vm.qcow2"
    add_overlay(cache.directory, ENTRY, disk, clock.now())
    put(cache, ENTRY, clock, age=timedelta(days=9))
    put(cache, OTHER, clock, age=timedelta(days=9))
    domains = Domains()
    domains.found = None

    assert cleaner_of(cache, clock, domains=domains).clean() == [OTHER]


def test_a_disk_made_between_look_and_removal_keeps_its_image_though_its_age_was_not_reset(
    cache: ImageCache, clock: MemoryClock, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = put(cache, ENTRY, clock, age=timedelta(days=9))
    disk = tmp_path_factory.mktemp("guests") / "vm.qcow2"

    class MadeMeanwhile(InstanceDisks):
        def disks_by_file(self) -> dict[str, tuple[Path, ...]]:
            found = super().disks_by_file()
            if looks and not disk.exists():
                add_overlay(cache.directory, ENTRY, disk, clock.now())
                put_overlay(disk, path)
            looks.append(found)
            return found

    looks: list[dict[str, tuple[Path, ...]]] = []
    disks = MadeMeanwhile(instances_path=cache.directory.parent, cache_directory=cache.directory, domains=Domains())

    assert cleaner_of(cache, clock, disks=disks).clean() == []
    assert len(looks) == 3


def test_a_damaged_list_of_disks_stops_the_pass_and_is_named(
    cache: ImageCache, clock: MemoryClock, caplog: pytest.LogCaptureFixture
) -> None:
    put(cache, ENTRY, clock, age=timedelta(days=9))
    (cache.directory / f"{ENTRY}.overlays").write_text("no json")

    assert cleaner_of(cache, clock).clean() == []
    assert f"{ENTRY}.overlays" in caplog.text


def test_an_image_whose_lock_is_taken_stays(cache: ImageCache, clock: MemoryClock, tmp_path: Path) -> None:
    put(cache, ENTRY, clock, age=timedelta(days=9))

    with another_process(tmp_path, HOLDER) as holder:
        assert holder.hear() == "held"

        assert cleaner_of(cache, clock).clean() == []


def test_an_image_that_is_used_between_look_and_removal_stays(cache: ImageCache, clock: MemoryClock) -> None:
    path = put(cache, ENTRY, clock, age=timedelta(days=9))

    class UsedMeanwhile(InstanceDisks):
        def disks_by_file(self) -> dict[str, tuple[Path, ...]]:
            found = super().disks_by_file()
            os.utime(path, (clock.now().timestamp(), clock.now().timestamp()))
            return found

    disks = UsedMeanwhile(instances_path=cache.directory.parent, cache_directory=cache.directory, domains=Domains())
    cleaner = cleaner_of(cache, clock, disks=disks)
    clock.advance(timedelta(days=9))

    assert cleaner.clean() == []


def test_an_image_that_a_qemu_has_open_stays(cache: ImageCache, clock: MemoryClock) -> None:
    path = put(cache, ENTRY, clock, age=timedelta(days=9))
    command = ["qemu-io", "-r", "-f", "raw", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as qemu:
        assert qemu.stdin is not None
        assert qemu.stdout is not None
        qemu.stdin.write("length\n")
        qemu.stdin.flush()
        while "512" not in qemu.stdout.readline():
            assert qemu.poll() is None

        while_open = cleaner_of(cache, clock).clean()
        qemu.stdin.write("quit\n")
        qemu.stdin.flush()
        qemu.wait()
    clock.advance(timedelta(days=1))

    assert while_open == []
    assert cleaner_of(cache, clock).clean() == [ENTRY]


def test_nothing_is_removed_where_removal_is_switched_off(cache: ImageCache, clock: MemoryClock) -> None:
    put(cache, ENTRY, clock, age=timedelta(days=9))

    assert cleaner_of(cache, clock, removes_unused=False).clean() == []
    assert names(cache) == {ENTRY}


def test_the_lock_file_of_a_removed_image_goes_with_it(cache: ImageCache, clock: MemoryClock) -> None:
    put(cache, ENTRY, clock, age=timedelta(days=9))
    put(cache, "swap_512", clock, age=timedelta(days=9))

    cleaner_of(cache, clock).clean()

    assert [path.name for path in cache.locks.directory.iterdir()] == ["nova-swap_512"]


def test_a_missing_cache_directory_is_no_error(tmp_path: Path, clock: MemoryClock) -> None:
    cache = ImageCache(directory=tmp_path / "_base", locks_directory=tmp_path / "locks", clock=clock)

    assert cleaner_of(cache, clock).clean() == []


def test_a_directory_with_the_name_of_an_image_stays(cache: ImageCache, clock: MemoryClock) -> None:
    (cache.directory / ENTRY).mkdir()
    clock.advance(timedelta(days=9000))

    assert cleaner_of(cache, clock).clean() == []


NAMES = st.sampled_from(
    [
        ENTRY,
        OTHER,
        f"{ENTRY}_20",
        f"{OTHER}_sm",
        "swap_512",
        "ephemeral_10_abc1234",
        f"{ENTRY}.part",
        f"{OTHER}.overlay",
    ]
)


@settings(max_examples=40, deadline=None)
@given(
    ages=st.dictionaries(NAMES, st.integers(min_value=-2, max_value=60).map(lambda hours: timedelta(hours=hours))),
    used=st.sets(NAMES),
)
def test_a_pass_removes_exactly_what_is_novas_unused_and_old_enough(ages: dict[str, timedelta], used: set[str]) -> None:
    with TemporaryDirectory() as root:
        clock = MemoryClock()
        cache = ImageCache(directory=Path(root, "_base"), locks_directory=Path(root, "locks"), clock=clock)
        cache.start()
        for name, age in ages.items():
            put(cache, name, clock, age)
        for number, name in enumerate(sorted(used)):
            put_overlay(Path(root, f"instance-{number}", "disk"), cache.directory / name)

        removed = cleaner_of(cache, clock).clean()

        assert set(ages) - set(removed) == names(cache)
        for name, age in ages.items():
            limit = LIMITS.resized if name in (f"{ENTRY}_20", f"{OTHER}_sm") else LIMITS.original
            expected = shape_of(name) is not None and name not in used and age >= limit
            assert (name in removed) is expected, name
