"""Limits of one run, as far as this process may set them: none can be raised above its own."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from datetime import timedelta

_MIB = 1 << 20
MOST_FILES = 256
"""Descriptors of one run: a few for its threads, one for the connection, one for the target."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: the setrlimit resource, the wanted value, and the most that this process may set."""

    kind: int
    wanted: int
    most: int

    @property
    def is_met(self) -> bool:
        return self.most >= self.wanted


def limits_of(cpu_time: timedelta, address_space_bytes: int) -> tuple[Limit, ...]:
    """Return the limits of a run. The address space comes last, because no memory may be allocated after it is set."""
    return (
        _limit(resource.RLIMIT_CORE, 0),
        _limit(resource.RLIMIT_NOFILE, MOST_FILES),
        _limit(resource.RLIMIT_CPU, int(cpu_time.total_seconds())),
        _limit(resource.RLIMIT_AS, address_space_bytes),
    )


def shortfall(limit: Limit) -> str:
    """Describe a limit that this process cannot set as wanted."""
    if limit.kind == resource.RLIMIT_AS:
        return (
            f"the address space of qemu-img is limited to {limit.most // _MIB} MiB instead of {limit.wanted // _MIB} "
            "MiB ([libvirt] images_address_space_limit), because this process has that limit itself; raise LimitAS= "
            "of its unit"
        )
    if limit.kind == resource.RLIMIT_CPU:
        return (
            f"the processor time of qemu-img is limited to {limit.most} s instead of {limit.wanted} s, because this "
            "process has that limit itself; raise LimitCPU= of its unit"
        )
    return f"qemu-img may open {limit.most} files instead of {limit.wanted}; raise LimitNOFILE= of this process's unit"


def _limit(kind: int, wanted: int) -> Limit:
    hard = resource.getrlimit(kind)[1]
    return Limit(kind, wanted, wanted if hard == resource.RLIM_INFINITY else min(wanted, hard))
