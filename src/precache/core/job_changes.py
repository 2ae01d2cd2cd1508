"""Changes of a job's options while the job has not ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from precache.core.job_options import JobOptions
from precache.core.orders import ImageOrder, OrderOptions

CHANGEABLE = (
    "priority",
    "parallelism",
    "parallelism_per_site",
    "rate_limit_bytes_per_s",
    "job_rate_limit_bytes_per_s",
    "deadline",
    "window",
)
"""The options that may change, by their names in requests."""

_OF_ORDERS = frozenset(option.name for option in fields(OrderOptions))
_OF_SCHEDULE = frozenset({"not_before", "deadline", "window"})


@dataclass(frozen=True, slots=True)
class JobChange:
    """New values of options, in the form of a request. None stands for the default; options that are missing stay."""

    document: Mapping[str, Any]

    @property
    def is_of_schedule(self) -> bool:
        """Return whether it changes when the job runs."""
        return not _OF_SCHEDULE.isdisjoint(self.document)

    def options(self, old: JobOptions) -> JobOptions:
        """Return the options after the change. Raises InvalidOption."""
        changed = {**old.document(), **self.document}
        return JobOptions.read({name: value for name, value in changed.items() if value is not None})

    def orders(self, old: tuple[ImageOrder, ...]) -> tuple[ImageOrder, ...]:
        """Return the orders after the change, which applies to all of them. Raises InvalidOption."""
        changed = {name: value for name, value in self.document.items() if name in _OF_ORDERS}
        if not changed:
            return old
        return tuple(
            replace(order, options=OrderOptions.read({**order.options.document(), **changed})) for order in old
        )
