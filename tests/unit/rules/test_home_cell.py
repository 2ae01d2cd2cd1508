"""Which cell a host belongs to when two say that they have it."""

from datetime import UTC, datetime, timedelta

from precache.core.hosts import Heartbeat, Host
from precache.rules.home_cell import heartbeats_of_other_cells

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DOWN_TIME = timedelta(seconds=60)


def beat(host, cell):
    return Heartbeat(host, cell, "fake", NOW, "1.0")


def known(cell, silent_for):
    return {"cmp-1": Host("cmp-1", cell, last_seen=NOW - silent_for, silent_for=silent_for)}


def test_a_host_that_still_reports_to_its_cell_belongs_to_no_other():
    foreign = beat("cmp-1", "cell2")

    assert heartbeats_of_other_cells([foreign], known("cell1", DOWN_TIME), DOWN_TIME) == {foreign}


def test_a_host_that_its_cell_has_lost_may_move():
    silent = DOWN_TIME + timedelta(seconds=1)

    assert not heartbeats_of_other_cells([beat("cmp-1", "cell2")], known("cell1", silent), DOWN_TIME)


def test_new_hosts_and_hosts_in_their_own_cell_are_accepted():
    heard = [beat("cmp-1", "cell1"), beat("cmp-2", "cell2")]

    assert not heartbeats_of_other_cells(heard, known("cell1", timedelta(0)), DOWN_TIME)


def test_a_host_unknown_to_all_cells_belongs_to_the_first_that_gets_its_heartbeat():
    never_heard = {"cmp-1": Host("cmp-1", None), "cmp-2": Host("cmp-2", "cell1")}

    assert not heartbeats_of_other_cells([beat("cmp-1", "cell2"), beat("cmp-2", "cell2")], never_heard, DOWN_TIME)
