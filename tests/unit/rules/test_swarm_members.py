"""Which hosts may take part in swarms."""

from dataclasses import replace
from datetime import timedelta

import pytest

from precache.core.hosts import Host
from precache.rules.swarm_members import why_no_member, why_silent

DOWN_TIME = timedelta(seconds=60)
HOST = Host(name="cmp-1", cell="cell1", silent_for=timedelta(seconds=60))


@pytest.mark.parametrize(
    ("host", "why"),
    [
        (HOST, ""),
        (None, "it is not in the inventory"),
        (replace(HOST, cell="cell2"), "it asks on the bus of cell cell1, and the inventory has it in cell cell2"),
        (replace(HOST, cell=None), "it asks on the bus of cell cell1, and the inventory has it in cell (none)"),
        (replace(HOST, forced_down=True), "it is marked as down"),
        (replace(HOST, silent_for=None), "it has sent no heartbeat yet"),
        (replace(HOST, owner_says_down=True), "nova-compute on it is down"),
    ],
)
def test_a_host_takes_part_while_the_inventory_has_it_alive_in_the_cell(host: Host | None, why: str) -> None:
    assert why_no_member(host, "cell1") == why


@pytest.mark.parametrize(("silent_s", "why"), [(None, ""), (60, ""), (61, "its last heartbeat is 61 s old")])
def test_a_host_is_silent_after_the_time_of_heartbeats(silent_s: int | None, why: str) -> None:
    host = replace(HOST, silent_for=None if silent_s is None else timedelta(seconds=silent_s))

    assert why_silent(host, DOWN_TIME) == why
