"""[jobs]: the records of jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from oslo_config import cfg

from precache.config.options import OptionGroup

OPTIONS = [
    cfg.IntOpt(
        "keep_days",
        default=0,
        min=0,
        max=36500,
        help="Days after which the conductors remove the record of a job that has ended, with its tasks. 0: never, "
        "until `precache db purge` does. Removed records cannot be restored.",
    ),
]


@dataclass(frozen=True, slots=True)
class JobSettings:
    """keep: how long the record of a job is kept after its end; None for ever."""

    keep: timedelta | None


def _parse(values: Any) -> JobSettings:
    return JobSettings(timedelta(days=values.keep_days) if values.keep_days else None)


GROUP = OptionGroup("jobs", "Records of jobs.", OPTIONS, _parse)
