"""Makes the plan of a job from what its hosts hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from precache.core.cache_contents import ImageSize
from precache.core.host_calls import Place
from precache.core.host_survey import HostReport, HostStanding, Survey
from precache.core.images import ImageId
from precache.core.jobs import NewJob
from precache.core.operations import Operation
from precache.core.plans import (
    Estimate,
    HostNote,
    HostNotes,
    Listed,
    Plan,
    PlannedGroup,
    PlannedHost,
    PlannedImage,
)
from precache.core.transfer_rates import MeasuredRate
from precache.core.transfer_rules import TransferRules
from precache.rules.duration import Download, HostWork, Turns, image_service_bytes, seconds_of_work
from precache.rules.plan_times import begins_at, ends_at, meets_deadline
from precache.rules.transfer_choice import SwarmHost, TransferChoice, choose_transfers, place_of_relay

MOST_LISTED = 20
"""Hosts in each list of a plan: a plan for thousands of hosts is read by a person."""

NOT_REPORTED = "there was no report about this host"


@dataclass(frozen=True, slots=True)
class _PlannedWork:
    """One host. missing: the images that its cache lacks. downloads: those that it would download itself: of hosts
    that share a cache only the first one does. by_swarm: the others of its site get them from it, or it from them."""

    host: str
    report: HostReport
    kind: PlannedHost
    missing: tuple[ImageId, ...]
    downloads: tuple[ImageId, ...] = ()
    by_swarm: bool = False

    @property
    def place(self) -> Place:
        return Place(self.report.cell or "", self.report.site)

    @property
    def lacks_space(self) -> bool:
        return bool(self.missing) and self.report.contents.lacks_space


@dataclass(frozen=True, slots=True)
class _Conditions:
    """What the time depends on.

    operation: of the job; only the time of downloads is estimated. downloads: by image, as every host would make it.
    rates: by cell. transfers: which hosts get images by swarm.
    """

    operation: Operation
    downloads: Mapping[ImageId, Download]
    rates: Mapping[str, MeasuredRate]
    turns: Turns
    transfers: TransferRules

    @property
    def has_downloads(self) -> bool:
        return self.operation is Operation.CACHE

    def seconds(self, hosts: Iterable[_PlannedWork]) -> float | None:
        if not self.has_downloads:
            return None
        rates = {cell: rate.bytes_per_s for cell, rate in self.rates.items()}
        return seconds_of_work(self.work(hosts), rates, self.turns)

    def image_service_bytes(self, hosts: Sequence[_PlannedWork]) -> dict[str, int]:
        """Return what the image service sends to each host, by name."""
        sent = image_service_bytes(self.work(hosts), self.turns.origins_per_relay)
        return {each.host: count for each, count in zip(hosts, sent, strict=True)}

    def work(self, hosts: Iterable[_PlannedWork]) -> list[HostWork]:
        return [
            HostWork(
                *each.place,
                tuple(self.downloads[image] for image in each.downloads),
                each.by_swarm,
                place_of_relay(each.place, self.transfers).site,
            )
            for each in hosts
        ]


def make_plan(
    job: NewJob, sizes: Sequence[ImageSize], survey: Survey, rates: Mapping[str, MeasuredRate], now: datetime
) -> Plan:
    """Return the plan of the job. sizes: of the images of its orders. rates: of downloads, by cell."""
    transfers = survey.swarm or TransferRules()
    conditions = _Conditions(job.operation, _downloads(job, sizes), rates, _turns(job, survey), transfers)
    unreported = HostReport(HostStanding.UNKNOWN, reason=NOT_REPORTED)
    hosts = [
        _planned(host, survey.reports.get(host, unreported), conditions.downloads) for host in dict.fromkeys(job.hosts)
    ]
    hosts = _with_downloads(hosts) if conditions.has_downloads else [_without_needs(each) for each in hosts]
    choices = _choices(job, hosts, survey)
    hosts = [
        replace(each, by_swarm=each.report.can_swarm and each.place in choices and choices[each.place].by_swarm)
        for each in hosts
    ]
    sent = conditions.image_service_bytes(hosts)
    groups: dict[tuple[str | None, str], list[_PlannedWork]] = {}
    for each in hosts:
        groups.setdefault((each.report.cell, each.report.site), []).append(each)
    return Plan(
        groups=tuple(
            _group(cell, site, of_group, conditions, choices.get(Place(cell or "", site)), sent)
            for (cell, site), of_group in groups.items()
        ),
        lacking_space=_notes(each for each in hosts if each.lacks_space),
        down=_notes(each for each in hosts if each.kind is PlannedHost.DOWN),
        unknown=_notes(each for each in hosts if each.kind is PlannedHost.UNKNOWN),
        unsupported=_notes(each for each in hosts if each.kind is PlannedHost.UNSUPPORTED),
        estimate=_estimate(job, hosts, conditions, now),
    )


def _choices(job: NewJob, hosts: Iterable[_PlannedWork], survey: Survey) -> Mapping[Place, TransferChoice]:
    """Return the choices as a conductor would make them now; none if it cannot say them, or nothing is downloaded."""
    if survey.swarm is None or job.operation is not Operation.CACHE:
        return {}
    # Only hosts that are up have a report from which it follows whether they can.
    up = (each for each in hosts if each.kind is not PlannedHost.DOWN and each.report.cell is not None)
    able = (SwarmHost(each.place, each.report.can_swarm, each.report.cache_id) for each in up)
    return choose_transfers(job.options.transfer, survey.swarm, able)


def _planned(host: str, report: HostReport, images: Iterable[ImageId]) -> _PlannedWork:
    if report.standing is not HostStanding.ANSWERED:
        return _PlannedWork(host, report, PlannedHost(report.standing.value), ())
    if report.contents.unsupported:
        return _PlannedWork(host, report, PlannedHost.UNSUPPORTED, ())
    missing = tuple(image for image in images if image not in report.contents.held)
    return _PlannedWork(host, report, PlannedHost.INCOMPLETE if missing else PlannedHost.READY, missing)


def _with_downloads(hosts: Iterable[_PlannedWork]) -> list[_PlannedWork]:
    """Return the hosts with what each downloads itself, in their order."""
    seen: set[tuple[str | None, str]] = set()
    planned: list[_PlannedWork] = []
    for each in hosts:
        cache = (each.report.cell, each.report.cache_id)
        planned.append(each if cache in seen else replace(each, downloads=each.missing))
        if each.report.cache_id and each.missing:
            seen.add(cache)
    return planned


def _without_needs(host: _PlannedWork) -> _PlannedWork:
    """Return the host of a job that downloads nothing, and so needs no space."""
    contents = replace(host.report.contents, needed_bytes=None)
    return replace(host, report=replace(host.report, contents=contents))


def _downloads(job: NewJob, sizes: Sequence[ImageSize]) -> dict[ImageId, Download]:
    size_of = {size.image: size.size_bytes or 0 for size in sizes}
    return {
        order.image: Download(size_of.get(order.image, 0), order.options.rate_limit_bytes_per_s, order.image)
        for order in job.orders
    }


def _turns(job: NewJob, survey: Survey) -> Turns:
    """Return the limits of the request and of the conductor together."""
    options = job.options
    return Turns(
        hosts=_lowest(max(1, survey.hosts_at_once), options.parallelism) or 1,
        hosts_per_site=_lowest(survey.hosts_per_site, options.parallelism_per_site),
        hosts_per_cell=survey.hosts_per_cell,
        bytes_per_s=options.job_rate_limit_bytes_per_s,
        host_bytes_per_s=survey.host_bytes_per_s,
        swarm_hosts=_lowest(max(1, survey.swarm_hosts_at_once), options.parallelism) or 1,
        origins_per_relay=survey.swarm.attestations if survey.swarm else 1,
    )


def _lowest(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _group(
    cell: str | None,
    site: str,
    hosts: Sequence[_PlannedWork],
    conditions: _Conditions,
    choice: TransferChoice | None,
    sent: Mapping[str, int],
) -> PlannedGroup:
    """Return the group. sent: what the image service sends to each host."""
    kinds = Counter(each.kind for each in hosts)
    missing = Counter(image for each in hosts for image in each.missing)
    downloads = conditions.downloads
    return PlannedGroup(
        cell=cell,
        site=site,
        hosts={kind: kinds[kind] for kind in PlannedHost},
        lacking_space=sum(each.lacks_space for each in hosts),
        bytes_to_move=sum(downloads[image].size_bytes for each in hosts for image in each.downloads),
        images=tuple(
            PlannedImage(image, _holders(image, hosts), missing[image], _held_bytes(image, hosts))
            for image in downloads
        ),
        rate=conditions.rates.get(cell or ""),
        seconds=conditions.seconds(hosts),
        image_service_bytes=sum(sent[each.host] for each in hosts),
        by_swarm=choice.by_swarm if choice else None,
        transfer_reason=choice.reason if choice else "",
    )


def _holders(image: ImageId, hosts: Iterable[_PlannedWork]) -> Listed:
    holders = [each.host for each in hosts if image in each.report.contents.held]
    return Listed(tuple(holders[:MOST_LISTED]), max(0, len(holders) - MOST_LISTED))


def _held_bytes(image: ImageId, hosts: Iterable[_PlannedWork]) -> int | None:
    """Return what the image occupies, once in each cache that several hosts share; None if no host says it."""
    known: dict[str, int] = {}
    for each in hosts:
        size = each.report.contents.held_bytes.get(image)
        if size is not None:
            known[f"cache {each.report.cache_id}" if each.report.cache_id else f"host {each.host}"] = size
    return sum(known.values()) if known else None


def _notes(hosts: Iterable[_PlannedWork]) -> HostNotes:
    every = list(hosts)
    return HostNotes(tuple(map(_note, every[:MOST_LISTED])), max(0, len(every) - MOST_LISTED))


def _note(of: _PlannedWork) -> HostNote:
    report, contents = of.report, of.report.contents
    reason = report.reason or contents.unsupported
    return HostNote(
        host=of.host,
        cell=report.cell,
        site=report.site,
        reason=reason,
        needed_bytes=contents.needed_bytes,
        free_bytes=contents.free_bytes,
        promised_bytes=contents.promised_bytes,
        reserve_bytes=contents.reserve_bytes,
    )


def _estimate(job: NewJob, hosts: Sequence[_PlannedWork], conditions: _Conditions, now: datetime) -> Estimate:
    seconds, rates = conditions.seconds(hosts), conditions.rates
    cells = sorted({each.report.cell or "" for each in hosts if each.downloads})
    measured = [rates[cell] for cell in cells if cell in rates]
    begin = begins_at(job.options, now)
    return Estimate(
        seconds=seconds,
        reason="" if seconds is not None else _why_unknown(conditions, cells),
        tasks=sum(rate.tasks for rate in measured),
        jobs=max((rate.jobs for rate in measured), default=0),
        hosts_at_once=conditions.turns.hosts,
        begins_at=begin,
        ends_at=None if seconds is None else ends_at(job.options, begin, seconds),
        meets_deadline=meets_deadline(job.options, begin, seconds),
    )


def _why_unknown(conditions: _Conditions, cells: Iterable[str]) -> str:
    if not conditions.has_downloads:
        return f"the time of a job with the operation {conditions.operation} is not estimated"
    unmeasured = [cell or "an unknown cell" for cell in cells if cell not in conditions.rates]
    first, more = ", ".join(unmeasured[:MOST_LISTED]), len(unmeasured) - MOST_LISTED
    return f"no download of a recent job was measured in {first}" + (f" and {more} more cells" if more > 0 else "")
