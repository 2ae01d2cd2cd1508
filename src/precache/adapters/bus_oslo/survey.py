"""Both ends of the calls of the API to a conductor about hosts' caches: what do they hold, and clean this one."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import replace
from datetime import timedelta
from typing import Any

import oslo_messaging

from precache.adapters.bus_oslo.bus import Bus, NoAnswer, QueueMissing, RemoteBug, VersionUnknown
from precache.adapters.bus_oslo.clean_messages import (
    clean_message,
    clean_result_message,
    read_clean_of_host,
    read_clean_result,
)
from precache.adapters.bus_oslo.fields import MOST_ITEMS, Malformed
from precache.adapters.bus_oslo.messages import failure_message, read_failure, read_reason
from precache.adapters.bus_oslo.rpc_server import RpcServer
from precache.adapters.bus_oslo.survey_messages import (
    read_reports,
    read_survey_request,
    reports_message,
    survey_message,
)
from precache.adapters.bus_oslo.topics import CLEAN_SINCE, RPC_VERSION, SURVEY_SINCE, SURVEY_TOPIC
from precache.background.daemon_pool import DaemonPool
from precache.core.cache_cleaning import CleanRequest, CleanResult
from precache.core.cache_contents import ImageSize
from precache.core.errors import CleanRefused, ConductorUnavailable, HostNotReached, PrecacheError
from precache.core.host_survey import HostReport, HostStanding, Survey
from precache.ports.host_caches import CacheCleaning, CacheSurvey

_log = logging.getLogger(__name__)

ANSWER_WITHIN = timedelta(seconds=25)
"""How long a conductor may take: longer than it gives all hosts, and less than a client waits."""

_MONITOR_S = 10
_MOST_PAIRS = 200_000  # hosts x images of one message: its answer has a few bytes for each
_CALLS_AT_ONCE = 8
_SURVEYS_AT_ONCE = 8

NO_CONDUCTOR = "none of this release listens on the message bus of the API"
_FAILED = "it failed; its log has the details"
_INVALID = "its answer is not valid ({})"

# The codes of docs/protocol.md for `clean_cache`.
_CLEAN_REFUSED, _NOT_ASKED, _NOT_ANSWERED = "clean_refused", "not_asked", "not_answered"

_TOO_LATE = "no conductor answered in time; ask again, or for fewer hosts"


class BusSurvey:
    """The ports `CacheSurvey` and `CacheCleaning` over the bus of API and conductors.

    A survey of many hosts is shared among the conductors.
    """

    def __init__(self, *, bus: Bus, within: timedelta = ANSWER_WITHIN) -> None:
        self._bus = bus
        self._within_s = within.total_seconds()
        # It starts its threads when needed: a WSGI server may fork after it has loaded the application.
        self._pool = DaemonPool(_CALLS_AT_ONCE, name="survey")

    def ask(self, hosts: Sequence[str], images: Sequence[ImageSize]) -> Survey:
        calls = [self._pool.submit(self._call, part, images) for part in _parts(hosts, len(images))]
        done, late = wait(calls, self._within_s)
        for call in late:
            call.cancel()
        if calls and not done:
            raise ConductorUnavailable(_TOO_LATE)
        surveys = [call.result() for call in calls if call in done]
        reports = {name: report for survey in surveys for name, report in survey.reports.items()}
        missing = HostReport(HostStanding.UNKNOWN, reason=_TOO_LATE)
        # All conductors have the same limits.
        limits = surveys[0] if surveys else Survey({}, 1)
        return replace(limits, reports={host: reports.get(host, missing) for host in hosts})

    def clean(self, host: str, request: CleanRequest) -> CleanResult:
        """Do what the port `CacheCleaning` says."""
        answer = self._asked("clean_cache", clean_message(host, "", request), CLEAN_SINCE)
        try:
            if failure := read_failure(answer):
                raise _clean_error(host, failure)
            return read_clean_result(answer)
        except Malformed as fault:
            raise ConductorUnavailable(_INVALID.format(fault)) from None

    def _call(self, hosts: Sequence[str], images: Sequence[ImageSize]) -> Survey:
        """Return what a conductor answers. Raises ConductorUnavailable, BusUnavailable."""
        answer = self._asked("survey_hosts", survey_message(hosts, images), SURVEY_SINCE)
        try:
            if failure := read_failure(answer):
                raise ConductorUnavailable(read_reason(failure) or _FAILED)
            return read_reports(answer, images)
        except Malformed as fault:
            raise ConductorUnavailable(_INVALID.format(fault)) from None

    def _asked(self, method: str, message: Mapping[str, Any], version: str) -> Any:
        """Return the answer of a conductor. Raises ConductorUnavailable, BusUnavailable."""
        try:
            return self._bus.call(
                SURVEY_TOPIC,
                None,
                method,
                message,
                timeout_s=self._within_s,
                monitor_s=_MONITOR_S,
                version=version,
            )
        except (QueueMissing, VersionUnknown):
            raise ConductorUnavailable(NO_CONDUCTOR) from None
        except NoAnswer:
            raise ConductorUnavailable(_TOO_LATE) from None
        except RemoteBug as error:
            raise ConductorUnavailable(f"it failed ({error}); its log has the details") from None


def _clean_error(host: str, failure: Mapping[str, Any]) -> PrecacheError:
    reason = read_reason(failure) or _FAILED
    if failure["code"] == _CLEAN_REFUSED:
        return CleanRefused(host, reason)
    if failure["code"] in (_NOT_ASKED, _NOT_ANSWERED):
        return HostNotReached(host, reason, was_asked=failure["code"] == _NOT_ANSWERED)
    return ConductorUnavailable(reason)


def _parts(hosts: Sequence[str], image_count: int) -> Iterator[Sequence[str]]:
    """Yield the hosts in parts whose answers are small enough for one message."""
    size = min(MOST_ITEMS, max(1, _MOST_PAIRS // max(1, image_count)))
    for begin in range(0, len(hosts), size):
        yield hosts[begin : begin + size]


class SurveyListener(RpcServer):
    """Answers the API with what `survey` and `cleaning` return; one of several conductors gets each question."""

    def __init__(self, *, bus: Bus, name: str, survey: CacheSurvey, cleaning: CacheCleaning) -> None:
        endpoint = _SurveyEndpoint(survey, cleaning)
        super().__init__(bus=bus, topic=SURVEY_TOPIC, server=name, endpoint=endpoint, threads=_SURVEYS_AT_ONCE)


class _SurveyEndpoint:
    target = oslo_messaging.Target(version=RPC_VERSION)

    def __init__(self, survey: CacheSurvey, cleaning: CacheCleaning) -> None:
        self._survey, self._cleaning = survey, cleaning

    def survey_hosts(self, _context: object, **message: Any) -> dict[str, Any]:
        try:
            hosts, images = read_survey_request(message)
            return reports_message(self._survey.ask(hosts, images), images)
        except (Malformed, PrecacheError) as error:
            _log.warning("A question of the API was not answered: %s", error)
            return failure_message("failed", reason=str(error))

    def clean_cache(self, _context: object, **message: Any) -> dict[str, Any]:
        try:
            host, request = read_clean_of_host(message)
            return clean_result_message(self._cleaning.clean(host, request))
        except CleanRefused as error:
            return failure_message(_CLEAN_REFUSED, reason=error.reason)
        except HostNotReached as error:
            return failure_message(_NOT_ANSWERED if error.was_asked else _NOT_ASKED, reason=error.reason)
        except (Malformed, PrecacheError) as error:
            _log.warning("A request of the API to clean a cache was not answered: %s", error)
            return failure_message("failed", reason=str(error))
