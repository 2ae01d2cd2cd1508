"""The table of all operations: method, path, handler, policy rule.

`openapi.yaml` lists the same; a test compares them. Paths are written as there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from precache.api.calls import Answer, Call
from precache.api.handlers.aggregates import Aggregates
from precache.api.handlers.cached_images import CachedImages
from precache.api.handlers.host_cleaning import HostCleaning
from precache.api.handlers.hosts import Hosts
from precache.api.handlers.job_events import JobEvents
from precache.api.handlers.job_sites import JobSites
from precache.api.handlers.jobs import Jobs
from precache.api.handlers.service import Service
from precache.api.microversions import CACHE_IMAGES, MIN, Microversion
from precache.core.operations import Operation


@dataclass(frozen=True, slots=True)
class Route:
    """One operation.

    rule: its policy rule; None if it needs no authentication. rules_of_operations: the rules in its place for some
        values of `operation` in the body.
    body: the name of the schema of its body; None if it takes none. is_body_optional: whether the body may be empty.
    action: for operations that share a path, the only key of the body that selects this one.
    since: the first microversion that has it.
    """

    method: str
    path: str
    handle: Callable[[Call], Answer]
    rule: str | None = None
    body: str | None = None
    action: str | None = None
    since: Microversion = MIN
    is_body_optional: bool = False
    rules_of_operations: Mapping[str, str] = field(default_factory=dict)

    def rule_for(self, body: Any) -> str | None:
        """Return the policy rule of a request with this checked body."""
        return self.rules_of_operations.get(body.get("operation"), self.rule) if self.rules_of_operations else self.rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """The handlers, one per noun."""

    service: Service
    aggregates: Aggregates
    jobs: Jobs
    events: JobEvents
    sites: JobSites
    hosts: Hosts
    cleaning: HostCleaning
    images: CachedImages


_AGGREGATES = "/compute/v2.1/os-aggregates"
_AGGREGATE = f"{_AGGREGATES}/{{aggregate_id}}"
_ACTION = f"{_AGGREGATE}/action"
_JOB = "/v1/jobs/{job_id}"
_RULE = "os_compute_api:os-aggregates"


def routes(to: Handlers) -> tuple[Route, ...]:
    """Return the table with the handlers."""
    return (
        Route("GET", "/", to.service.versions),
        Route("GET", "/v1", to.service.version),
        Route("GET", "/v1/", to.service.version),
        Route("GET", "/v1/openapi.json", to.service.openapi),
        Route("GET", "/healthcheck", to.service.health),
        Route("GET", "/compute", to.service.compute_versions),
        Route("GET", "/compute/", to.service.compute_versions),
        Route("GET", "/compute/v2.1", to.service.compute_version),
        Route("GET", "/compute/v2.1/", to.service.compute_version),
        Route("GET", _AGGREGATES, to.aggregates.index, f"{_RULE}:index"),
        Route("POST", _AGGREGATES, to.aggregates.create, f"{_RULE}:create", "AggregateCreate"),
        Route("GET", _AGGREGATE, to.aggregates.show, f"{_RULE}:show"),
        Route("PUT", _AGGREGATE, to.aggregates.update, f"{_RULE}:update", "AggregateUpdate"),
        Route("DELETE", _AGGREGATE, to.aggregates.delete, f"{_RULE}:delete"),
        Route("POST", _ACTION, to.aggregates.add_host, f"{_RULE}:add_host", "AddHost", "add_host"),
        Route("POST", _ACTION, to.aggregates.remove_host, f"{_RULE}:remove_host", "RemoveHost", "remove_host"),
        Route("POST", _ACTION, to.aggregates.set_metadata, f"{_RULE}:set_metadata", "SetMetadata", "set_metadata"),
        Route(
            "POST",
            f"{_AGGREGATE}/images",
            to.aggregates.cache_images,
            "compute:aggregates:images",
            "CacheImages",
            since=CACHE_IMAGES,
        ),
        Route("GET", "/v1/jobs", to.jobs.index, "precache:jobs:list"),
        Route(
            "POST",
            "/v1/jobs",
            to.jobs.create,
            "precache:jobs:create",
            "NewJob",
            rules_of_operations={
                operation.value: f"precache:images:{operation}"
                for operation in Operation
                if operation is not Operation.CACHE
            },
        ),
        Route("GET", _JOB, to.jobs.show, "precache:jobs:show"),
        Route("PATCH", _JOB, to.jobs.update, "precache:jobs:update", "JobUpdate"),
        Route("POST", f"{_JOB}/cancel", to.jobs.cancel, "precache:jobs:cancel", "JobAction", is_body_optional=True),
        Route("GET", f"{_JOB}/events", to.events.follow, "precache:jobs:show"),
        Route("POST", f"{_JOB}/pause", to.jobs.pause, "precache:jobs:pause", "JobAction", is_body_optional=True),
        Route("POST", f"{_JOB}/resume", to.jobs.resume, "precache:jobs:pause", "JobAction", is_body_optional=True),
        Route("POST", f"{_JOB}/retry", to.jobs.retry, "precache:jobs:retry", "JobAction", is_body_optional=True),
        Route("GET", f"{_JOB}/hosts", to.jobs.hosts, "precache:jobs:show"),
        Route("GET", f"{_JOB}/sites", to.sites.index, "precache:jobs:show"),
        Route("GET", f"{_JOB}/tasks", to.jobs.tasks, "precache:jobs:show"),
        Route("GET", "/v1/hosts", to.hosts.index, "precache:hosts:list"),
        Route("GET", "/v1/hosts/{host_name}", to.hosts.show, "precache:hosts:show"),
        Route("PUT", "/v1/hosts/{host_name}", to.hosts.update, "precache:hosts:update", "HostUpdate"),
        Route("DELETE", "/v1/hosts/{host_name}", to.hosts.delete, "precache:hosts:delete"),
        Route("GET", "/v1/hosts/{host_name}/images", to.images.of_host, "precache:hosts:cache"),
        Route(
            "POST",
            "/v1/hosts/{host_name}/clean",
            to.cleaning.clean,
            "precache:hosts:clean",
            "CleanHost",
            is_body_optional=True,
        ),
        Route("POST", "/v1/hosts/{host_name}/images", to.hosts.cache, "precache:hosts:images", "CacheImages"),
        Route("GET", "/v1/images", to.images.index, "precache:images:list"),
        Route("GET", "/v1/images/{image_id}/hosts", to.images.hosts, "precache:images:hosts"),
    )
