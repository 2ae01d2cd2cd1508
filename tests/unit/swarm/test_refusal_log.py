"""Strangers cannot fill the log."""

import logging

import pytest

from precache.swarm.refusal_log import RefusalLog


class Log:
    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.now_s, self._caplog = 0.0, caplog
        self.refusals = RefusalLog(lambda: self.now_s)

    def refuse(self, times: int, address: str = "192.0.2.7", reason: str = "no certificate") -> None:
        for _ in range(times):
            self.refusals.warn("A connection", address, reason)

    def after(self, seconds: float) -> list[str]:
        """Return the lines until now; forget them."""
        self.now_s += seconds
        self.refusals.flush()
        lines = [record.getMessage() for record in self._caplog.records if record.levelno == logging.WARNING]
        self._caplog.clear()
        return lines


def test_an_address_has_one_line_a_minute_for_a_reason_and_the_others_are_counted(caplog) -> None:
    log = Log(caplog)
    log.refuse(908)
    log.refuse(1, reason="no ticket")
    log.refuse(1, address="192.0.2.8")
    assert log.after(59) == [
        "A connection from 192.0.2.7 was refused: no certificate",
        "A connection from 192.0.2.7 was refused: no ticket",
        "A connection from 192.0.2.8 was refused: no certificate",
    ]

    log.refuse(3)
    assert log.after(1) == [
        "A connection from 192.0.2.7 was refused 910 more times in the last 60 s: no certificate",
    ]
    assert log.after(60) == []

    log.refuse(1)
    assert log.after(0) == ["A connection from 192.0.2.7 was refused: no certificate"]


def test_many_reasons_and_addresses_have_few_lines(caplog) -> None:
    log = Log(caplog)
    for number in range(100):
        log.refuse(1, reason=f"nothing at /{number}")
    assert len(log.after(0)) == 9
    for number in range(1000):
        log.refuse(1, address=f"2001:db8::{number:x}")
    assert len(log.after(0)) == 256
    assert len(log.after(60)) == 2
    assert log.after(60) == []
