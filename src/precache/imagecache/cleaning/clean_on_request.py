"""What an operator's request to clean a cache removes now, and why the rest stays."""

from __future__ import annotations

from datetime import timedelta

from precache.core.cache_cleaning import CleanedEntry, CleanRequest, CleanResult
from precache.core.cache_entries import CacheSpace
from precache.imagecache.cleaning.batch_removal import BatchRemoval
from precache.imagecache.cleaning.cache_inspection import Inspection
from precache.imagecache.cleaning.entry_removal import EntryRemoval, Obstacle, RemovalResult
from precache.rules.eviction import CachePolicy, Cleaning, choose_evicted
from precache.rules.expiry import CacheFile

_IN_FLIGHT = "in flight: a process fetches, copies or boots from it"


def clean_on_request(
    found: Inspection, request: CleanRequest, cleaning: Cleaning, removal: EntryRemoval, batches: BatchRemoval
) -> CleanResult:
    """Remove what the request chooses, unless it is a dry run, and return what was removed and what stays."""
    chosen = _chosen(found, request, cleaning)
    files = [file for file in found.oldest_first() if file.name in chosen]
    if request.is_dry_run:
        results = {file.name: removal.check(file.name) for file in files}
    else:
        done = batches.remove_each([(file, chosen[file.name]) for file in files])
        results = {file.name: result for file, result in zip(files, done, strict=True)}
    removed, kept = list[CleanedEntry](), list[CleanedEntry]()
    for file in found.oldest_first():
        if file.name not in chosen:
            why = found.hindrance(file) or _why_not_chosen(found, file, request, cleaning)
            kept.append(_cleaned(file, why))
        elif (result := results[file.name]) is None or result.is_removed:
            removed.append(_cleaned(file, chosen[file.name]))
        else:
            kept.append(_cleaned(file, _words(result)))
    return CleanResult(cleaning.policy.value, tuple(removed), tuple(kept))


def _chosen(found: Inspection, request: CleanRequest, cleaning: Cleaning) -> dict[str, str]:
    """Return the names of the files that the request removes if they are free, each with the reason."""
    if request.everything or request.keep_days is not None:
        least = timedelta(days=request.keep_days or 0)
        return {
            file.name: f"cleaned on request, {found.unused_text(file)}"
            for file in found.files.values()
            if not found.hindrance(file) and (request.everything or found.unused_for(file) >= least)
        }
    if not cleaning.removes_unused:
        return {}
    expired = found.expired(cleaning.limits) if cleaning.policy is CachePolicy.AGE else []
    freed = sum(file.size_bytes for file in expired)
    space, names = found.space, {file.name for file in expired}
    left = CacheSpace(space.total_bytes, space.free_bytes + freed, space.used_bytes - freed)
    needed, passed = cleaning.watermarks.bytes_to_evict(left), cleaning.watermarks.passed(left)
    evicted = choose_evicted(found.candidates(names), needed, cleaning.policy, all_or_nothing=False)
    return {file.name: found.unused_text(file) for file in expired} | {
        candidate.name: f"{passed}: {cleaning.policy.choice}" for candidate in evicted
    }


def _why_not_chosen(found: Inspection, file: CacheFile, request: CleanRequest, cleaning: Cleaning) -> str:
    unused = found.unused_text(file)
    if request.keep_days is not None:
        return f"{unused}; what was used within {request.keep_days} days stays"
    if not cleaning.removes_unused:
        return f"{unused}; [image_cache] remove_unused_base_images is false"
    if cleaning.policy is CachePolicy.AGE:
        hours = cleaning.limits.of(file.name) / timedelta(hours=1)
        return f"{unused}; it expires after {hours:g} h"
    return f"{unused}; by the policy {cleaning.policy} nothing more goes now"


def _words(result: RemovalResult) -> str:
    return _IN_FLIGHT if result.obstacle is Obstacle.LOCKED else result.detail


def _cleaned(file: CacheFile, reason: str) -> CleanedEntry:
    return CleanedEntry(file.name, file.image, file.size_bytes, file.last_used, reason)
