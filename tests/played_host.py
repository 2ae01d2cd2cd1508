"""A host's end of the calls of conductors, played by functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from precache.core.cache_cleaning import CleanRequest, CleanResult
from precache.core.cache_contents import CacheContents
from precache.core.errors import CacheNotDescribed
from precache.core.relays import Assignment, Peer
from precache.core.swarm_checks import SwarmState
from precache.ports.compute_gateway import HostResult, ImagesRequest


class PlayedHost:
    """The port `HostCompute`. Without a function of its own it has nothing to stop, and confirms every call.

    describe_cache: None for a cache that cannot be described.
    """

    def __init__(
        self,
        process_images: Callable[[ImagesRequest], Sequence[HostResult]],
        cancel_job: Callable[..., None] | None = None,
        *,
        pause_job: Callable[..., None] | None = None,
        limit_job: Callable[..., None] | None = None,
        describe_cache: Callable[..., CacheContents] | None = None,
        clean_cache: Callable[[CleanRequest], CleanResult] | None = None,
        change_relay: Callable[[Assignment], None] | None = None,
        check_swarm: Callable[[Peer | None], SwarmState] | None = None,
    ) -> None:
        self.process_images = process_images
        self.cancel_job = cancel_job or _confirm
        self.pause_job = pause_job or _confirm
        self.limit_job = limit_job or _confirm
        self.describe_cache = describe_cache or _no_description
        self.clean_cache = clean_cache or _nothing_to_clean
        self.change_relay = change_relay or _confirm
        self.check_swarm = check_swarm or _no_swarm


def _confirm(*_call: object) -> None: ...


def _no_swarm(_peer: Peer | None) -> SwarmState:
    return SwarmState()


def _nothing_to_clean(_request: CleanRequest) -> CleanResult:
    return CleanResult(policy="age")


def _no_description(_images: object) -> CacheContents:
    raise CacheNotDescribed
