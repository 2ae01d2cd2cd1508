"""On a host: who removes expired entries, and whether that one runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from precache.config.load import Config
from precache.doctor.findings import Finding, failed, ok, warning

PROCESSES = Path("/proc")


def look_at_cache_owner(config: Config, processes: Path = PROCESSES) -> Iterator[Finding]:
    """Compare [image_cache] owner with whether a nova-compute runs here. processes: the kernel's list of them."""
    runs = nova_compute_runs(processes)
    if config.image_cache.is_ours and runs:
        yield failed(
            "[image_cache] owner is precache but nova-compute runs here: two would clean one cache and disagree",
            "set owner = nova",
        )
    elif not config.image_cache.is_ours and not runs:
        yield warning(
            "[image_cache] owner is nova but no nova-compute runs here: nobody removes expired images",
            "start nova-compute, or set owner = precache on a host without Nova",
        )
    else:
        yield ok(f"[image_cache] owner is {config.image_cache.owner}, as is right here")


def nova_compute_runs(processes: Path) -> bool:
    """Say whether one of the processes is a nova-compute."""
    return any(_is_nova_compute(file) for file in processes.glob("[0-9]*/cmdline"))


def _is_nova_compute(file: Path) -> bool:
    try:
        words = file.read_bytes().split(b"\0")
    except OSError:  # it has ended meanwhile, or is hidden from us
        return False
    # Its own name, or that of the script that an interpreter runs.
    return any(Path(word.decode(errors="replace")).name == "nova-compute" for word in words[:3] if word)
