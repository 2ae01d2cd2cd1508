"""The options of a job: when it runs, how many hosts at once, how fast, and what is done about failures.

They have the same form as JSON everywhere: in a client's request, in the row of a job, in the API's answer. Readers
ignore unknown fields. A new option is a field of `JobOptions`.
"""

from __future__ import annotations

import re
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


class Transfer(StrEnum):
    """From where hosts get images: each from the image service, or one of each site, which passes them on."""

    AUTO = "auto"
    """As the service is configured for each site."""
    DIRECT = "direct"
    SWARM = "swarm"


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

    days: on which the window opens, in the order of the week.
    begin, end: its hours. An end before the beginning is on the next day.
    time_zone: a name of the IANA time zone database, which `rules/schedule.py` checks.
    """

    begin: time
    end: time
    time_zone: str = "UTC"
    days: tuple[Day, ...] = EVERY_DAY

    def __post_init__(self) -> None:
        """Raises InvalidOption."""
        if self.begin == self.end:
            raise InvalidOption("window.to", _clock_text(self.end), "another time than window.from")
        object.__setattr__(self, "days", tuple(day for day in EVERY_DAY if day in self.days))
        if not self.days:
            raise InvalidOption("window.days", [], f"at least one of {', '.join(EVERY_DAY)}")

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Window:
        """Return the window in the document. Raises InvalidOption, and TypeError for a document that is no mapping."""
        begin, end = (_read_clock(part, document.get(part)) for part in ("from", "to"))
        zone = document.get("time_zone", "UTC")
        if not isinstance(zone, str):
            raise InvalidOption("window.time_zone", zone, "the name of a time zone, such as Europe/Paris")
        return cls(begin, end, zone, _read_days(document.get("days", EVERY_DAY)))

    def document(self) -> dict[str, Any]:
        return {
            "days": [day.value for day in self.days],
            "from": _clock_text(self.begin),
            "to": _clock_text(self.end),
            "time_zone": self.time_zone,
        }


_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


def _read_clock(part: str, text: object) -> time:
    if not isinstance(text, str) or not _CLOCK.fullmatch(text):
        raise InvalidOption(f"window.{part}", text, "a time of the day from 00:00 to 23:59")
    return time.fromisoformat(text)


def _clock_text(at: time) -> str:
    return at.strftime("%H:%M")


def _read_days(names: Any) -> tuple[Day, ...]:
    try:
        return tuple(map(Day, names))
    except (TypeError, ValueError) as error:
        raise InvalidOption("window.days", names, f"a list of {', '.join(EVERY_DAY)}") from error


@dataclass(frozen=True, slots=True)
class Canary:
    """The first hosts of a job: the others follow if all images are in the caches of these. One of the fields is set.

    hosts: how many. percent: of the hosts of the job.
    """

    hosts: int | None = None
    percent: int | None = None

    def __post_init__(self) -> None:
        """Raises InvalidOption."""
        if (self.hosts is None) == (self.percent is None):
            raise InvalidOption("canary", self.document(), 'either {"hosts": N} or {"percent": P}')
        _check_number("canary.hosts", self.hosts, 1, MOST_HOSTS, may_be_none=True)
        _check_number("canary.percent", self.percent, 1, 100, may_be_none=True)

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Canary:
        """Return the canary in the document. Raises InvalidOption, and TypeError for one that is no mapping."""
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
    transfer: from where the hosts get the images.
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
    transfer: Transfer = Transfer.AUTO

    def __post_init__(self) -> None:
        """Raises InvalidOption."""
        for name, least, most in _NUMBERS:
            _check_number(name, getattr(self, name), least, most, may_be_none=_DEFAULTS[name] is None)

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> JobOptions:
        """Return the options in the document; ignore its other fields. Raises InvalidOption."""
        return cls(**{name: _read(name, document[name]) for name in _DEFAULTS if name in document})

    def document(self) -> dict[str, Any]:
        """Return the options that differ from their defaults, for JSON."""
        return {
            option.name: _WRITE.get(option.name, _same)(value)
            for option in fields(self)
            if (value := getattr(self, option.name)) != option.default
        }


def _check_number(name: str, value: object, least: int, most: int, *, may_be_none: bool) -> None:
    """Raise InvalidOption unless the value is a whole number of that range."""
    if value is None and may_be_none:
        return
    # In Python a bool is an int.
    if type(value) is not int or not least <= value <= most:
        raise InvalidOption(name, value, f"a whole number from {least} to {most}")


def _same(value: Any) -> Any:
    return value


def _read(name: str, value: Any) -> Any:
    """Return the value of an option, out of its form as JSON. Raises InvalidOption."""
    if name not in _READ or (value is None and _DEFAULTS[name] is None):
        return value
    read, form = _READ[name]
    try:
        return read(value)
    except (AttributeError, OverflowError, TypeError, ValueError) as error:
        raise InvalidOption(name, value, form) from error


_TIME_FORM = "a time with its zone, such as 2026-12-05T04:00:00Z"

_READ: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "not_before": (_read_time, _TIME_FORM),
    "deadline": (_read_time, _TIME_FORM),
    "window": (Window.read, 'hours such as {"from": "02:00", "to": "05:00", "time_zone": "Europe/Paris"}'),
    "when_down": (WhenDown, "skip or wait"),
    "transfer": (Transfer, "auto, direct or swarm"),
    "canary": (Canary.read, 'either {"hosts": N} or {"percent": P}'),
}
_WRITE: Mapping[str, Callable[[Any], Any]] = {
    "not_before": _time_text,
    "deadline": _time_text,
    "window": Window.document,
    "when_down": str,
    "transfer": str,
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

_DEFAULTS: Mapping[str, Any] = {option.name: option.default for option in fields(JobOptions)}

DEFAULT_JOB_OPTIONS = JobOptions()
