"""[image_cache]: Nova's options with their names, defaults and meanings, and a few options that Nova does not have."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePath
from typing import Any

from oslo_config import cfg

from precache.config.cache_policy import OPTIONS as POLICY_OPTIONS
from precache.config.cache_policy import parse_cleaning
from precache.config.options import OptionGroup, settings_of
from precache.core.errors import InvalidConfiguration
from precache.core.orders import MOST_BYTES_PER_S
from precache.core.sizes import DiskAmount
from precache.imagecache.keep_limits import KeepLimits
from precache.rules.eviction import Cleaning
from precache.rules.opt_in import OptIn, PrecacheImages

OPTIONS = [
    cfg.IntOpt(
        "precache_concurrency",
        default=1,
        min=1,
        help="How many hosts cache images at the same time, over all jobs of a conductor. All of them download from "
        "the image service, so its bandwidth limits this. Hosts that get images from each other do not count: see "
        "[swarm] hosts_at_once.",
    ),
    cfg.StrOpt(
        "precache_images",
        default="all",
        choices=[
            ("all", "every image"),
            ("some", "images with the property cache_in_nova=true or precache=true, and their kernels and ramdisks"),
            ("none", "no image; requests are refused"),
        ],
        help="Which images may be cached on request. The API reads this. What is in the caches stays there.",
    ),
    cfg.ListOpt(
        "precache_projects",
        default=[],
        help="Ids of projects: an image may be cached on request only if one of them owns it, and if precache_images "
        "allows it, too. Empty: images of every project. The API reads this.",
    ),
    cfg.StrOpt(
        "subdirectory_name",
        default="_base",
        help="Directory of the image cache below instances_path. Must be the same as for nova-compute on this host.",
    ),
    cfg.BoolOpt(
        "reserve_whole_disk",
        default=True,
        help="Refuse an image unless the full size of its raw disk fits into the free space, and beside it the "
        "download if qemu-img reads it. False: only as much as the download has must fit, which admits large disks "
        "that are mostly empty; if the file system then becomes full, the task ends as an error.",
    ),
    cfg.BoolOpt(
        "decode_while_streaming",
        default=True,
        help="Write a plain qcow2 or streamOptimized VMDK that becomes raw straight into its place while it arrives, "
        "without storing the download. False: qemu-img reads every image from the stored download, as in earlier "
        "releases. Set it to false if an image is converted wrongly or fails only with true, and report that: this "
        "option goes with the next release.",
    ),
    cfg.StrOpt(
        "reserve_bytes",
        default="5%",
        help="Space that no image may take from running guests: a share of the file system of the cache such as 5%, a "
        "size such as 20GiB, or 0. An image is refused unless it fits beside this and beside what other downloads have "
        "still to write.",
    ),
    cfg.StrOpt(
        "owner",
        default="nova",
        choices=[
            ("nova", "nova-compute removes expired entries; Precache only those that are purged or corrupt"),
            ("precache", "Precache removes expired entries; no nova-compute runs on this host"),
        ],
        help="Which service removes expired entries. A directory must have only one owner.",
    ),
    cfg.IntOpt(
        "manager_interval",
        default=2400,
        min=-1,
        help="Seconds between two passes over the cache; 0 means 60 seconds, -1 means none. Used if the owner "
        "is precache.",
    ),
    cfg.BoolOpt(
        "remove_unused_base_images",
        default=True,
        help="Remove entries that no instance uses when they are old enough. Used if the owner is precache.",
    ),
    cfg.IntOpt(
        "remove_unused_original_minimum_age_seconds",
        default=86400,
        min=0,
        help="Seconds since the last use after which an unused image is removed. If the owner is nova, it must be "
        "as in nova-compute's configuration: pinned images are touched at least twice within it.",
    ),
    cfg.IntOpt(
        "remove_unused_resized_minimum_age_seconds",
        default=3600,
        min=0,
        help="Seconds since the last use after which an unused resized copy is removed.",
    ),
    cfg.BoolOpt(
        "restore_pinned",
        default=True,
        help="Fetch a pinned image again if it is gone from the cache, after the images of all jobs and within the "
        "rates of [limits] on this host. False: it is only an alarm and an error in the log.",
    ),
    *POLICY_OPTIONS,
    cfg.IntOpt(
        "verify_bytes_per_s",
        default=0,
        min=0,
        max=MOST_BYTES_PER_S,
        help="How many bytes per second this host reads to compare the images in its cache with their records, one "
        "after another, while no job works on it; 0 reads nothing. The image that was verified least recently "
        "comes first. What is corrupt is moved aside, or is an alarm if an instance uses it.",
    ),
    cfg.IntOpt(
        "verify_interval_days",
        default=30,
        min=1,
        max=3660,
        help="Days after which the host verifies an image again, if verify_bytes_per_s is not 0.",
    ),
    cfg.IntOpt(
        "inventory_interval",
        default=600,
        min=10,
        help="The longest time in seconds between two reports of everything that the image cache of this host holds. "
        "Changes are reported at once. A report that was lost is missed for this time at most.",
    ),
    cfg.IntOpt(
        "paused_images",
        default=20,
        min=0,
        help="How many downloads of paused jobs this host keeps at most, to continue them later; 0 keeps none. The "
        "oldest is removed first.",
    ),
    cfg.IntOpt(
        "paused_bytes",
        default=50 << 30,
        min=0,
        max=1 << 60,
        help="How many bytes the downloads of paused jobs may have on this host, all together. They use space beside "
        "the image cache.",
    ),
    cfg.IntOpt(
        "paused_hours",
        default=168,
        min=0,
        max=1 << 20,
        help="Hours after which the download of a paused job is removed if the job was not resumed. The job then "
        "downloads that image from the start.",
    ),
]


@dataclass(frozen=True, slots=True)
class ImageCacheSettings:
    """Settings of the cache. manager_interval: None for no passes. is_owner_chosen: False if no file sets the owner.

    keep_limits: of paused downloads. cleaning: of a cache that Precache owns. opt_in: which images may be cached.
    inventory_interval: between two full reports on the cache.
    """

    precache_concurrency: int
    subdirectory_name: str
    reserve_whole_disk: bool
    decode_while_streaming: bool
    reserve: DiskAmount
    owner: str
    manager_interval: timedelta | None
    remove_unused_base_images: bool
    original_minimum_age: timedelta
    resized_minimum_age: timedelta
    inventory_interval: timedelta
    keep_limits: KeepLimits
    verify_bytes_per_s: int
    verify_interval: timedelta
    cleaning: Cleaning
    opt_in: OptIn
    is_owner_chosen: bool = True
    restore_pinned: bool = True

    @property
    def is_precache_owner(self) -> bool:
        return self.owner == "precache"


def _parse(values: Any) -> ImageCacheSettings:
    subdirectory = PurePath(values.subdirectory_name)
    if subdirectory.is_absolute() or ".." in subdirectory.parts or not subdirectory.parts:
        # Hosts with separate instances_path would share the directory, and each would remove the entries of others.
        raise InvalidConfiguration(
            f"[image_cache] subdirectory_name must be a directory below instances_path, such as _base, not "
            f"{values.subdirectory_name!r}"
        )
    try:
        reserve = DiskAmount.parse(values.reserve_bytes)
    except ValueError as error:
        raise InvalidConfiguration(
            f"[image_cache] reserve_bytes must be {error}, not {values.reserve_bytes!r}"
        ) from error
    interval = 60 if values.manager_interval == 0 else values.manager_interval
    return settings_of(
        ImageCacheSettings,
        values,
        reserve=reserve,
        manager_interval=None if interval < 0 else timedelta(seconds=interval),
        original_minimum_age=timedelta(seconds=values.remove_unused_original_minimum_age_seconds),
        resized_minimum_age=timedelta(seconds=values.remove_unused_resized_minimum_age_seconds),
        verify_interval=timedelta(days=values.verify_interval_days),
        cleaning=parse_cleaning(values),
        inventory_interval=timedelta(seconds=values.inventory_interval),
        keep_limits=KeepLimits(
            images=values.paused_images,
            total_bytes=values.paused_bytes,
            age=timedelta(hours=values.paused_hours),
        ),
        opt_in=OptIn(
            PrecacheImages(values.precache_images),
            frozenset(project.strip() for project in values.precache_projects if project.strip()),
        ),
    )


GROUP = OptionGroup("image_cache", "The cache on a host, and how it is filled.", OPTIONS, _parse)
