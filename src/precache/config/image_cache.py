"""[image_cache]: Nova's section, with Nova's names, defaults and meanings, and the few options that Nova lacks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from oslo_config import cfg

from precache.config.options import OptionGroup

OPTIONS = [
    cfg.IntOpt(
        "precache_concurrency",
        default=1,
        min=1,
        help="How many hosts are asked to cache images at the same time, over all jobs of a conductor. Each of them "
        "downloads from the image service, so raise it with an eye on the image service's bandwidth.",
    ),
    cfg.StrOpt(
        "subdirectory_name",
        default="_base",
        help="Directory of the image cache below instances_path. Must be what nova-compute has where one runs.",
    ),
    cfg.BoolOpt(
        "reserve_whole_disk",
        default=True,
        help="Refuse an image unless the download and the whole converted disk fit into the free space, with holes. "
        "False: only the download must fit, which lets in large disks that are mostly empty; one that turns out to be "
        "too full ends as an error in mid-conversion.",
    ),
    cfg.StrOpt(
        "owner",
        default="nova",
        choices=[
            ("nova", "nova-compute removes what has expired; we never remove an entry"),
            ("precache", "no nova-compute runs on this host; we remove what has expired"),
        ],
        help="Who removes expired entries. Two owners of one directory would disagree on what is in use.",
    ),
    cfg.IntOpt(
        "manager_interval",
        default=2400,
        min=-1,
        help="Seconds between two passes over the cache; 0 means 60 seconds, -1 means none. Used where the owner "
        "is precache.",
    ),
    cfg.BoolOpt(
        "remove_unused_base_images",
        default=True,
        help="Remove entries that no instance uses once they are old enough. Used where the owner is precache.",
    ),
    cfg.IntOpt(
        "remove_unused_original_minimum_age_seconds",
        default=86400,
        min=0,
        help="Age since the last use at which an unused image is removed.",
    ),
    cfg.IntOpt(
        "remove_unused_resized_minimum_age_seconds",
        default=3600,
        min=0,
        help="Age since the last use at which an unused resized copy is removed.",
    ),
]


@dataclass(frozen=True, slots=True)
class ImageCacheSettings:
    """manager_interval is None where no passes are wanted. is_owner_chosen: False where no file says who owns it."""

    precache_concurrency: int
    subdirectory_name: str
    reserve_whole_disk: bool
    owner: str
    manager_interval: timedelta | None
    remove_unused_base_images: bool
    original_minimum_age: timedelta
    resized_minimum_age: timedelta
    is_owner_chosen: bool = True

    @property
    def is_ours(self) -> bool:
        return self.owner == "precache"


def _parse(values: Any) -> ImageCacheSettings:
    interval = 60 if values.manager_interval == 0 else values.manager_interval
    return ImageCacheSettings(
        precache_concurrency=values.precache_concurrency,
        subdirectory_name=values.subdirectory_name,
        reserve_whole_disk=values.reserve_whole_disk,
        owner=values.owner,
        manager_interval=None if interval < 0 else timedelta(seconds=interval),
        remove_unused_base_images=values.remove_unused_base_images,
        original_minimum_age=timedelta(seconds=values.remove_unused_original_minimum_age_seconds),
        resized_minimum_age=timedelta(seconds=values.remove_unused_resized_minimum_age_seconds),
    )


GROUP = OptionGroup("image_cache", "The cache on a host, and how it is filled.", OPTIONS, _parse)
