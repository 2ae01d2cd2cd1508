"""[conductor]: how jobs are claimed and worked on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from oslo_config import cfg

from precache.config.options import OptionGroup, settings_of

OPTIONS = [
    cfg.IntOpt(
        "lease",
        default=30,
        min=3,
        help="Seconds until a conductor's claim on a job expires unless it is extended; another conductor then takes "
        "the job over.",
    ),
    cfg.IntOpt(
        "poll_interval",
        default=5,
        min=1,
        help="Seconds between two searches for new jobs that were not announced on the bus.",
    ),
    cfg.IntOpt("jobs_at_once", default=8, min=1, help="Jobs that a conductor works on at the same time."),
    cfg.IntOpt(
        "max_hosts_per_cell",
        default=20000,
        min=1,
        help="Most hosts of one cell. Heartbeats of further hosts are dropped, so that a sender on a cell's message "
        "bus cannot fill the database with invented hosts.",
    ),
]


@dataclass(frozen=True, slots=True)
class ConductorSettings:
    lease: timedelta
    poll_interval: timedelta
    jobs_at_once: int
    max_hosts_per_cell: int


GROUP = OptionGroup("conductor", "The process that calls the hosts.", OPTIONS, partial(settings_of, ConductorSettings))
