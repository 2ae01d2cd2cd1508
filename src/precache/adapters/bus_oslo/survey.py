"""Both ends of the question of the API to a conductor: what do the caches of these hosts hold?"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import wait
from dataclasses import replace
from datetime import timedelta
from typing import Any

import oslo_messaging

from precache.adapters.bus_oslo.bus import Bus, NoAnswer, QueueMissing, RemoteBug, VersionUnknown
from precache.adapters.bus_oslo.fields import MOST_ITEMS, Malformed
from precache.adapters.bus_oslo.messages import failure_message, read_failure, read_reason
from precache.adapters.bus_oslo.rpc_server import RpcServer
from precache.adapters.bus_oslo.survey_messages import (
    read_reports,
    read_survey_request,
    reports_message,
    survey_message,
)
from precache.adapters.bus_oslo.topics import RPC_VERSION, SURVEY_SINCE, SURVEY_TOPIC
from precache.background.daemon_pool import DaemonPool
from precache.core.cache_contents import ImageSize
from precache.core.errors import ConductorUnavailable, PrecacheError
from precache.core.host_survey import HostReport, HostStanding, Survey
from precache.ports.host_caches import CacheSurvey

_log = logging.getLogger(__name__)

ANSWER_WITHIN = timedelta(seconds=25)
"""How long a conductor may take: longer than it gives all hosts, and less than a client waits."""

_MONITOR_S = 10
_MOST_PAIRS = 200_000  # hosts x images of one message: its answer has a few bytes for each
_CALLS_AT_ONCE = 8
_SURVEYS_AT_ONCE = 8

NO_CONDUCTOR = "none of this release listens on the message bus of the API"
_TOO_LATE = "no conductor answered in time; ask again, or for fewer hosts"


class BusSurvey:
    """The port `CacheSurvey` over the bus of API and conductors. Many hosts are shared among the conductors."""

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

    def _call(self, hosts: Sequence[str], images: Sequence[ImageSize]) -> Survey:
        """Return what a conductor answers. Raises ConductorUnavailable, BusUnavailable."""
        try:
            answer = self._bus.call(
                SURVEY_TOPIC,
                None,
                "survey_hosts",
                survey_message(hosts, images),
                timeout_s=self._within_s,
                monitor_s=_MONITOR_S,
                version=SURVEY_SINCE,
            )
            if failure := read_failure(answer):
                raise ConductorUnavailable(read_reason(failure) or "it failed; its log has the details")
            return read_reports(answer, images)
        except (QueueMissing, VersionUnknown):
            raise ConductorUnavailable(NO_CONDUCTOR) from None
        except NoAnswer:
            raise ConductorUnavailable(_TOO_LATE) from None
        except RemoteBug as error:
            raise ConductorUnavailable(f"it failed ({error}); its log has the details") from None
        except Malformed as fault:
            raise ConductorUnavailable(f"its answer is not valid ({fault})") from None


def _parts(hosts: Sequence[str], image_count: int) -> Iterator[Sequence[str]]:
    """Yield the hosts in parts whose answers are small enough for one message."""
    size = min(MOST_ITEMS, max(1, _MOST_PAIRS // max(1, image_count)))
    for begin in range(0, len(hosts), size):
        yield hosts[begin : begin + size]


class SurveyListener(RpcServer):
    """Answers the API with what `survey` returns; one of several conductors gets each question."""

    def __init__(self, *, bus: Bus, name: str, survey: CacheSurvey) -> None:
        super().__init__(
            bus=bus, topic=SURVEY_TOPIC, server=name, endpoint=_SurveyEndpoint(survey), threads=_SURVEYS_AT_ONCE
        )


class _SurveyEndpoint:
    target = oslo_messaging.Target(version=RPC_VERSION)

    def __init__(self, survey: CacheSurvey) -> None:
        self._survey = survey

    def survey_hosts(self, _context: object, **message: Any) -> dict[str, Any]:
        try:
            hosts, images = read_survey_request(message)
            return reports_message(self._survey.ask(hosts, images), images)
        except (Malformed, PrecacheError) as error:
            _log.warning("A question of the API was not answered: %s", error)
            return failure_message("failed", reason=str(error))
