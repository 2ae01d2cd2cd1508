"""The options of a job on the command line, and their form in a request.

What a value may be is checked by `core/job_options.py`, before anything is sent.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from precache.cli.client import JsonObject
from precache.cli.command import not_empty
from precache.cli.commands.cache_image import bytes_per_second
from precache.core.errors import InvalidOption
from precache.core.job_changes import CHANGEABLE
from precache.core.job_options import EVERY_DAY, MOST_HOSTS, MOST_JITTER_S, MOST_RETRIES, JobOptions

NONE = "none"
"""The word that removes an option of a job."""

_WINDOW = re.compile(r"(?:(?P<days>[a-z,]+) +)?(?P<begin>[0-9:]+)-(?P<end>[0-9:]+)(?: +(?P<zone>\S+))?")
_WHOLE = re.compile(r"[0-9]{1,9}")
_DURATION = re.compile(r"([0-9]{1,9})([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


class _Option(NamedTuple):
    """An option of a command for a field of the request.

    read: converts the text to the field's value. Raises ArgumentTypeError, ValueError.
    """

    field: str
    flag: str
    metavar: str
    read: Callable[[str], Any]
    help: str


def _window(text: str) -> JsonObject:
    """Return the window in such a text: `mon,tue 02:00-05:00 Europe/Paris`."""
    match = _WINDOW.fullmatch(text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not of the form '[DAY,DAY] HH:MM-HH:MM [ZONE]', such as 'mon,tue 02:00-05:00 Europe/Paris'; "
            f"days are {', '.join(EVERY_DAY)}"
        )
    found = {"from": match["begin"], "to": match["end"], "time_zone": match["zone"] or "UTC"}
    return found if match["days"] is None else {"days": match["days"].split(","), **found}


def _canary(text: str) -> JsonObject:
    """Return the canary in a text such as `2` or `10%`."""
    number, is_percent = text.removesuffix("%"), text.endswith("%")
    most = 100 if is_percent else MOST_HOSTS
    if not _WHOLE.fullmatch(number) or not 1 <= int(number) <= most:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a number of hosts from 1 to {MOST_HOSTS} nor a whole percentage from 1% to 100%"
        )
    return {"percent" if is_percent else "hosts": int(number)}


def duration_s(text: str) -> int:
    """Return a number of seconds, of a text such as `90`, `5m`, `1h` or `7d`, for argparse."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 90, 5m, 1h or 7d")
    return int(match[1]) * _SECONDS[match[2]]


def _jitter(text: str) -> int:
    found = duration_s(text)
    if found > MOST_JITTER_S:
        raise argparse.ArgumentTypeError(f"{text!r} is longer than 24h, the longest")
    return found


_RATE_LIMIT = _Option(
    "rate_limit_bytes_per_s",
    "--rate-limit",
    "BYTES-PER-SECOND",
    bytes_per_second,
    "highest average rate of the download on each host, such as 20M; for all images of the job",
)
_OPTIONS = (
    _Option(
        "priority", "--priority", "N", int, "from 0 to 100: hosts work for jobs with a higher one first (default 50)"
    ),
    _Option("parallelism", "--parallelism", "N", int, "most hosts at once"),
    _Option("parallelism_per_site", "--parallelism-per-site", "N", int, "most hosts at once within each site"),
    _Option(
        "job_rate_limit_bytes_per_s",
        "--job-rate-limit",
        "BYTES-PER-SECOND",
        bytes_per_second,
        "highest rate of the downloads of all hosts together, such as 200M",
    ),
    _Option(
        "jitter_s",
        "--jitter",
        "TIME",
        _jitter,
        "each host begins after a random time of at most that, such as 90, 5m or 1h; 24h at most",
    ),
    _Option("not_before", "--not-before", "TIME", str, "wait until then, such as 2026-12-04T20:00:00Z or ...+01:00"),
    _Option("deadline", "--deadline", "TIME", str, "end the job then as expired, with what is done"),
    _Option(
        "window",
        "--window",
        "WINDOW",
        _window,
        "run in these hours only, such as '02:00-05:00' (UTC) or 'mon,tue 22:00-04:00 Europe/Paris'",
    ),
    _Option(
        "retries",
        "--retries",
        "N",
        int,
        f"how often to try again after a failure that may pass, from 0 to {MOST_RETRIES} (default 0)",
    ),
    _Option(
        "when_down",
        "--when-down",
        "skip|wait",
        str,
        "skip hosts that are down (default), or wait for them until the deadline or for 24 hours",
    ),
    _Option(
        "transfer",
        "--transfer",
        "auto|direct|swarm",
        str,
        "each host gets the images from the image service (direct), or one host of each site, and the others from it "
        "and from each other (swarm); auto (default): as the service is configured for each site",
    ),
    _Option(
        "canary", "--canary", "N|P%", _canary, "begin with so many hosts; the others follow if all of these succeed"
    ),
    _Option(
        "notify_url",
        "--notify-url",
        "URL",
        str,
        "is told of each state of the job; must be below one of [notifications] webhook_urls of the service",
    ),
)


def add_job_options(parser: argparse.ArgumentParser, *, left_out: Collection[str] = ()) -> None:
    """Add the options with which a job is made. left_out: the fields that its operation does not take."""
    for option in _OPTIONS:
        if option.field not in left_out:
            _add(parser, option, option.help, _reader(option))


def add_changes(parser: argparse.ArgumentParser) -> None:
    """Add the options that change a job, with `none` for the default of each."""
    for option in (_RATE_LIMIT, *_OPTIONS):
        if option.field in CHANGEABLE:
            _add(parser, option, option.help, _reader(option, may_be_none=True))


def job_options(parsed_args: argparse.Namespace) -> JsonObject:
    """Return the fields of the request for the options that were given; null for `none`."""
    chosen: Mapping[str, Any] = vars(parsed_args)
    given = {
        option.field: value for option in (_RATE_LIMIT, *_OPTIONS) if (value := chosen.get(option.field)) is not None
    }
    return {field: None if value == NONE else value for field, value in given.items()}


def _add(parser: argparse.ArgumentParser, option: _Option, text: str, read: Callable[[str], Any]) -> None:
    parser.add_argument(option.flag, dest=option.field, metavar=option.metavar, type=read, help=text.replace("%", "%%"))


def _reader(option: _Option, *, may_be_none: bool = False) -> Callable[[str], Any]:
    """Return what reads the option's text, for argparse."""

    def read(text: str) -> Any:
        not_empty(text)
        if may_be_none and text == NONE:
            return NONE
        try:
            value = option.read(text)
        except ValueError:
            value = text  # which the check refuses
        try:
            JobOptions.read({option.field: value})
        except InvalidOption as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        return value

    return read
