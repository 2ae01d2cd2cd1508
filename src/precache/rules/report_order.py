"""Which reports of a host's cache are newer than what is stored of it, and what they change.

Reports may be lost, repeated and reordered, also those of a compute that has restarted since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from precache.core.cache_entries import CachedEntry, CacheReport


@dataclass(frozen=True, slots=True)
class StoredReport:
    """Which report of a host is stored. base: the sequence of the full report that it changes.

    earlier_boot_id, earlier_sequence: of the last report before the compute restarted; empty if there was none.
    """

    boot_id: str
    sequence: int
    base: int
    earlier_boot_id: str = ""
    earlier_sequence: int = 0


@dataclass(frozen=True, slots=True)
class CacheUpdate:
    """What is to be stored of a host. last: the newest report, for everything except the entries.

    entries: by name. is_full: they replace all that is stored; else they are new or changed, and `gone` are removed.
    stored: describes the newest report.
    """

    last: CacheReport
    stored: StoredReport
    is_full: bool
    entries: Mapping[str, CachedEntry]
    gone: frozenset[str] = frozenset()


def next_update(stored: StoredReport | None, reports: Sequence[CacheReport]) -> CacheUpdate | None:
    """Return what these reports of one host change together; None if none of them is newer than the stored one.

    reports: in the order of their arrival, which counts only if the compute has restarted.
    """
    update: CacheUpdate | None = None
    boot_ids = list(dict.fromkeys(report.boot_id for report in reports))
    for report in sorted(reports, key=lambda each: (boot_ids.index(each.boot_id), each.sequence)):
        if is_newer(report, stored):
            stored = _after(stored, report)
            update = _added(update, report, stored)
    return update


def is_newer(report: CacheReport, stored: StoredReport | None) -> bool:
    """Return whether the report can be stored after that one.

    A restarted compute may count from any number, because the clock of its host may have changed. So only a report of
    the stored boot_id, and of the one before it, can be recognized as older.
    """
    if stored is None:
        return report.is_full
    if report.boot_id == stored.boot_id:
        return report.sequence > stored.sequence and (report.is_full or report.base == stored.base)
    if report.boot_id == stored.earlier_boot_id and report.sequence <= stored.earlier_sequence:
        return False
    return report.is_full


def _after(stored: StoredReport | None, report: CacheReport) -> StoredReport:
    if stored is None:
        return StoredReport(report.boot_id, report.sequence, report.base)
    if stored.boot_id == report.boot_id:
        return replace(stored, sequence=report.sequence, base=report.base)
    return StoredReport(report.boot_id, report.sequence, report.base, stored.boot_id, stored.sequence)


def _added(update: CacheUpdate | None, report: CacheReport, stored: StoredReport) -> CacheUpdate:
    entries = {each.entry: each for each in report.entries}
    if report.is_full:
        return CacheUpdate(report, stored, is_full=True, entries=entries)
    gone = frozenset(report.gone) - entries.keys()
    if update is None:
        return CacheUpdate(report, stored, is_full=False, entries=entries, gone=gone)
    # Changes are all since the base, so that they contain what an earlier report of changes had.
    kept = {name: each for name, each in update.entries.items() if name not in gone}
    left = frozenset() if update.is_full else update.gone - entries.keys() | gone
    return CacheUpdate(report, stored, is_full=update.is_full, entries=kept | entries, gone=left)
