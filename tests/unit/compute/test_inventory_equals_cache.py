"""After a quiet period the inventory equals the cache, whatever has happened to the cache, the reports and the compute.

The reports go the whole way: listed, compared, packed, lost or repeated or late on the bus, unpacked, stored.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from precache.adapters.bus_oslo.cache_report_messages import read_report, report_message
from precache.adapters.cache_inventory_memory import MemoryCacheInventory
from precache.adapters.clock_memory import MemoryClock
from precache.compute.cache_reporter import CacheFacts, CacheReporter
from precache.core.cache_entries import EntryState, entry_name
from precache.core.hosts import Host
from precache.core.images import parse_image_id
from precache.core.orders import ImageOrder, OrderOptions
from precache.core.pins import Pin
from precache.imagecache.cache import ImageCache
from precache.imagecache.names import record_name
from precache.imagecache.records.entry_record import EntryRecord
from precache.imagecache.records.listing import EntryLister
from precache.virt.fake import FakeDriver

PERIOD = timedelta(seconds=600)
IMAGES = [parse_image_id(str(UUID(int=number))) for number in range(8)]
IMAGE = st.sampled_from(IMAGES)


class Reported(RuleBasedStateMachine):
    """A host and the store of its reports, with a bus between them that does its worst until a period is quiet."""

    def __init__(self):
        super().__init__()
        self.clock = MemoryClock()
        self.seconds = 0.0
        self.sent, self.late = [], []
        self.store = MemoryCacheInventory(find_host=lambda name: Host(name, "cell1"), clock=self.clock)

    @initialize()
    def begin(self):
        self.restart(days=0)

    @rule(days=st.sampled_from([-365, 0, 365]))
    def restart(self, days):
        """Start the compute again, maybe with another time. What was sent before may arrive still."""
        self.clock.advance(timedelta(days=days))
        self.of_boot = []
        self.reporter = CacheReporter(
            host="cmp-1",
            cell="",
            driver=self,
            facts=CacheFacts(owner="precache"),
            reports=self,
            clock=self.clock,
            interval=timedelta(hours=1),
            full_interval=PERIOD,
            monotonic=lambda: self.seconds,
            chance=lambda: 0.9,
        )

    @rule(copies=st.sampled_from([0, 0, 1, 2]))
    def report(self, copies):
        """Report, and deliver so many copies of it now; it may also come late."""
        self._report(copies)

    @rule(data=st.data())
    def deliver_late(self, data):
        if self.late:
            self._receive(data.draw(st.sampled_from(self.late)))

    @rule()
    def quiet_period(self):
        """For a period nothing changes, and what is sent arrives; then everything that this compute ever sent."""
        for _ in range(int(PERIOD.total_seconds()) // 10 + 1):
            self._report(1)
        assert self.stored() == self.actual()

        for message in reversed(self.of_boot):
            self._receive(message)
        assert self.stored() == self.actual()

    def _report(self, copies):
        self.seconds += 10
        self.sent = []
        self.reporter.report()
        for message in self.sent:
            self._receive(*[message] * copies)
        self.late += self.sent
        self.of_boot += self.sent

    def store_reports(self, reports):
        """The port `CacheReports` of the host: put them on the bus."""
        self.sent = [json.dumps({"beats": [], "cache_report": report_message(each)}) for each in reports]
        return frozenset()

    def _receive(self, *messages):
        self.store.store_reports([read_report(json.loads(each), "cell1").unpack() for each in messages])

    def list_cache(self):
        raise NotImplementedError

    def stored(self):
        """Return what is stored, in the form of `actual`."""
        raise NotImplementedError

    def actual(self):
        """Return what the cache holds, not as it was listed."""
        raise NotImplementedError


class DirectoryReported(Reported):
    """With a real directory, in which this and other programs do what they like."""

    def __init__(self):
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="precache-inventory-"))
        self.base = self.directory / "_base"
        self.cache = ImageCache(directory=self.base, locks_directory=self.directory / "locks", clock=self.clock)
        self.cache.start()
        self.lister = EntryLister(cache=self.cache, clock=self.clock)
        self.list_cache = self.lister.list

    def teardown(self):
        shutil.rmtree(self.directory)

    @rule(image=IMAGE, size=st.integers(1, 5), used=st.integers(0, 10**9))
    def write(self, image, size, used):
        path = self._clear(image)
        path.write_bytes(b"x" * size)
        os.utime(path, (used, used))

    @rule(image=IMAGE, kind=st.sampled_from(["nothing", "link", "directory", "empty"]))
    def replace(self, image, kind):
        path = self._clear(image)
        if kind == "link":
            path.symlink_to("/etc/hostname")
        elif kind == "directory":
            path.mkdir()
        elif kind == "empty":
            path.touch()

    @rule(image=IMAGE, content=st.sampled_from(["pinned", "unpinned", b"", b"{", b"\x00\xff"]))
    def record(self, image, content):
        if isinstance(content, bytes):
            (self.base / record_name(entry_name(image))).write_bytes(content)
        else:
            pins = (Pin("job:1"),) if content == "pinned" else ()
            self.cache.records.write(EntryRecord(image=image, image_name="web", size_bytes=1, pins=pins))

    def _clear(self, image):
        path = self.cache.path_of(image)
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        path.unlink(missing_ok=True)
        return path

    def stored(self):
        return {
            each.entry: (each.size_bytes, each.last_used, bool(each.pins))
            for each in self.store.list_entries("cmp-1")
            if each.state is EntryState.PRESENT
        }

    def actual(self):
        found = {}
        for path in self.base.iterdir():
            if len(path.name) == 40 and path.is_file() and not path.is_symlink() and path.stat().st_size:
                record = path.with_name(record_name(path.name))
                is_pinned = record.exists() and b"job:1" in record.read_bytes()
                used = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                found[path.name] = (path.stat().st_size, used, is_pinned)
        return found


class FakeReported(Reported):
    """With the driver of simulations: the operations of jobs."""

    def __init__(self):
        super().__init__()
        self.driver = FakeDriver(clock=self.clock)
        self.list_cache = self.driver.list_cache
        self.held = {}

    @rule(image=IMAGE, is_pinned=st.booleans())
    def fetch(self, image, is_pinned):
        self.driver.cache_image(ImageOrder(image), lambda *_: None)
        if is_pinned:
            self.driver.pin_image(image, Pin("job:1"), lambda: None)
        self.held[entry_name(image)] = is_pinned or self.held.get(entry_name(image), False)

    @rule(image=IMAGE)
    def purge(self, image):
        self.driver.purge_image(ImageOrder(image, OrderOptions(even_pinned=True)), lambda *_: None)
        self.held.pop(entry_name(image), None)

    def stored(self):
        return {each.entry: bool(each.pins) for each in self.store.list_entries("cmp-1")}

    def actual(self):
        return self.held


_SETTINGS = settings(max_examples=40, stateful_step_count=25, deadline=None)

TestDirectoryReported = DirectoryReported.TestCase
TestDirectoryReported.settings = _SETTINGS
TestFakeReported = FakeReported.TestCase
TestFakeReported.settings = _SETTINGS
