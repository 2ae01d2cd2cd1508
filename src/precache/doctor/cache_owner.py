"""On a host: which service removes expired entries, and whether it runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from precache.config.load import Config
from precache.core.errors import DomainsUnknown
from precache.doctor.findings import Finding, failed, ok, warning
from precache.imagecache.space.disk_usage import disk_size
from precache.ports.domain_disks import DomainDisks
from precache.virt.libvirt_domains import LibvirtDomains

PROCESSES = Path("/proc")


def check_cache_owner(
    config: Config, processes: Path = PROCESSES, domains: DomainDisks | None = None
) -> Iterator[Finding]:
    """Compare [image_cache] owner with whether a nova-compute runs here, and check that the cleaner knows all disks.

    processes: the kernel's list of them. domains: None for those of the configured libvirt.
    """
    runs = nova_compute_runs(processes)
    if config.image_cache.is_precache_owner and runs:
        yield failed(
            "[image_cache] owner is precache but nova-compute runs here: two would clean one cache and disagree",
            "set owner = nova",
        )
    elif not config.image_cache.is_precache_owner and not runs:
        yield warning(
            f"{_owner_is_nova(config)} but no nova-compute runs here: expired images are never removed",
            "start nova-compute, or set owner = precache on a host without Nova",
        )
    else:
        yield ok(f"[image_cache] owner is {config.image_cache.owner}, as is right here")
    if config.image_cache.is_precache_owner:
        yield from _check_marks(config)
        yield _check_domains(domains or LibvirtDomains(uri=config.libvirt.connection_uri))


def _check_marks(config: Config) -> Iterator[Finding]:
    """Compare where eviction ends with what is reserved for guests."""
    cache, place = config.image_cache, config.host.instances_path
    marks = cache.cleaning.watermarks
    end = marks.to_free or marks.below_free
    if end is None or cache.cleaning.makes_room or not place.exists():
        return
    total_bytes = disk_size(place).total_bytes
    if end.of(total_bytes) < cache.reserve.of(total_bytes):
        yield warning(
            f"eviction ends when {end} are free, but {cache.reserve} are reserved for guests: then no image fits yet",
            "raise [image_cache] evict_to_free above reserve_bytes, or set make_room = true",
        )


def _owner_is_nova(config: Config) -> str:
    if config.image_cache.is_owner_chosen:
        return "[image_cache] owner is nova"
    return "[image_cache] owner is nova because no configuration file sets it,"


def _check_domains(domains: DomainDisks) -> Finding:
    """Read the domains as the cleaner does."""
    try:
        files = domains.files()
    except DomainsUnknown as error:
        return warning(f"{error.reason}; until this is corrected, no expired image is removed", error.advice)
    if files is None:
        return ok("this host has no libvirt; every image on which a disk was ever made is kept")
    return ok("libvirt lists the disks of its guests")


def nova_compute_runs(processes: Path) -> bool:
    """Return whether one of the processes is a nova-compute."""
    return any(_is_nova_compute(file) for file in processes.glob("[0-9]*/cmdline"))


def _is_nova_compute(file: Path) -> bool:
    try:
        words = file.read_bytes().split(b"\0")
    except OSError:  # it has ended meanwhile, or is hidden from this user
        return False
    # Its own name, or that of the script that an interpreter runs.
    return any(Path(word.decode(errors="replace")).name == "nova-compute" for word in words[:3] if word)
