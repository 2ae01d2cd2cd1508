"""A host asks for its certificate until it has one, renews it in time, and says once why it has none."""

import logging
from datetime import timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.compute.renew_certificate import RenewCertificate
from precache.core.errors import ConductorUnreachable, PrecacheError, RelayRefused
from precache.core.swarm_certificates import HostCertificate
from precache.swarm.host_trust import HostTrust
from tests.swarm_hosts import CELL, SITE, SwarmHosts


class Planner:
    """Answers as a conductor, or with an error."""

    def __init__(self, clock: MemoryClock) -> None:
        self.swarm, self.calls = SwarmHosts(clock=clock), 0
        self.error: PrecacheError | None = None

    def certify(self, host: str, cell: str, signing_request: str) -> HostCertificate:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return self.swarm.authority.certify(host, cell, SITE, signing_request)


class Host:
    def __init__(self, clock: MemoryClock) -> None:
        self.clock, self.planner = clock, Planner(clock)
        self.trust = HostTrust(host="cmp-1", cell=CELL, clock=clock)
        self.renewal = RenewCertificate(
            trust=self.trust, cell=CELL, planner=self.planner, clock=clock, spread=lambda: 1.0
        )

    def wait(self, duration: timedelta, step: timedelta = timedelta(seconds=1)) -> None:
        """Let the regular work run for this time."""
        for _look in range(duration // step):
            self.clock.advance(step)
            self.renewal.run()


@pytest.fixture
def host() -> Host:
    return Host(MemoryClock())


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_host_has_a_certificate_within_seconds_and_asks_no_more(host: Host) -> None:
    host.wait(timedelta(seconds=2))
    assert host.trust.is_certified
    host.wait(timedelta(minutes=10))

    assert host.trust.is_certified
    assert host.planner.calls == 1


def test_a_certificate_is_renewed_after_half_of_its_time_and_the_spread(host: Host) -> None:
    host.wait(timedelta(seconds=2))
    first = host.trust.server_context()
    host.wait(timedelta(hours=2, minutes=10), timedelta(minutes=1))
    assert host.trust.server_context() is first

    host.wait(timedelta(minutes=3))

    assert host.planner.calls == 2
    assert host.trust.server_context() is not first
    host.wait(timedelta(hours=48), timedelta(minutes=1))
    assert host.trust.is_certified
    assert host.planner.calls <= 25


@pytest.mark.parametrize(
    "error", [ConductorUnreachable("no answer"), RelayRefused("cmp-1", "it has sent no heartbeat")]
)
def test_at_the_start_a_host_asks_quietly_until_it_is_answered(
    host: Host, caplog: pytest.LogCaptureFixture, error: PrecacheError
) -> None:
    host.planner.error = error
    host.wait(timedelta(seconds=55))
    assert 3 <= host.planner.calls <= 6  # after 2, 4, 8, 16 and 32 s

    host.planner.error = None
    host.wait(timedelta(seconds=45))

    assert host.trust.is_certified
    assert _warnings(caplog) == []


def test_a_host_without_a_certificate_says_once_why_and_goes_on_asking(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    host.planner.error = RelayRefused("cmp-1", "it is marked as down")
    host.wait(timedelta(hours=1))

    assert 10 <= host.planner.calls <= 20
    [warning] = _warnings(caplog)
    assert "takes part in no swarm" in warning
    assert "it is marked as down" in warning
    host.planner.error = None
    host.wait(timedelta(minutes=5))
    assert host.trust.is_certified


def test_a_conductor_that_is_down_for_less_than_half_of_the_time_goes_unnoticed(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    host.wait(timedelta(seconds=2))
    host.planner.error = ConductorUnreachable("no answer")
    host.wait(timedelta(hours=3, minutes=58), timedelta(minutes=1))
    assert _warnings(caplog) == []

    host.wait(timedelta(minutes=7))

    assert not host.trust.is_certified
    assert len(_warnings(caplog)) == 1


def test_a_host_whose_clock_is_wrong_is_told_at_once(caplog: pytest.LogCaptureFixture) -> None:
    host = Host(MemoryClock())
    host.planner.swarm = SwarmHosts(clock=MemoryClock(start=host.clock.now() + timedelta(minutes=10)))

    host.wait(timedelta(seconds=2))

    [warning] = _warnings(caplog)
    assert "its clock is 598 seconds behind the conductor's" in warning
    assert not host.trust.is_certified


def test_a_host_that_needs_a_certificate_at_once_asks_again_within_seconds(host: Host) -> None:
    host.planner.error = RelayRefused("cmp-1", "it has sent no heartbeat")
    host.wait(timedelta(minutes=10))
    calls = host.planner.calls
    host.trust.ask_for_certificate()
    host.wait(timedelta(seconds=15))
    assert host.planner.calls - calls == 3
    assert host.trust.why_uncertified == "it has sent no heartbeat"

    host.planner.error = None
    host.wait(timedelta(seconds=6))
    assert host.trust.is_certified
    calls = host.planner.calls

    host.wait(timedelta(seconds=60))
    assert host.planner.calls == calls
    host.trust.ask_for_certificate()
    host.wait(timedelta(seconds=1))
    assert host.planner.calls == calls + 1
