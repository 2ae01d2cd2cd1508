"""On a host: whether others share its image cache, and whether they share its locks, too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from precache.config.load import Config
from precache.core.text import first_names, number_of
from precache.doctor.findings import Finding, failed, ok, skipped, warning
from precache.doctor.locks import mount_of
from precache.imagecache.disks.sharer_files import Sharer, read_sharers

_SILENT_AFTER = timedelta(days=1)
_SHARED_KINDS = ("nfs", "cifs", "ceph", "gfs2", "ocfs2", "glusterfs", "lustre", "fuse.glusterfs")
_WHOLE_DIRECTORY = "mount the whole instances directory on all of these hosts, not the cache alone"


def check_shared_cache(config: Config) -> Iterator[Finding]:
    """Read what the hosts have stored in the cache that they share."""
    instances = config.host.instances_path
    cache = instances / config.image_cache.subdirectory_name
    if not cache.is_dir():
        yield skipped(f"{cache} does not exist yet")
        return
    sharers = list(read_sharers(cache))
    marks = {each.locks_mark for each in sharers}
    names = first_names([each.host for each in sharers])
    if len(marks) > 1:
        yield failed(
            f"{names} share {cache}, but not its locks: one may remove what another is using, so nothing is removed",
            _WHOLE_DIRECTORY,
        )
    elif _is_apart(config):
        yield warning(
            f"{cache} is on a shared file system of its own, so other hosts do not see the locks in {instances}/locks",
            _WHOLE_DIRECTORY,
        )
    elif len(sharers) > 1:
        yield ok(f"{number_of(len(sharers), 'host')} share {cache} with its locks: {names}")
    else:
        yield ok(f"no other host shares {cache}")
    yield from _silent(sharers)


def _is_apart(config: Config) -> bool:
    instances = config.host.instances_path
    of_cache, of_locks = mount_of(instances / config.image_cache.subdirectory_name), mount_of(instances / "locks")
    return of_cache != of_locks and of_cache is not None and of_cache.kind.startswith(_SHARED_KINDS)


def _silent(sharers: Sequence[Sharer]) -> Iterator[Finding]:
    for each in sharers:
        if each.silent_for >= _SILENT_AFTER:
            yield warning(
                f"host {each.host}, which shares this cache, was not seen for {each.silent_for.days} days; what its "
                "guests use stays",
                f"start its compute, or, if it does not exist any more: precache cache sharer remove {each.host}",
            )
