"""A bus that was left, as an operator changes a cell's URL."""

from __future__ import annotations

import pytest
from oslo_config import cfg

from precache.adapters.bus_oslo import open_bus
from precache.core.errors import BusUnavailable


@pytest.fixture
def left():
    bus = open_bus(cfg.ConfigOpts(), "rabbit://user:secret@127.0.0.1:1/cell1")
    bus.close()
    return bus


def test_a_bus_that_was_left_refuses_calls(left):
    with pytest.raises(BusUnavailable, match="it is no longer used"):
        left.call("topic", "server", "method", {}, timeout_s=5, monitor_s=5)


def test_a_bus_that_was_left_refuses_casts(left):
    with pytest.raises(BusUnavailable, match="no longer used"):
        left.cast("topic", "method", {})


def test_a_bus_that_was_left_complains_of_nothing(left, caplog):
    left.note_failure(OSError("connection refused"))

    assert not caplog.records
