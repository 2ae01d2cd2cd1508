"""What the caches of the hosts hold, as the hosts last reported it: the images of a host, and the hosts of an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from precache.api.calls import Answer, Call
from precache.api.handlers.cache_views import UNKNOWN, age_s, entry_view, image_view, seconds, status_of
from precache.api.handlers.job_requests import find_host
from precache.api.handlers.pages import MOST_ITEMS, page
from precache.api.handlers.views import rfc3339
from precache.core.cache_entries import CachedEntry, EntryState, Verification, entry_name, parse_entry
from precache.core.cache_inventory import CachedImage, EntryFilter, HostEntry, ImageFilter
from precache.core.errors import ImageHeldNowhere, InvalidImageId
from precache.core.hosts import Host
from precache.core.images import parse_image_id
from precache.ports.cache_inventory import CacheQueries
from precache.ports.clock import Clock
from precache.ports.inventory import HostQueries

_T = TypeVar("_T")


class CachedImages:
    """One method per operation."""

    def __init__(self, *, caches: CacheQueries, hosts: HostQueries, clock: Clock, service_down_time: timedelta) -> None:
        self._caches = caches
        self._hosts = hosts
        self._clock = clock
        self._service_down_time = service_down_time

    def index(self, call: Call) -> Answer:
        """List the images that some host holds or should hold: `marker` is the last entry of the page before."""
        only, marker = _image_filter(call.query), call.query.get("marker")

        def items(limit: int) -> list[CachedImage]:
            return self._caches.list_images(only=only, limit=limit, marker=marker)

        return page(call, "images", "/v1/images", items=items, view=image_view, marker=lambda image: image.entry)

    def hosts(self, call: Call) -> Answer:
        """List the hosts that hold one image, or should hold it: `marker` is the last host of the page before."""
        image = self._find_image(call.params["image_id"])
        now, found = self._clock.now(), dict[str, Host]()

        def read(limit: int, marker: str | None) -> list[HostEntry]:
            batch = self._caches.list_hosts(image.entry, only=_entry_filter(call.query), limit=limit, marker=marker)
            found.update(self._hosts.find_hosts([each.host for each in batch]))
            return batch

        def view(each: HostEntry) -> dict[str, Any]:
            of_report = {"reported_at": rfc3339(each.reported_at), "report_age_s": age_s(each.reported_at, now)}
            state = self._state(found.get(each.host))
            return {"host": each.host, "cell": each.cell, "host_state": state, **of_report, **entry_view(each.entry)}

        cell, host_state = call.query.get("cell"), call.query.get("host_state")

        def admits(each: HostEntry) -> bool:
            return cell in (None, each.cell) and host_state in (None, self._state(found.get(each.host)))

        def items(limit: int) -> list[HostEntry]:
            return _matching(
                read,
                admits,
                limit=limit,
                marker=call.query.get("marker"),
                name_of=lambda each: each.host,
                is_filtered=cell is not None or host_state is not None,
            )

        path = f"/v1/images/{call.params['image_id']}/hosts"
        answer = page(call, "hosts", path, items=items, view=view, marker=lambda each: each.host)
        return Answer({"image": image_view(image), **answer.content})

    def of_host(self, call: Call) -> Answer:
        """List the images that a host holds or should hold: `marker` is the last entry of the page before."""
        host = find_host(self._hosts, call.params["host_name"])
        images: dict[str, CachedImage] = {}

        def read(limit: int, marker: str | None) -> list[CachedEntry]:
            batch = self._caches.list_entries(host.name, only=_entry_filter(call.query), limit=limit, marker=marker)
            images.update(self._caches.find_images([each.entry for each in batch]))
            return batch

        def view(each: CachedEntry) -> dict[str, Any]:
            image = images.get(each.entry)
            return {
                "entry": each.entry,
                "image": each.image or (image.image if image else None),
                "name": each.image_name or (image.name if image else None) or None,
                "status": status_of(image),
                **entry_view(each),
            }

        only = {key: call.query[key] for key in ("name", "status") if key in call.query}

        def items(limit: int) -> list[CachedEntry]:
            return _matching(
                read,
                lambda each: _has(view(each), only),
                limit=limit,
                marker=call.query.get("marker"),
                name_of=lambda each: each.entry,
                is_filtered=bool(only),
            )

        path = f"/v1/hosts/{host.name}/images"
        answer = page(call, "images", path, items=items, view=view, marker=lambda each: each.entry)
        return Answer({"report": self._report(host), **answer.content})

    def _report(self, host: Host) -> dict[str, Any]:
        """Return of when the answer is. The times are null if the host has not reported."""
        cache = self._caches.find_caches([host.name]).get(host.name)
        return {
            "host": host.name,
            "host_state": self._state(host),
            "reported_at": None if cache is None else rfc3339(cache.reported_at),
            "report_age_s": None if cache is None else seconds(cache.age),
        }

    def _state(self, host: Host | None) -> str | None:
        if host is None:  # Nova no longer lists it
            return None
        return "up" if host.is_up(self._service_down_time) else "down"

    def _find_image(self, text: str) -> CachedImage:
        """Return the image with this id, or with this name of an entry. Raises ImageHeldNowhere."""
        try:
            entry = parse_entry(text) or entry_name(parse_image_id(text))
        except InvalidImageId as error:
            raise ImageHeldNowhere(text, is_id=False) from error
        image = self._caches.find_images([entry]).get(entry)
        if image is None:
            raise ImageHeldNowhere(text)
        return image


def _image_filter(query: Mapping[str, Any]) -> ImageFilter:
    of_entries = _entry_filter(query)
    statuses: set[str | None] = set(query.get("status", ()))
    return ImageFilter(
        state=of_entries.state,
        is_pinned=of_entries.is_pinned,
        verification=of_entries.verification,
        is_unused=of_entries.is_unused,
        statuses=frozenset(statuses | {None} if UNKNOWN in statuses else statuses),
        name=query.get("name"),
    )


def _entry_filter(query: Mapping[str, Any]) -> EntryFilter:
    state, verification = query.get("state"), query.get("verification")
    return EntryFilter(
        state=None if state is None else EntryState(state),
        is_pinned=query.get("pinned"),
        verification=None if verification is None else Verification(verification),
        is_unused=query.get("unused"),
    )


def _has(view: Mapping[str, Any], only: Mapping[str, Any]) -> bool:
    return all(view[key] in wanted if isinstance(wanted, list) else view[key] == wanted for key, wanted in only.items())


def _matching(
    read: Callable[[int, str | None], Sequence[_T]],
    admits: Callable[[_T], bool],
    *,
    limit: int,
    marker: str | None,
    name_of: Callable[[_T], str],
    is_filtered: bool,
) -> list[_T]:
    """Return up to `limit` items after the marker that are admitted. is_filtered: whether some may not be.

    For what the store cannot filter by: whether a host is up depends on the time, and possibly on Nova.
    """
    found: list[_T] = []
    while len(found) < limit:
        batch = read(MOST_ITEMS if is_filtered else limit, marker)
        found += [each for each in batch if admits(each)]
        if not is_filtered or len(batch) < MOST_ITEMS:
            break
        marker = name_of(batch[-1])
    return found[:limit]
