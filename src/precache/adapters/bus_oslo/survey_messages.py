"""Makes and reads the message `survey_hosts` of the API and its answer: what the caches of many hosts hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from precache.adapters.bus_oslo.contents_messages import (
    image_size_message,
    optional_size,
    read_held_bytes,
    read_image_sizes,
)
from precache.adapters.bus_oslo.fields import Malformed, read_items, read_name, read_size, read_text, read_valid
from precache.core.cache_contents import CacheContents, ImageSize
from precache.core.host_survey import HostReport, HostStanding, Survey
from precache.core.images import ImageId
from precache.core.job_options import Transfer
from precache.core.names import is_name
from precache.core.transfer_rules import TransferRules


def survey_message(hosts: Sequence[str], images: Sequence[ImageSize]) -> dict[str, Any]:
    return {"hosts": list(hosts), "images": [image_size_message(each) for each in images]}


def read_survey_request(message: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[ImageSize, ...]]:
    """Return the hosts and the images. Raises Malformed."""
    hosts = read_items(message, "hosts")
    if not all(isinstance(host, str) and is_name(host) for host in hosts):
        raise Malformed("a host is not a name")
    return tuple(map(str, hosts)), read_image_sizes(message)


def reports_message(survey: Survey, images: Sequence[ImageSize]) -> dict[str, Any]:
    """Return the answer, which has images by their places in the request: it is for thousands of hosts."""
    places = {size.image: place for place, size in enumerate(images)}
    return {
        "hosts_at_once": survey.hosts_at_once,
        "hosts_per_cell": survey.hosts_per_cell,
        "hosts_per_site": survey.hosts_per_site,
        "host_bytes_per_s": survey.host_bytes_per_s,
        **({} if survey.swarm is None else {"swarm": _swarm_message(survey.swarm, survey.swarm_hosts_at_once)}),
        "hosts": [_report_message(name, report, places) for name, report in survey.reports.items()],
    }


def _report_message(name: str, report: HostReport, places: Mapping[ImageId, int]) -> dict[str, Any]:
    contents = report.contents
    held = sorted((places[image], image) for image in contents.held if image in places)
    return {
        "host": name,
        "standing": report.standing.value,
        "cell": report.cell,
        "site": report.site,
        "reason": report.reason,
        "held": [place for place, _ in held],
        "held_bytes": [contents.held_bytes.get(image) for _, image in held],
        "needed_bytes": contents.needed_bytes,
        "free_bytes": contents.free_bytes,
        "promised_bytes": contents.promised_bytes,
        "reserve_bytes": contents.reserve_bytes,
        "unsupported": contents.unsupported,
        **({"cache_id": report.cache_id} if report.cache_id else {}),
        **({"can_swarm": True} if report.can_swarm else {}),
    }


def _swarm_message(rules: TransferRules, hosts_at_once: int) -> dict[str, Any]:
    return {
        "transfer": rules.transfer.value,
        "by_site": {site: transfer.value for site, transfer in rules.by_site.items()},
        "min_hosts": rules.min_hosts,
        "attestations": rules.attestations,
        "site_parents": dict(rules.site_parents),
        "hosts_at_once": hosts_at_once,
    }


def _read_swarm(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the survey; none if the conductor is older, or has no swarms. Raises Malformed."""
    message = answer.get("swarm")
    if not isinstance(message, Mapping):
        return {}
    by_site, parents = message.get("by_site"), message.get("site_parents")
    try:
        rules = TransferRules(
            Transfer(read_text(message, "transfer")),
            {str(site): Transfer(each) for site, each in by_site.items()} if isinstance(by_site, Mapping) else {},
            read_size(message, "min_hosts"),
            read_size(message, "attestations"),
            {str(site): str(parent) for site, parent in parents.items()} if isinstance(parents, Mapping) else {},
        )
    except ValueError:
        raise Malformed("swarm has a way of transfer that is not known") from None
    return {"swarm": rules, "swarm_hosts_at_once": read_size(message, "hosts_at_once")}


def read_reports(answer: Mapping[str, Any], images: Sequence[ImageSize]) -> Survey:
    """Return the survey, without the hosts whose reports are not valid. Raises Malformed."""

    def read(item: Mapping[str, Any]) -> tuple[str, HostReport]:
        return read_name(item, "host"), _read_report(item, images)

    reports = dict(read_valid("a report on a host", read_items(answer, "hosts"), read))
    limits: dict[str, Any] = {
        name: optional_size(answer, name) for name in ("hosts_per_cell", "hosts_per_site", "host_bytes_per_s")
    }
    return Survey(reports, read_size(answer, "hosts_at_once"), **limits, **_read_swarm(answer))


def _read_report(item: Mapping[str, Any], images: Sequence[ImageSize]) -> HostReport:
    try:
        standing = HostStanding(read_text(item, "standing"))
        held = [images[_place(place)].image for place in read_items(item, "held")]
    except (ValueError, IndexError):
        raise Malformed("standing or held is not known") from None
    return HostReport(
        standing,
        None if item.get("cell") is None else read_name(item, "cell"),
        read_text(item, "site"),
        CacheContents(
            held=frozenset(held),
            held_bytes=read_held_bytes(item, held),
            needed_bytes=optional_size(item, "needed_bytes"),
            free_bytes=optional_size(item, "free_bytes"),
            unsupported=read_text(item, "unsupported"),
            promised_bytes=optional_size(item, "promised_bytes") or 0,
            reserve_bytes=optional_size(item, "reserve_bytes") or 0,
        ),
        read_text(item, "reason"),
        read_name(item, "cache_id") if item.get("cache_id") else "",
        item.get("can_swarm") is True,
    )


def _place(value: object) -> int:
    if type(value) is not int or value < 0:
        raise Malformed("held is not a list of places")
    return value
