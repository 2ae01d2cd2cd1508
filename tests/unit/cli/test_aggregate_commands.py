"""`precache aggregate ...` against a real HTTP server."""

from __future__ import annotations

import pytest

from tests.unit.cli.conftest import Ran, Run
from tests.unit.cli.stub_service import Reply, StubService


def test_list_shows_every_aggregate_with_its_hosts(run: Run) -> None:
    ran = run("aggregate", "list", "-f", "json")

    assert ran.code == 0
    assert ran.json == [
        {"id": 1, "name": "web", "availability_zone": None, "hosts": ["cmp-1", "cmp-2"], "metadata": {}}
    ]


@pytest.mark.parametrize("name", ["web", "1", "788608ec-ebdc-45c5-bc7f-000000000001"])
def test_an_aggregate_is_found_by_name_id_and_uuid(run: Run, name: str) -> None:
    assert run("aggregate", "show", name, "-f", "value", "-c", "id").out == "1\n"


def test_a_number_means_the_id_before_the_name(run: Run, service: StubService) -> None:
    service.aggregates += [service.aggregate(2, "1", []), service.aggregate(3, "2024", [])]

    assert run("aggregate", "show", "1", "-f", "value", "-c", "name").out == "web\n"
    assert run("aggregate", "show", "2024", "-f", "value", "-c", "id").out == "3\n"


def test_a_number_with_leading_noughts_is_a_name(run: Run) -> None:
    ran = run("aggregate", "show", "01")

    assert ran.code == 1
    assert "No aggregate has the name or id '01'" in ran.err


def test_a_name_that_several_have_is_refused_with_their_ids(run: Run, service: StubService) -> None:
    service.aggregates.append(service.aggregate(7, "web", []))

    ran = run("aggregate", "delete", "web")

    assert ran.code == 1
    assert "2 aggregates have the name 'web'; give the id of one: 1, 7" in ran.err
    assert service.requests("DELETE") == []


def test_create_takes_zone_and_metadata(run: Run, service: StubService) -> None:
    ran = run("aggregate", "create", "new", "--zone", "az1", "--property", "a=1", "--property", "b=x=y", "-f", "json")

    assert ran.code == 0
    assert (ran.json["name"], ran.json["availability_zone"]) == ("new", "az1")
    assert ran.json["metadata"] == {"a": "1", "b": "x=y"}
    assert all(asked.headers["openstack-api-version"] == "compute 2.81" for asked in service.asked)


def test_a_wrong_property_is_noticed_before_anything_is_sent(run: Run, service: StubService) -> None:
    ran = run("aggregate", "create", "new", "--property", "novalue")

    assert ran.code == 2
    assert "'novalue'" in ran.err
    assert service.asked == []


def test_an_aggregate_whose_metadata_is_refused_is_not_created(run: Run, service: StubService) -> None:
    refusal = Reply(400, {"badRequest": {"code": 400, "message": "that key is too long"}})
    service.replies["POST", "/compute/v2.1/os-aggregates/2/action"] = refusal

    ran = run("aggregate", "create", "new", "--property", "k=v")

    assert ran.code == 1
    assert "that key is too long" in ran.err
    assert [aggregate["name"] for aggregate in service.aggregates] == ["web"]


def test_set_changes_name_zone_and_metadata(run: Run, service: StubService) -> None:
    service.aggregates[0]["metadata"] = {"old": "1", "kept": "2"}

    ran = run(
        "aggregate", "set", "web", "--name", "w2", "--zone", "z", "--property", "n=3", "--unset", "old", "-f", "json"
    )

    assert (ran.json["name"], ran.json["availability_zone"]) == ("w2", "z")
    assert ran.json["metadata"] == {"kept": "2", "n": "3"}


def test_set_without_a_change_is_a_usage_error(run: Run, service: StubService) -> None:
    assert run("aggregate", "set", "web").code == 2
    assert service.asked == []


def test_a_key_that_is_both_set_and_removed_is_a_usage_error(run: Run, service: StubService) -> None:
    ran = run("aggregate", "set", "web", "--property", "n=3", "--property", "o=4", "--unset", "n")

    assert (ran.code, "contradict each other: n;" in ran.err) == (2, True)
    assert service.asked == []


def test_hosts_are_added_and_removed_without_output(run: Run, service: StubService) -> None:
    assert run("aggregate", "add", "host", "web", "cmp-3", "cmp-4") == Ran(0, "", "")
    assert run("aggregate", "remove", "host", "web", "cmp-1", "cmp-3") == Ran(0, "", "")
    assert service.aggregates[0]["hosts"] == ["cmp-2", "cmp-4"]


def test_what_was_added_before_and_after_a_refusal_is_said(run: Run, service: StubService) -> None:
    action = ("POST", "/compute/v2.1/os-aggregates/1/action")

    def refuse_the_second() -> Reply:
        if service.asked[-1].body == {"add_host": {"host": "cmp-4"}}:
            return Reply(404, {"itemNotFound": {"code": 404, "message": "Compute host cmp-4 could not be found."}})
        return Reply(200, {"aggregate": service.aggregates[0]})

    service.replies[action] = refuse_the_second

    ran = run("aggregate", "add", "host", "web", "cmp-3", "cmp-4", "cmp-5")

    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "precache: Compute host cmp-4 could not be found.\nprecache: Done: cmp-3, cmp-5\n"


def test_a_service_that_fails_is_not_asked_for_the_rest(run: Run, service: StubService) -> None:
    action = ("POST", "/compute/v2.1/os-aggregates/1/action")
    service.replies[action] = Reply(503, {"serviceUnavailable": {"code": 503, "message": "busy"}})

    ran = run("aggregate", "remove", "host", "web", "cmp-1", "cmp-2", "cmp-3")

    assert ran.code == 3
    assert ran.err.endswith("precache: Not tried: cmp-2, cmp-3\n")
    assert len(service.requests("POST")) == 1


def test_delete_continues_after_a_failure_and_reports_it(run: Run, service: StubService) -> None:
    ran = run("aggregate", "delete", "nothing", "web")

    assert ran.code == 1
    assert "'nothing'" in ran.err
    assert service.aggregates == []


def test_a_refusal_of_nova_is_shown_with_its_own_message(run: Run, service: StubService) -> None:
    message = "Cannot remove aggregate 1: it still has hosts."
    service.replies["DELETE", "/compute/v2.1/os-aggregates/1"] = Reply(
        409, {"conflictingRequest": {"code": 409, "message": message}}
    )

    ran = run("aggregate", "delete", "web")

    assert (ran.code, ran.err) == (1, f"precache: {message}\n")
