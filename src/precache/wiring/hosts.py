"""Builds the objects of a compute host: image service, fetcher, virt driver, and the compute that uses them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import cast

from stevedore.driver import DriverManager
from stevedore.exception import NoMatches

from precache.adapters.clock_system import SystemClock
from precache.adapters.http import open_session
from precache.adapters.images_wrapped import Failover, Limited, Retrying
from precache.compute.cache_care import CareSettings
from precache.compute.cache_reporter import CacheFacts, CacheReporter
from precache.compute.service import ComputeService
from precache.config.load import Config
from precache.core.errors import InvalidConfiguration
from precache.core.names import NAME_RULE, is_name
from precache.fetch.fetch_rules import FetchRules
from precache.fetch.fetcher import Fetcher
from precache.fetch.rate_limits import RateLimits
from precache.imagecache.qemu_img import QemuImgLimits
from precache.imagecache.staging import EntryFetcher
from precache.ports.cache_inventory import CacheReports
from precache.ports.image_service import ImageSource
from precache.ports.image_signatures import ImageSignatures
from precache.ports.inventory import HostReports
from precache.ports.progress import ProgressSink
from precache.ports.swarm_planner import SwarmPlanner
from precache.ports.virt_driver import VirtDriver
from precache.rules.expiry import touch_interval
from precache.virt.setup import ENTRY_POINTS, DriverFactory, HostSetup, LocalCache
from precache.wiring.service_user import image_service_of
from precache.wiring.swarm_member import build_swarm_member


def image_service(config: Config, endpoint: str) -> Failover:
    """Return a client without credentials for the configured image service, else for the one at `endpoint`."""
    return image_service_of(config, open_session(), default=endpoint)


def build_compute(
    *,
    config: Config,
    host: str,
    cell: str,
    driver: str,
    instances_path: Path,
    images: ImageSource,
    signatures: ImageSignatures | None,
    reports: HostReports,
    cache_reports: CacheReports,
    progress: ProgressSink,
    planner: SwarmPlanner | None = None,
    first_report_after: timedelta = timedelta(),
) -> ComputeService:
    """Return one host's compute, not started. cell: empty on a bus, where the receiver knows the cell.

    planner: the conductors, for swarms; None if the host takes part in none.
    first_report_after: how long after the first heartbeat the cache is reported.

    Raises InvalidConfiguration if there is no such driver, or the host's name is invalid.
    """
    check_host_name(host)
    rates = RateLimits()
    fetcher = image_fetcher(config=config, images=images, signatures=signatures, rates=rates)
    setup = host_setup(config=config, host=host, instances_path=instances_path, fetcher=fetcher, rates=rates)
    cache = setup.local_cache.open(setup.clock)
    swarm = None
    if planner is not None:
        swarm_fetcher, swarm = build_swarm_member(
            config=config,
            host=host,
            cell=cell,
            fetcher=fetcher,
            planner=planner,
            clock=setup.clock,
            rates=rates,
            entries=cache.served,
        )
        setup = replace(setup, fetcher=swarm_fetcher)
    virt_driver = build_driver(driver, setup)
    reporter = CacheReporter(
        host=host,
        cell=cell,
        driver=virt_driver,
        facts=CacheFacts(
            owner=config.image_cache.owner,
            policy=config.image_cache.cleaning.policy.value if config.image_cache.is_precache_owner else "",
            alarms=cache.alarms,
            removals=cache.removals,
        ),
        reports=cache_reports,
        clock=setup.clock,
        interval=config.host.report_interval,
        full_interval=config.image_cache.inventory_interval,
        delay=first_report_after,
    )
    return ComputeService(
        host=host,
        cell=cell,
        driver=virt_driver,
        reports=reports,
        progress=progress,
        clock=setup.clock,
        report_interval=config.host.report_interval,
        release=version("precache"),
        site=config.host.site,
        settings=CareSettings(
            clean_interval=config.image_cache.manager_interval if setup.cleaning else None,
            touch_interval=touch_interval(config.image_cache.original_minimum_age),
            restores_pinned=config.image_cache.restore_pinned,
            restore_bytes_per_s=config.limits.host_bytes_per_s,
            verify_interval=config.image_cache.verify_interval,
            verify_bytes_per_s=config.image_cache.verify_bytes_per_s,
        ),
        rates=rates,
        kept=cache.kept,
        alarms=cache.alarms,
        reporter=reporter,
        swarm=swarm,
    )


def image_fetcher(
    *,
    config: Config,
    images: ImageSource,
    signatures: ImageSignatures | None = None,
    rates: RateLimits | None = None,
) -> Fetcher:
    """Return what fetches images from the image service `images`, from the configuration."""
    clock = SystemClock()
    limited = Limited(images, connections=config.glance.connections)
    images = Retrying(limited, clock=clock, attempts=config.glance.num_retries + 1)
    rules = FetchRules(
        force_raw_images=config.host.force_raw_images,
        retries=config.glance.num_retries,
        deep_inspection=config.workarounds.deep_inspection,
        least_rate=config.glance.least_rate,
        reserves_whole_disk=config.image_cache.reserve_whole_disk,
        decode_while_streaming=config.image_cache.decode_while_streaming,
        vmdk_types=config.compute.vmdk_allowed_types,
        qemu_img=QemuImgLimits(
            cpu_time=config.libvirt.cpu_time_limit, address_space_bytes=config.libvirt.address_space_limit_bytes
        ),
    )
    return Fetcher(images=images, clock=clock, rules=rules, signatures=signatures, rates=rates)


def host_setup(
    *, config: Config, host: str, instances_path: Path, fetcher: EntryFetcher, rates: RateLimits | None = None
) -> HostSetup:
    """Return the setup for caching images on one host, from the configuration."""
    clock = SystemClock()
    return HostSetup(
        host=host,
        clock=clock,
        fetcher=fetcher,
        local_cache=LocalCache(
            instances_path,
            config.image_cache.subdirectory_name,
            config.image_cache.keep_limits,
            config.image_cache.original_minimum_age,
            config.image_cache.reserve,
            config.image_cache.resized_minimum_age,
            config.image_cache.cleaning.low_mark,
        ),
        cleaning=config.image_cache.cleaning if config.image_cache.is_precache_owner else None,
        options={
            **config.compute.driver_options,
            "images_type": config.libvirt.images_type,
            "connection_uri": config.libvirt.connection_uri,
        },
        rates=rates or RateLimits(),
    )


def check_host_name(host: str) -> None:
    """Raise InvalidConfiguration for a host name with which conductors would reject heartbeats.

    Without [DEFAULT] host the machine's own name is used, which may be invalid.
    """
    if not is_name(host):
        raise InvalidConfiguration(
            f"no compute can have the name {host!r}, because a host's name is of {NAME_RULE}; set [DEFAULT] host"
        )


def build_driver(name: str, setup: HostSetup) -> VirtDriver:
    """Return the virt driver of this name. Raises InvalidConfiguration if no such driver is installed."""
    try:
        factory = cast(DriverFactory, DriverManager(ENTRY_POINTS, name, invoke_on_load=False).driver)
    except NoMatches as error:
        raise InvalidConfiguration(
            f"host {setup.host}: no virt driver {name!r} is installed; use libvirt, fake or uncached"
        ) from error
    return factory.build(setup)
