"""[conductor]: how jobs are claimed and worked on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from oslo_config import cfg

from precache.config.options import OptionGroup

OPTIONS = [
    cfg.IntOpt(
        "lease",
        default=30,
        min=3,
        help="Seconds for which a conductor holds a job without extending its claim; a dead conductor's jobs are "
        "taken over when they have passed.",
    ),
    cfg.IntOpt("poll_interval", default=5, min=1, help="Seconds between two looks for jobs that nobody announced."),
    cfg.IntOpt("jobs_at_once", default=8, min=1, help="Jobs that a conductor works on at the same time."),
    cfg.IntOpt(
        "max_hosts_per_cell",
        default=20000,
        min=1,
        help="Hosts that are registered for one cell. Heartbeats of further ones are dropped, so that a sender on a "
        "cell's message bus cannot fill the database with invented hosts.",
    ),
]


@dataclass(frozen=True, slots=True)
class ConductorSettings:
    lease: timedelta
    poll_interval: timedelta
    jobs_at_once: int
    max_hosts_per_cell: int


def _parse(values: Any) -> ConductorSettings:
    return ConductorSettings(
        lease=timedelta(seconds=values.lease),
        poll_interval=timedelta(seconds=values.poll_interval),
        jobs_at_once=values.jobs_at_once,
        max_hosts_per_cell=values.max_hosts_per_cell,
    )


GROUP = OptionGroup("conductor", "The process that decides which host is asked when.", OPTIONS, _parse)
