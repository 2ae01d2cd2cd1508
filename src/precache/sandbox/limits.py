"""Limits of one run, as far as this process may set them: none can be raised above its own."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from datetime import timedelta

_MIB = 1 << 20
MOST_FILES = 256
"""Descriptors of one run: a few for its threads' own use, one for the connection, one for the target."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: the setrlimit resource, what is wanted, and what this process may give."""

    kind: int
    wanted: int
    most: int

    @property
    def is_met(self) -> bool:
        return self.most >= self.wanted


def limits_of(cpu_time: timedelta, address_space_bytes: int) -> tuple[Limit, ...]:
    """Return the limits of a run. That of the address space comes last: no memory may be needed after it is set."""
    return (
        _limit(resource.RLIMIT_CORE, 0),
        _limit(resource.RLIMIT_NOFILE, MOST_FILES),
        _limit(resource.RLIMIT_CPU, int(cpu_time.total_seconds())),
        _limit(resource.RLIMIT_AS, address_space_bytes),
    )


def shortfall(limit: Limit) -> str:
    """Describe a limit that this process cannot give as it is wanted."""
    if limit.kind == resource.RLIMIT_AS:
        return (
            f"the address space of qemu-img is limited to {limit.most // _MIB} MiB in place of {limit.wanted // _MIB} "
            "MiB ([libvirt] images_address_space_limit), for this process itself may have no more; raise LimitAS= of "
            "its unit"
        )
    if limit.kind == resource.RLIMIT_CPU:
        return (
            f"the processor time of qemu-img is limited to {limit.most} s in place of {limit.wanted} s, for this "
            "process itself may have no more; raise LimitCPU= of its unit"
        )
    return f"qemu-img may open {limit.most} files in place of {limit.wanted}; raise LimitNOFILE= of this process's unit"


def _limit(kind: int, wanted: int) -> Limit:
    hard = resource.getrlimit(kind)[1]
    return Limit(kind, wanted, wanted if hard == resource.RLIM_INFINITY else min(wanted, hard))
