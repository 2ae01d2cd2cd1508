"""The options of a job: when it runs, how many hosts at once, how fast, and what is done about failures.

They have the same form as JSON everywhere: in a client's request, in the row of a job, in the API's answer. Readers
ignore unknown fields. A new option is a field of `JobOptions`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, time
from enum import StrEnum
from typing import Any

from precache.core.errors import InvalidOption
from precache.core.orders import MOST_BYTES_PER_S

MOST_HOSTS = 10_000
MOST_PRIORITY = 100
MOST_RETRIES = 10
MOST_JITTER_S = 86_400


class WhenDown(StrEnum):
    """What becomes of a host that is down: its tasks are skipped, or wait until it is up."""

    SKIP = "skip"
    WAIT = "wait"


class Day(StrEnum):
    """A day of the week; their order is that of `datetime.weekday`."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


EVERY_DAY = tuple(Day)


@dataclass(frozen=True, slots=True)
class Window:
    """The hours in which a job may run, in local time.

    days: on which the window opens.
    begin, end: its hours. An end before the beginning is on the next day.
    time_zone: a name of the IANA time zone database.
    """

    begin: time
    end: time
    time_zone: str = "UTC"
    days: tuple[Day, ...] = EVERY_DAY

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Window:
        """Return the window in the document. Raises KeyError, ValueError for a document without the right form."""
        begin, end = time.fromisoformat(document["from"]), time.fromisoformat(document["to"])
        days = tuple(map(Day, document.get("days", EVERY_DAY)))
        return cls(begin, end, document.get("time_zone", "UTC"), days)

    def document(self) -> dict[str, Any]:
        return {
            "days": [day.value for day in self.days],
            "from": self.begin.strftime("%H:%M"),
            "to": self.end.strftime("%H:%M"),
            "time_zone": self.time_zone,
        }


@dataclass(frozen=True, slots=True)
class Canary:
    """The first hosts of a job: the others follow if all images are in the caches of these. One of the fields is set.

    hosts: how many. percent: of the hosts of the job.
    """

    hosts: int | None = None
    percent: int | None = None

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Canary:
        return cls(document.get("hosts"), document.get("percent"))

    def document(self) -> dict[str, int]:
        return {part.name: value for part in fields(self) if (value := getattr(self, part.name)) is not None}


def _read_time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return at.astimezone(UTC)


def _time_text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """How a job runs. The default of each option is the behaviour before it existed.

    priority: from 0 to 100; a job with a higher one comes first.
    parallelism, parallelism_per_site: the most hosts at once; None for no limit beside the configured ones.
    job_rate_limit_bytes_per_s: the highest rate of the downloads of all hosts together; None for no limit.
    jitter_s: each host begins after a random time of at most so many seconds.
    not_before, deadline: when the job may begin, and when it ends with what is done until then.
    window: when it runs; None for always.
    retries: how often a task is tried again after a failure that may pass.
    canary: None to begin with all hosts.
    notify_url: is told of each state of the job.
    """

    priority: int = 50
    parallelism: int | None = None
    parallelism_per_site: int | None = None
    job_rate_limit_bytes_per_s: int | None = None
    jitter_s: int = 0
    not_before: datetime | None = None
    deadline: datetime | None = None
    window: Window | None = None
    retries: int = 0
    when_down: WhenDown = WhenDown.SKIP
    canary: Canary | None = None
    notify_url: str | None = None

    def __post_init__(self) -> None:
        """Raises InvalidOption."""
        for name, least, most in _NUMBERS:
            value = getattr(self, name)
            # In Python a bool is an int.
            if value is not None and (type(value) is not int or not least <= value <= most):
                raise InvalidOption(name, value, f"a whole number from {least} to {most}")

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> JobOptions:
        """Return the options in the document; ignore its other fields. Raises InvalidOption."""
        chosen: dict[str, Any] = {}
        for option in fields(cls):
            if option.name in document:
                value = document[option.name]
                try:
                    chosen[option.name] = value if value is None else _READ.get(option.name, _same)(value)
                except (KeyError, TypeError, ValueError) as error:
                    raise InvalidOption(option.name, value, "in the documented form") from error
        return cls(**chosen)

    def document(self) -> dict[str, Any]:
        """Return the options that differ from their defaults, for JSON."""
        return {
            option.name: _WRITE.get(option.name, _same)(value)
            for option in fields(self)
            if (value := getattr(self, option.name)) != option.default
        }


def _same(value: Any) -> Any:
    return value


_READ: Mapping[str, Callable[[Any], Any]] = {
    "not_before": _read_time,
    "deadline": _read_time,
    "window": Window.read,
    "when_down": WhenDown,
    "canary": Canary.read,
}
_WRITE: Mapping[str, Callable[[Any], Any]] = {
    "not_before": _time_text,
    "deadline": _time_text,
    "window": Window.document,
    "when_down": str,
    "canary": Canary.document,
}

_NUMBERS = (
    ("priority", 0, MOST_PRIORITY),
    ("parallelism", 1, MOST_HOSTS),
    ("parallelism_per_site", 1, MOST_HOSTS),
    ("job_rate_limit_bytes_per_s", 1, MOST_BYTES_PER_S),
    ("jitter_s", 0, MOST_JITTER_S),
    ("retries", 0, MOST_RETRIES),
)

DEFAULT_JOB_OPTIONS = JobOptions()
