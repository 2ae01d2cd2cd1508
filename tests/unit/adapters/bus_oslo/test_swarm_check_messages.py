"""The message `check_swarm` and its answer, as they go over the bus and come back, and those that make no sense."""

import json
from datetime import UTC, datetime

import pytest

from precache.adapters.bus_oslo.fields import Malformed
from precache.adapters.bus_oslo.swarm_check_messages import (
    check_swarm_message,
    read_check_swarm,
    read_swarm_state,
    swarm_state_message,
)
from precache.core.relays import Peer
from precache.core.swarm_checks import SwarmState


def over_the_bus(message):
    return json.loads(json.dumps(message)) | {"of_a_newer_release": 1}


@pytest.mark.parametrize("peer", [None, Peer("cmp-2", "192.0.2.8:8785"), Peer("cmp-2", "[2001:db8::8]:8785")])
def test_the_host_to_try_is_read_as_it_was_written(peer):
    assert read_check_swarm(over_the_bus(check_swarm_message("cmp-1", peer)), "cmp-1") == peer


@pytest.mark.parametrize(
    "state",
    [SwarmState(), SwarmState("192.0.2.7:8785", datetime(2026, 3, 1, tzinfo=UTC)), SwarmState(unreached="no answer")],
)
def test_the_state_is_read_as_it_was_written(state):
    assert read_swarm_state(over_the_bus(swarm_state_message(state))) == state


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "cmp-9"},
        {"peer": "cmp-2"},
        {"peer": {"host": "cmp-2"}},
        {"peer": {"host": "..", "address": "192.0.2.8:8785"}},
        {"peer": {"host": "cmp-2", "address": "192.0.2.8"}},
    ],
)
def test_a_question_that_makes_no_sense_is_refused(changes):
    with pytest.raises(Malformed):
        read_check_swarm(over_the_bus(check_swarm_message("cmp-1", None)) | changes, "cmp-1")
