"""A small cloud in memory behind the real application, for the conversations."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from precache.adapters.cache_inventory_memory import MemoryCacheInventory
from precache.adapters.clock_memory import MemoryClock
from precache.adapters.computes_inprocess import InProcessComputes
from precache.adapters.images_memory import MemoryImages
from precache.adapters.inventory_memory import MemoryInventory
from precache.adapters.jobs_memory import MemoryJobs
from precache.adapters.policy_oslo import OsloPolicy
from precache.adapters.relays_memory import MemoryRelays
from precache.api.app import create_app
from precache.api.events.feed import JobFeed
from precache.api.handlers.views import JobViews
from precache.api.policies import RULES
from precache.api.schemas.document import load_document
from precache.background.daemon_pool import DaemonPool
from precache.conductor.clean_host import CleanHost
from precache.conductor.survey_hosts import SurveyHosts
from precache.core.cache_cleaning import CleanedEntry, CleanRequest, CleanResult
from precache.core.cache_contents import CacheContents
from precache.core.cache_entries import entry_name
from precache.core.host_survey import Survey
from precache.core.hosts import Heartbeat
from precache.core.images import Image, ImageId
from precache.rules.opt_in import ALL_IMAGES, OptIn
from precache.rules.webhook_urls import parse_allowed, why_refused
from tests.http.documented import Documented
from tests.played_host import PlayedHost

DOCUMENT = load_document()
SERVICE_DOWN_TIME = timedelta(seconds=60)

DEBIAN = ImageId("70a599e0-31e7-49b7-b260-868f441e862b")
UBUNTU = ImageId("155d900f-4e14-4e4c-a73d-069cbf4541e6")
QUEUED = ImageId("00000000-0000-4000-8000-000000000001")
DEACTIVATED = ImageId("00000000-0000-4000-8000-000000000002")
DOCKER = ImageId("00000000-0000-4000-8000-000000000003")
FORMATLESS = ImageId("00000000-0000-4000-8000-000000000004")
FORBIDDEN = ImageId("00000000-0000-4000-8000-000000000005")
LIKE_AN_ID = ImageId("00000000-0000-4000-8000-000000000008")
KERNEL = ImageId("00000000-0000-4000-8000-000000000010")
RAMDISK = ImageId("00000000-0000-4000-8000-000000000011")
UNKNOWN = ImageId("00000000-0000-4000-8000-0000000000ff")
NAMESAKES = (ImageId("00000000-0000-4000-8000-000000000006"), ImageId("00000000-0000-4000-8000-000000000007"))


def _image(image: ImageId, name: str, status: str = "active", disk_format: str | None = "qcow2", **more: Any) -> Image:
    return Image(id=image, name=name, status=status, disk_format=disk_format, size_bytes=4, **more)


def _with_kernel(number: int, kernel_id: str, **more: Any) -> Image:
    return _image(
        ImageId(f"00000000-0000-4000-8000-0000000001{number:02}"), f"pair-{number}", kernel_id=kernel_id, **more
    )


IMAGES = {
    image.id: (image, b"data")
    for image in (
        _image(DEBIAN, "debian-12"),
        _image(UBUNTU, "ubuntu", disk_format="raw"),
        _image(QUEUED, "queued", status="queued"),
        _image(DEACTIVATED, "deactivated", status="deactivated"),
        _image(DOCKER, "container", disk_format="docker"),
        _image(FORMATLESS, "formatless", disk_format=None),
        _image(FORBIDDEN, "forbidden"),
        *(_image(image, "twice") for image in NAMESAKES),
        _image(KERNEL, "kernel", disk_format="aki"),
        _image(RAMDISK, "ramdisk", disk_format="ari"),
        _with_kernel(0, KERNEL.upper(), ramdisk_id=RAMDISK),
        _with_kernel(1, KERNEL),
        _with_kernel(2, UNKNOWN),
        _with_kernel(3, DEACTIVATED),
        _with_kernel(4, "none"),
        _with_kernel(5, DEBIAN),
        _with_kernel(6, KERNEL, ramdisk_id=FORBIDDEN),
        _with_kernel(7, KERNEL, owner="p1", has_opted_in=True),
        _image(LIKE_AN_ID, "00000000-0000-4000-8000-00000000000a"),
    )
}


def cleaned(request: CleanRequest) -> CleanResult:
    """Return what cmp1 answers, as if nova-compute owned its cache."""
    if not request.is_dry_run:
        return CleanResult(refused="nova-compute owns this cache; a dry run is possible")
    used = datetime(2026, 1, 1, tzinfo=UTC)
    resized = f"{entry_name(DEBIAN)}_20"
    gone = CleanedEntry(resized, None, 4096, used, f"keep_days: {request.keep_days}, all: {request.everything}")
    kept = CleanedEntry("1" * 40, DEBIAN, 512, used, "in use by 1 disk: /var/lib/nova/instances/1/disk")
    return CleanResult("age", (gone,), (kept,))


@dataclass
class World:
    """Two up hosts in cell1, one down in cell2; aggregate 1 `edge` holds them all, aggregate 2 `empty` none."""

    is_image_service_up: bool = True
    policy_file: Path | None = None
    max_body_bytes: int = 2000
    adds_boot_files: bool = True
    opt_in: OptIn = ALL_IMAGES
    wakes: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = MemoryClock()
        self.inventory = MemoryInventory(clock=self.clock)
        self.jobs = MemoryJobs(clock=self.clock, find_host=lambda name: self.inventory.find_hosts([name]).get(name))
        self.relays = MemoryRelays(clock=self.clock, jobs=self.jobs)
        self.caches = MemoryCacheInventory(
            clock=self.clock, find_host=lambda name: self.inventory.find_hosts([name]).get(name)
        )
        self.feed = JobFeed(store=self.jobs, views=JobViews(DOCUMENT), is_ticking=False)
        self._settle()
        self.computes = InProcessComputes()
        self.survey = self._new_survey()
        self.app = self.app_with()

    def app_with(self, auth_strategy: str = "keystone", **replaced: Any) -> Any:
        """Return the application, with other ports where a test wants them; no answer passes that is not documented."""
        return Documented(self.undocumented(auth_strategy, **replaced), DOCUMENT)

    def undocumented(self, auth_strategy: str, **replaced: Any) -> Any:
        """Return the same application, whose answers are not compared with the document."""
        images = MemoryImages(images=IMAGES, forbidden={FORBIDDEN}, available=self.is_image_service_up)
        ports: dict[str, Any] = {
            "aggregates": self.inventory,
            "aggregate_changes": self.inventory,
            "hosts": self.inventory,
            "host_changes": self.inventory,
            "host_removal": self.inventory,
            "caches": self.caches,
            "intake": self.jobs,
            "queries": self.jobs,
            "relays": self.relays,
            "steering": self.jobs,
            "feed": self.feed,
            "store": self.jobs,
            "survey": self.survey,
            "cleaning": CleanHost(
                hosts=self.inventory,
                caches=self.computes,
                service_down_time=SERVICE_DOWN_TIME,
                requirement=None,
                listening_for_s=lambda cell: math.inf,
            ),
            "rates": self.jobs,
            "images": images,
            "policy": OsloPolicy(rules=RULES, policy_file=self.policy_file),
            "clock": self.clock,
            "wake": lambda: self.wakes.append(len(self.jobs.list_jobs())),
        }
        return create_app(
            adds_boot_files=self.adds_boot_files,
            opt_in=self.opt_in,
            why_url_refused=partial(why_refused, allowed=[parse_allowed("hooks.example/in")], allow_http=False),
            auth_strategy=auth_strategy,
            service_down_time=SERVICE_DOWN_TIME,
            max_body_bytes=self.max_body_bytes,
            **ports | replaced,
        )

    def _new_survey(self) -> SurveyHosts:
        """Return a survey in which cmp1 has Debian and little space; no compute answers for cmp2."""
        contents = CacheContents(
            frozenset({DEBIAN}), 1004, 1200, promised_bytes=150, reserve_bytes=50, held_bytes={DEBIAN: 3}
        )
        self.computes.join(
            "cmp1", PlayedHost(lambda request: [], describe_cache=lambda images: contents, clean_cache=cleaned)
        )
        return SurveyHosts(
            hosts=self.inventory,
            caches=self.computes,
            pool=DaemonPool(4),
            service_down_time=SERVICE_DOWN_TIME,
            requirement=None,
            listening_for_s=lambda cell: math.inf,
            limits=Survey({}, 50),
        )

    def _settle(self) -> None:
        self.inventory.store_heartbeats([Heartbeat("cmp3", "cell2", "libvirt", self.clock.now())])
        self.clock.advance(timedelta(minutes=5))
        now = self.clock.now()
        beats = [
            Heartbeat("cmp1", "cell1", "libvirt", now, "1.0", release="0.1.0", site="north"),
            Heartbeat("cmp2", "cell1", "fake", now),
        ]
        self.inventory.store_heartbeats(beats)
        edge = self.inventory.create_aggregate("edge", {}, now)
        for host in ("cmp1", "cmp2", "cmp3"):
            self.inventory.add_host(edge.id, host, now)
        self.inventory.create_aggregate("empty", {}, now)
