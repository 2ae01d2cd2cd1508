"""The API as one WSGI application, without the authentication that must stand in front of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from precache.adapters.clock_system import SystemClock
from precache.adapters.inventory_sql import SqlCacheQueries
from precache.adapters.jobs_sql import SqlJobIntake, SqlJobQueries, SqlJobSnapshots, SqlJobSteering, SqlTransferRates
from precache.adapters.policy_oslo import OsloPolicy
from precache.adapters.relays_sql import SqlRelayQueries
from precache.adapters.sql import Database, SqlProbe
from precache.api.app import create_app
from precache.api.events.feed import FeedLimits, JobFeed
from precache.api.handlers.views import JobViews
from precache.api.policies import RULES
from precache.api.schemas.document import load_document
from precache.config.load import Config
from precache.ports.host_caches import CacheCleaning, CacheSurvey
from precache.ports.image_service import ImageCatalog
from precache.rules.webhook_urls import why_refused
from precache.wiring.inventory import Inventory


def api_app(
    *,
    config: Config,
    auth_strategy: str,
    database: Database,
    inventory: Inventory,
    images: ImageCatalog,
    wake: Callable[[], None],
    at_stop: ExitStack,
    survey: CacheSurvey,
    cleaning: CacheCleaning,
) -> Any:
    """Return the application.

    auth_strategy: the authentication that the caller puts in front of it.
    wake: called after a new job or a request to cancel one, to wake the conductors; never raises, never blocks.
    at_stop: gets the callback that ends the streams of events.
    """
    feed = JobFeed(
        store=SqlJobSnapshots(database=database),
        views=JobViews(load_document()),
        limits=FeedLimits(readers=config.api.event_readers),
    )
    at_stop.callback(feed.stop)
    webhooks = config.notifications.webhooks
    return create_app(
        aggregates=inventory.aggregates,
        aggregate_changes=inventory.aggregate_changes,
        hosts=inventory.hosts,
        host_changes=inventory.host_changes,
        host_removal=inventory.host_removal,
        caches=SqlCacheQueries(database=database),
        intake=SqlJobIntake(database=database),
        queries=SqlJobQueries(database=database),
        relays=SqlRelayQueries(database=database),
        steering=SqlJobSteering(database=database),
        feed=feed,
        store=SqlProbe(database=database),
        survey=survey,
        cleaning=cleaning,
        rates=SqlTransferRates(database=database),
        images=images,
        policy=OsloPolicy(rules=RULES, policy_file=config.policy.policy_file),
        clock=SystemClock(),
        wake=wake,
        auth_strategy=auth_strategy,
        service_down_time=config.host.service_down_time,
        max_body_bytes=config.api.max_request_body_bytes,
        adds_boot_files=config.api.cache_kernel_and_ramdisk,
        opt_in=config.image_cache.opt_in,
        why_url_refused=partial(why_refused, allowed=webhooks.allowed, allow_http=webhooks.allow_http),
    )
