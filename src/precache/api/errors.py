"""The table of errors, and the two formats of error bodies: Nova's and Precache's.

Codes are stable: never renamed and never reused. For an error that is not in the table its parent in the tree of
`core/errors` counts; an error outside of that tree is a bug, and answers 500.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from precache.api import refusals
from precache.core import errors

INTERNAL_CODE = "precache.internal"


@dataclass(frozen=True, slots=True)
class Fault:
    """HTTP status and code of an error."""

    status: int
    code: str


ERRORS: dict[type[Exception], Fault] = {
    # The request itself.
    refusals.NotAuthenticated: Fault(401, "precache.request.unauthenticated"),
    refusals.TokenExposed: Fault(401, "precache.request.token_exposed"),
    refusals.NotAllowed: Fault(403, "precache.request.forbidden"),
    refusals.NoSuchPath: Fault(404, "precache.request.no_such_path"),
    refusals.WrongMethod: Fault(405, "precache.request.wrong_method"),
    refusals.MalformedHeader: Fault(400, "precache.request.malformed_header"),
    refusals.MalformedVersion: Fault(400, "precache.request.malformed_version"),
    refusals.VersionOutOfRange: Fault(406, "precache.request.version_out_of_range"),
    refusals.WrongContentType: Fault(415, "precache.request.wrong_content_type"),
    refusals.BodyTooLarge: Fault(413, "precache.request.too_large"),
    refusals.MalformedBody: Fault(400, "precache.request.malformed_body"),
    refusals.BodyBrokenOff: Fault(408, "precache.request.broken_off"),
    refusals.NoSuchAction: Fault(400, "precache.request.no_such_action"),
    refusals.WrongProject: Fault(400, "precache.request.wrong_project"),
    refusals.InvalidRequest: Fault(400, "precache.request.invalid"),
    refusals.IdNotInteger: Fault(400, "precache.request.invalid"),
    # Images. The request names them in its body, hence 400 and never 404.
    refusals.DuplicateImages: Fault(400, "precache.image.duplicate"),
    errors.InvalidOption: Fault(400, "precache.request.invalid"),
    errors.InvalidNotifyUrl: Fault(400, "precache.request.invalid"),
    errors.NotifyUrlRefused: Fault(400, "precache.request.invalid"),
    errors.InvalidImageId: Fault(400, "precache.image.invalid_id"),
    errors.ImageNotFound: Fault(400, "precache.image.not_found"),
    errors.ImageNotAuthorized: Fault(400, "precache.image.not_authorized"),
    errors.ImageNotActive: Fault(400, "precache.image.not_active"),
    errors.ImageCompressed: Fault(400, "precache.image.compressed"),
    errors.ImageFormatUnsupported: Fault(400, "precache.image.format_unsupported"),
    errors.PrecachingOff: Fault(400, "precache.image.precaching_off"),
    errors.ImageNotOptedIn: Fault(400, "precache.image.not_opted_in"),
    errors.ImageOwnerNotListed: Fault(400, "precache.image.owner_not_listed"),
    # Nova's clients do not expect 503 from this call; the message names the service that is down.
    errors.ImageServiceUnavailable: Fault(400, "precache.image_service.unavailable"),
    # Aggregates.
    errors.AggregateNotFound: Fault(404, "precache.aggregate.not_found"),
    errors.AggregateMetadataNotFound: Fault(404, "precache.aggregate.metadata_not_found"),
    errors.AggregateHostNotFound: Fault(404, "precache.aggregate.host_not_found"),
    refusals.CannotRemoveHost: Fault(404, "precache.aggregate.host_not_found"),
    errors.AggregateNameTaken: Fault(409, "precache.aggregate.name_taken"),
    errors.AggregateHostTaken: Fault(409, "precache.aggregate.host_taken"),
    errors.AggregateHasHosts: Fault(400, "precache.aggregate.not_empty"),
    refusals.AggregateNotEmpty: Fault(400, "precache.aggregate.not_empty"),
    refusals.EmptyZone: Fault(400, "precache.aggregate.zone_empty"),
    refusals.ZoneOfHostsDiffers: Fault(400, "precache.aggregate.zone_conflict"),
    refusals.ZoneOfHostDiffers: Fault(409, "precache.aggregate.zone_conflict"),
    # What the hosts hold.
    errors.ImageHeldNowhere: Fault(404, "precache.image.held_nowhere"),
    # Hosts and jobs.
    errors.HostNotFound: Fault(404, "precache.host.not_found"),
    errors.HostStillAlive: Fault(409, "precache.host.still_heard"),
    errors.CleanRefused: Fault(409, "precache.host.clean_refused"),
    errors.HostNotReached: Fault(503, "precache.host.not_reached"),
    errors.TooManyCleanings: Fault(503, "precache.host.too_many_cleanings"),
    errors.HostInAggregates: Fault(409, "precache.host.in_aggregates"),
    errors.JobNotFound: Fault(404, "precache.job.not_found"),
    errors.RelayNotFound: Fault(404, "precache.relay.not_found"),
    errors.JobEnded: Fault(409, "precache.job.ended"),
    errors.JobNotEnded: Fault(409, "precache.job.not_ended"),
    errors.JobIsCancelled: Fault(409, "precache.job.cancelled"),
    errors.NothingToRetry: Fault(409, "precache.job.nothing_to_retry"),
    errors.WindowNeverOpens: Fault(400, "precache.job.window_never_opens"),
    refusals.TooManyReaders: Fault(503, "precache.events.too_many_readers"),
    refusals.EventsNotServed: Fault(503, "precache.events.not_served"),
    errors.IdempotencyKeyReused: Fault(409, "precache.request.idempotency_key_reused"),
    errors.InventoryForeign: Fault(409, "precache.inventory.foreign"),
    # What the body of a request for a job names, hence 400 and codes other than those of a path.
    refusals.UnknownImages: Fault(400, "precache.image.not_found"),
    refusals.AmbiguousImage: Fault(400, "precache.image.ambiguous"),
    refusals.EntryWithoutImage: Fault(400, "precache.image.entry_without_image"),
    refusals.TooManyImageNames: Fault(400, "precache.request.invalid"),
    refusals.UnknownAggregates: Fault(400, "precache.target.aggregate_not_found"),
    refusals.UnknownCells: Fault(400, "precache.target.cell_not_found"),
    refusals.UnknownHosts: Fault(400, "precache.target.host_not_found"),
    refusals.EmptyTarget: Fault(400, "precache.target.empty"),
    # Unavailable parts of the service.
    errors.StoreUnavailable: Fault(503, "precache.store.unavailable"),
    errors.ConductorUnavailable: Fault(503, "precache.conductor.unavailable"),
    errors.BusUnavailable: Fault(503, "precache.bus.unavailable"),
    errors.TooManyPlans: Fault(503, "precache.plan.too_many"),
    errors.InventoryUnavailable: Fault(503, "precache.inventory.unavailable"),
    errors.IdentityServiceUnavailable: Fault(503, "precache.identity_service.unavailable"),
    # All other errors of the tree.
    errors.NotFound: Fault(404, "precache.not_found"),
    errors.Conflict: Fault(409, "precache.conflict"),
    errors.Refused: Fault(400, "precache.refused"),
    errors.Unavailable: Fault(503, "precache.unavailable"),
}

# Nova's name for each status; all others are a computeFault.
_NOVA_WORDS = {
    400: "badRequest",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    503: "serviceUnavailable",
}

_CODES_OF_SERVER = {
    408: "precache.request.broken_off",
    413: "precache.request.too_large",
    414: "precache.request.too_large",
    500: INTERNAL_CODE,
}


def fault_of(error: Exception) -> Fault | None:
    """Return the entry of the error, or of its nearest parent in the table; None for a bug."""
    return next((ERRORS[kind] for kind in type(error).__mro__ if kind in ERRORS), None)


def server_code(status: int) -> str:
    """Return the code of an error of the HTTP server, before the request reaches the application."""
    return _CODES_OF_SERVER.get(status, "precache.request.malformed")


def internal_message(request_id: str) -> str:
    return (
        f"Unexpected API Error. The log of the API says more under {request_id}; report it with that part of the log."
    )


def nova_body(status: int, message: str) -> dict[str, Any]:
    """Shape an error as Nova's clients read it."""
    return {_NOVA_WORDS.get(status, "computeFault"): {"code": status, "message": message}}


def keystone_body(message: str) -> dict[str, Any]:
    """Shape a 401 as the identity service's own middleware does."""
    return {"error": {"code": 401, "title": "Unauthorized", "message": message}}


def own_body(status: int, code: str, message: str, request_id: str, error: Exception | None = None) -> dict[str, Any]:
    """Shape an error under `/v1`."""
    content = {"code": code, "title": HTTPStatus(status).phrase, "message": message, "request_id": request_id}
    if isinstance(error, refusals.ListsNames):
        return {"error": {**content, "names": list(error.names), "more": error.more}}
    return {"error": content}
