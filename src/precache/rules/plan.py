"""Makes the plan of a job from what its hosts hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from precache.core.cache_contents import ImageSize
from precache.core.host_survey import HostReport, HostStanding, Survey
from precache.core.images import ImageId
from precache.core.jobs import NewJob
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
from precache.rules.duration import Download, HostWork, Turns, seconds_of_work
from precache.rules.plan_times import begins_at, ends_at, meets_deadline

MOST_LISTED = 20
"""Hosts in each list of a plan: a plan for thousands of hosts is read by a person."""

NOT_REPORTED = "there was no report about this host"


@dataclass(frozen=True, slots=True)
class _Known:
    """What a plan is made from. downloads: by image, as every host would make it."""

    downloads: Mapping[ImageId, Download]
    survey: Survey
    rates: Mapping[str, MeasuredRate]
    turns: Turns

    def report(self, host: str) -> HostReport:
        return self.survey.reports.get(host) or HostReport(HostStanding.UNKNOWN, reason=NOT_REPORTED)

    def kind(self, report: HostReport) -> PlannedHost:
        if report.standing is not HostStanding.ANSWERED:
            return PlannedHost(report.standing.value)
        if report.contents.unsupported:
            return PlannedHost.UNSUPPORTED
        return PlannedHost.INCOMPLETE if self.missing(report) else PlannedHost.READY

    def missing(self, report: HostReport) -> list[ImageId]:
        """Return the images that the host would download."""
        if report.standing is not HostStanding.ANSWERED or report.contents.unsupported:
            return []
        return [image for image in self.downloads if image not in report.contents.held]

    def lacks_space(self, report: HostReport) -> bool:
        return bool(self.missing(report)) and report.contents.lacks_space

    def seconds(self, reports: Iterable[HostReport]) -> float | None:
        work = (
            HostWork(each.cell or "", each.site, tuple(self.downloads[image] for image in self.missing(each)))
            for each in reports
        )
        return seconds_of_work(work, {cell: rate.bytes_per_s for cell, rate in self.rates.items()}, self.turns)


def make_plan(
    job: NewJob, sizes: Sequence[ImageSize], survey: Survey, rates: Mapping[str, MeasuredRate], now: datetime
) -> Plan:
    """Return the plan of the job. sizes: of the images of its orders. rates: of downloads, by cell."""
    known = _Known(_downloads(job, sizes), survey, rates, _turns(job, survey))
    groups: dict[tuple[str | None, str], dict[str, HostReport]] = {}
    for host in dict.fromkeys(job.hosts):
        report = known.report(host)
        groups.setdefault((report.cell, report.site), {})[host] = report
    reports = {host: report for group in groups.values() for host, report in group.items()}
    return Plan(
        groups=tuple(_group(cell, site, of_group, known) for (cell, site), of_group in groups.items()),
        lacking_space=_notes({host: report for host, report in reports.items() if known.lacks_space(report)}),
        down=_notes(_of_kind(PlannedHost.DOWN, reports, known)),
        unknown=_notes(_of_kind(PlannedHost.UNKNOWN, reports, known)),
        unsupported=_notes(_of_kind(PlannedHost.UNSUPPORTED, reports, known)),
        estimate=_estimate(job, list(reports.values()), known, now),
    )


def _downloads(job: NewJob, sizes: Sequence[ImageSize]) -> dict[ImageId, Download]:
    size_of = {size.image: size.size_bytes or 0 for size in sizes}
    return {
        order.image: Download(size_of.get(order.image, 0), order.options.rate_limit_bytes_per_s) for order in job.orders
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
    )


def _lowest(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _group(cell: str | None, site: str, reports: Mapping[str, HostReport], known: _Known) -> PlannedGroup:
    kinds = Counter(known.kind(report) for report in reports.values())
    missing = Counter(image for report in reports.values() for image in known.missing(report))
    return PlannedGroup(
        cell=cell,
        site=site,
        hosts={kind: kinds[kind] for kind in PlannedHost},
        lacking_space=sum(map(known.lacks_space, reports.values())),
        bytes_to_move=sum(known.downloads[image].size_bytes * count for image, count in missing.items()),
        images=tuple(PlannedImage(image, _holders(image, reports), missing[image]) for image in known.downloads),
        rate=known.rates.get(cell or ""),
        seconds=known.seconds(reports.values()),
    )


def _holders(image: ImageId, reports: Mapping[str, HostReport]) -> Listed:
    holders = [host for host, report in reports.items() if image in report.contents.held]
    return Listed(tuple(holders[:MOST_LISTED]), max(0, len(holders) - MOST_LISTED))


def _of_kind(kind: PlannedHost, reports: Mapping[str, HostReport], known: _Known) -> dict[str, HostReport]:
    return {host: report for host, report in reports.items() if known.kind(report) is kind}


def _notes(reports: Mapping[str, HostReport]) -> HostNotes:
    notes = tuple(
        HostNote(
            host,
            report.cell,
            report.site,
            report.reason or report.contents.unsupported,
            report.contents.needed_bytes,
            report.contents.free_bytes,
        )
        for host, report in list(reports.items())[:MOST_LISTED]
    )
    return HostNotes(notes, len(reports) - len(notes))


def _estimate(job: NewJob, reports: Sequence[HostReport], known: _Known, now: datetime) -> Estimate:
    seconds = known.seconds(reports)
    cells = sorted({report.cell or "" for report in reports if known.missing(report)})
    measured = [known.rates[cell] for cell in cells if cell in known.rates]
    begin = begins_at(job.options, now)
    return Estimate(
        seconds=seconds,
        reason="" if seconds is not None else _why_unknown(cells, known.rates),
        tasks=sum(rate.tasks for rate in measured),
        jobs=max((rate.jobs for rate in measured), default=0),
        hosts_at_once=known.turns.hosts,
        begins_at=begin,
        ends_at=None if seconds is None else ends_at(job.options, begin, seconds),
        meets_deadline=meets_deadline(job.options, begin, seconds),
    )


def _why_unknown(cells: Iterable[str], rates: Mapping[str, MeasuredRate]) -> str:
    unmeasured = [cell or "an unknown cell" for cell in cells if cell not in rates]
    first, more = ", ".join(unmeasured[:MOST_LISTED]), len(unmeasured) - MOST_LISTED
    return f"no download of a recent job was measured in {first}" + (f" and {more} more cells" if more > 0 else "")
