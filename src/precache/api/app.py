"""Builds the WSGI application of the API from ports."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import falcon

from precache.api.bodies import BodyReader
from precache.api.boundary import RequestIds, handle_error
from precache.api.dispatch import Dispatcher, ProjectPaths
from precache.api.events.feed import JobFeed
from precache.api.handlers.aggregates import Aggregates
from precache.api.handlers.cached_images import CachedImages
from precache.api.handlers.host_cleaning import HostCleaning
from precache.api.handlers.hosts import Hosts
from precache.api.handlers.job_events import JobEvents
from precache.api.handlers.job_plans import JobPlans
from precache.api.handlers.job_requests import JobRequests
from precache.api.handlers.job_sites import JobSites
from precache.api.handlers.job_targets import JobTargets
from precache.api.handlers.jobs import Jobs
from precache.api.handlers.service import Service
from precache.api.handlers.views import JobViews
from precache.api.identity import Identity
from precache.api.microversions import Negotiation
from precache.api.routes import Handlers, routes
from precache.api.schemas.document import load_document
from precache.api.schemas.validation import Schemas
from precache.ports.cache_inventory import CacheQueries
from precache.ports.clock import Clock
from precache.ports.host_caches import CacheCleaning, CacheSurvey
from precache.ports.image_service import ImageCatalog
from precache.ports.inventory import AggregateChanges, AggregateQueries, HostChanges, HostQueries, HostRemoval
from precache.ports.job_store import JobIntake, JobQueries, JobSteering, StoreProbe
from precache.ports.policy import Policy
from precache.ports.relay_store import RelayQueries
from precache.ports.transfer_rates import TransferRates
from precache.rules.opt_in import ALL_IMAGES, OptIn
from precache.rules.webhook_urls import allow_none

MAX_BODY_BYTES = 114688  # 112 KiB, Nova's own default: some two thousand images in one request


def create_app(
    *,
    aggregates: AggregateQueries,
    aggregate_changes: AggregateChanges,
    hosts: HostQueries,
    host_changes: HostChanges,
    host_removal: HostRemoval,
    caches: CacheQueries,
    intake: JobIntake,
    queries: JobQueries,
    relays: RelayQueries,
    steering: JobSteering,
    feed: JobFeed,
    store: StoreProbe,
    survey: CacheSurvey,
    cleaning: CacheCleaning,
    rates: TransferRates,
    images: ImageCatalog,
    policy: Policy,
    clock: Clock,
    wake: Callable[[], None],
    service_down_time: timedelta,
    auth_strategy: str,
    max_body_bytes: int = MAX_BODY_BYTES,
    adds_boot_files: bool = True,
    opt_in: OptIn = ALL_IMAGES,
    why_url_refused: Callable[[str], str | None] = allow_none,
) -> falcon.App[falcon.Request, falcon.Response]:
    """Build the WSGI application; safe for many threads.

    auth_strategy: as in [api] auth_strategy; only for the OpenAPI document.
    adds_boot_files: whether the kernel and the ramdisk that an image names are cached with it.
    opt_in: which images may be cached.
    why_url_refused: returns why a URL must not be told of a job; None if it may be.
    feed: its events are sent to clients; the caller stops it.
    wake: tells conductors that there is a new job, or a request to cancel one; never raises, never blocks.
    The caller's identity is in headers, see `identity.py`. So the application must always be wrapped in an
    authentication middleware: keystonemiddleware (with delay_auth_decision), or `identity.noauth`.
    """
    document = load_document()
    requests = JobRequests(
        images=images,
        caches=caches,
        jobs=intake,
        clock=clock,
        wake=wake,
        adds_boot_files=adds_boot_files,
        opt_in=opt_in,
        why_url_refused=why_url_refused,
    )
    views = JobViews(document)
    handlers = Handlers(
        service=Service(store=store, document=document, auth_strategy=auth_strategy),
        aggregates=Aggregates(queries=aggregates, changes=aggregate_changes, requests=requests, clock=clock),
        jobs=Jobs(
            queries=queries,
            steering=steering,
            requests=requests,
            plans=JobPlans(survey=survey, rates=rates, clock=clock),
            targets=JobTargets(aggregates=aggregates, hosts=hosts),
            views=views,
            wake=wake,
        ),
        events=JobEvents(feed=feed),
        sites=JobSites(queries=queries, relays=relays),
        hosts=Hosts(
            queries=hosts,
            changes=host_changes,
            removal=host_removal,
            caches=caches,
            requests=requests,
            views=views,
            clock=clock,
            service_down_time=service_down_time,
        ),
        cleaning=HostCleaning(hosts=hosts, caches=caches, cleaning=cleaning),
        images=CachedImages(caches=caches, hosts=hosts, clock=clock, service_down_time=service_down_time),
    )
    # In the order of Nova's pipeline: request id, size limit, identity, version.
    middleware: list[Any] = [
        RequestIds(),
        BodyReader(max_bytes=max_body_bytes),
        Identity(),
        ProjectPaths(),
        Negotiation(),
    ]
    app = falcon.App(middleware=middleware)
    # The framework handles its own errors unless this handler is registered by their class.
    app.add_error_handler(Exception, handle_error)
    app.add_error_handler(falcon.HTTPError, handle_error)
    for path, resource in Dispatcher(policy=policy, schemas=Schemas(document)).resources(routes(handlers)):
        app.add_route(path, resource)
    return app
