"""Hosts and aggregates of a Nova that is well, restarts, refuses, or is no Nova at all."""

import gzip
import json
import logging
import threading
from datetime import UTC, datetime, timedelta

import pytest
from keystoneauth1 import exceptions as ksa
from keystoneauth1.plugin import BaseAuthPlugin

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.http import open_session
from precache.adapters.inventory_memory import MemoryInventory
from precache.adapters.inventory_nova import ForeignInventory, NovaAggregates, NovaApi, NovaHosts
from precache.adapters.inventory_nova.api import LONGEST_DOCUMENT_BYTES
from precache.core.errors import InventoryForeign, InventoryUnavailable
from precache.core.hosts import Heartbeat
from tests.lab.played_nova import NovaOperator, PlayedNova
from tests.unit.adapters.faulty_server import HOLD, FaultyServer, http

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SOON = timedelta(seconds=0.2)  # only ever waited for by a server that would be silent for ever


class Credentials(BaseAuthPlugin):
    """A token for each time that the last one was refused, and a catalogue."""

    def __init__(self, *tokens, catalogue=()):
        super().__init__()
        self._tokens = list(tokens)
        self._catalogue = dict(catalogue)

    def get_token(self, session, **kwargs):
        return self._tokens[0]

    def get_endpoint(self, session, *, service_type, interface=None, region_name=None, **kwargs):
        return next((self._catalogue[key] for key in interface if key in self._catalogue), None)

    def invalidate(self):
        if len(self._tokens) == 1:
            return False
        del self._tokens[0]
        return True


class RefusedCredentials(BaseAuthPlugin):
    def __init__(self, error):
        super().__init__()
        self._error = error

    def get_token(self, session, **kwargs):
        raise self._error


@pytest.fixture
def nova():
    with PlayedNova() as played:
        yield played


def api_at(url, auth=None, **options):
    return NovaApi(session=open_session(auth=auth), endpoint=url, **options)


def hosts_of(nova, *heard, clock=None, cache_time=timedelta(), silent_for=timedelta()):
    """Return Nova's hosts, of which the computes on `heard` were heard so long ago."""
    store_clock = MemoryClock(start=NOW)
    ours = MemoryInventory(clock=store_clock)
    ours.store_heartbeats([Heartbeat(name, "cell1", "libvirt", NOW) for name in heard])
    store_clock.advance(silent_for)
    return NovaHosts(api=api_at(nova.url), hosts=ours, clock=clock or MemoryClock(), cache_time=cache_time)


def services_asked(nova):
    return sum("/os-services" in request for request in nova.requests)


def test_a_host_without_our_compute_has_no_cell(nova):
    nova.add_compute("cmp-1")
    nova.add_compute("cmp-2")

    found = hosts_of(nova, "cmp-1").find_hosts(["cmp-1", "cmp-2"])

    assert {name: host.cell for name, host in found.items()} == {"cmp-1": "cell1", "cmp-2": None}


def test_a_compute_unknown_to_nova_is_not_listed(nova):
    nova.add_compute("cmp-1.example.org")

    hosts = hosts_of(nova, "cmp-1")

    assert hosts.find_hosts(["cmp-1"]) == {}
    assert [host.name for host in hosts.list_hosts()] == ["cmp-1.example.org"]


@pytest.mark.parametrize(
    ("service", "is_up"),
    [
        ({}, True),
        ({"state": "down"}, False),
        ({"state": "down", "forced_down": True}, False),
        ({"status": "disabled"}, True),
    ],
)
def test_a_host_is_asked_where_nova_would_ask_it(nova, service, is_up):
    nova.add_compute("cmp-1", **service)

    [host] = hosts_of(nova, "cmp-1").list_hosts()

    assert host.is_up(MINUTE) is is_up


def test_a_host_of_a_cell_that_nova_cannot_reach_is_up_while_it_sends_heartbeats():
    record = {"services": [{"binary": "nova-compute", "host": "cmp-1", "status": "UNKNOWN"}]}
    with FaultyServer(http("200 OK", json.dumps(record).encode())) as nova:
        [host] = hosts_of(nova, "cmp-1").list_hosts()
        [silent] = hosts_of(nova, "cmp-1", silent_for=2 * MINUTE).list_hosts()

    assert host.is_up(MINUTE)
    assert not silent.is_up(MINUTE)


def test_thousands_of_hosts_take_one_request(nova):
    names = [f"cmp-{number}" for number in range(3000)]
    for name in names:
        nova.add_compute(name)

    found = hosts_of(nova).find_hosts(names)

    assert len(found) == 3000
    assert nova.requests == ["GET /v2.1/os-services?binary=nova-compute"]


def test_for_a_few_seconds_nova_is_not_asked_again(nova):
    nova.add_compute("cmp-1")
    clock = MemoryClock()
    hosts = hosts_of(nova, clock=clock, cache_time=timedelta(seconds=3))

    hosts.find_hosts(["cmp-1"])
    hosts.list_hosts()
    asked_at_once = services_asked(nova)
    clock.advance(timedelta(seconds=3))
    hosts.find_hosts(["cmp-1"])

    assert (asked_at_once, services_asked(nova)) == (1, 2)


def test_a_host_that_joined_a_moment_ago_is_found(nova):
    nova.add_compute("cmp-1")
    hosts = hosts_of(nova, cache_time=timedelta(seconds=3))
    hosts.list_hosts()

    nova.add_compute("cmp-2")

    assert set(hosts.find_hosts(["cmp-1", "cmp-2"])) == {"cmp-1", "cmp-2"}


def test_those_who_ask_at_the_same_time_share_a_request(nova):
    nova.add_compute("cmp-1")
    hosts = hosts_of(nova, cache_time=timedelta(seconds=3))
    found = []
    threads = [threading.Thread(target=lambda: found.append(hosts.list_hosts())) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(found) == 8
    assert services_asked(nova) == 1


def test_after_a_failure_nova_is_asked_again(nova):
    nova.add_compute("cmp-1")
    hosts = hosts_of(nova, cache_time=timedelta(seconds=3))
    with nova.away(), pytest.raises(InventoryUnavailable, match="Connection refused"):
        hosts.list_hosts()

    assert [host.name for host in hosts.list_hosts()] == ["cmp-1"]


def test_a_host_that_was_added_a_moment_ago_is_in_the_aggregate(nova):
    nova.add_compute("cmp-1")
    operator = NovaOperator(nova.url)
    aggregates = NovaAggregates(api=api_at(nova.url))
    made = operator.create_aggregate("rack", {"availability_zone": "az1"})
    before = aggregates.get_aggregate(made)

    operator.act(made, "add_host", host="cmp-1")

    assert (before.hosts, before.availability_zone) == ((), "az1")
    assert aggregates.get_aggregate(made).hosts == ("cmp-1",)


def test_instants_are_in_utc(nova):
    nova.now = NOW
    made = NovaOperator(nova.url).create_aggregate("rack")

    assert NovaAggregates(api=api_at(nova.url)).get_aggregate(made).created_at == NOW


def test_a_token_that_expired_is_replaced(nova):
    nova.tokens = {"fresh": "admin"}
    auth = Credentials("stale", "fresh")

    assert NovaAggregates(api=api_at(nova.url, auth)).list_aggregates() == []


def test_the_missing_role_is_named_by_novas_rule(nova):
    nova.tokens = {"weak": "reader"}
    api = api_at(nova.url, Credentials("weak"))

    with pytest.raises(InventoryUnavailable, match=r"lacks the role .* os_compute_api:os-aggregates:index"):
        NovaAggregates(api=api).list_aggregates()
    with pytest.raises(InventoryUnavailable, match=r"lacks the role .* os_compute_api:os-services:list"):
        NovaHosts(api=api, hosts=MemoryInventory(), clock=MemoryClock()).list_hosts()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ksa.Unauthorized("wrong: hunter2"), r"Keystone refuses the credentials in \[service_user\]; correct its user"),
        (ksa.ConnectTimeout("hunter2"), "in time"),
        (ksa.DiscoveryFailure("hunter2"), "DiscoveryFailure"),
    ],
)
def test_credentials_that_do_not_work_are_explained_and_not_repeated(error, told):
    api = api_at("http://127.0.0.1:9/v2.1", RefusedCredentials(error))

    with pytest.raises(InventoryUnavailable, match=told) as raised:
        NovaAggregates(api=api).list_aggregates()

    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, "refuses the token"),
        (404, "correct .nova. endpoint_override"),
        (406, "microversion 2.81"),
        (302, "redirect"),
        (500, "HTTP status 500"),
        (503, "HTTP status 503"),
    ],
)
@pytest.mark.parametrize("call", ["aggregates", "aggregate", "hosts"])
def test_every_other_status_is_an_unavailable_inventory(status, told, call):
    with FaultyServer(http(f"{status} Oops", b"<html>oops</html>")) as server:
        api = api_at(server.url)
        with pytest.raises(InventoryUnavailable, match=told):
            ask(api, call)


@pytest.mark.parametrize(
    "body",
    [b"<html>login</html>", b"[]", b"{}", b'{"services": 1, "aggregates": 1, "aggregate": 1}',
     b'{"services": [{}], "aggregates": [{}], "aggregate": {"id": "x"}}'],
)  # fmt: skip
@pytest.mark.parametrize("call", ["aggregates", "aggregate", "hosts"])
def test_what_no_nova_answers_is_an_unavailable_inventory(body, call):
    with FaultyServer(http("200 OK", body)) as server, pytest.raises(InventoryUnavailable):
        ask(api_at(server.url), call)


def test_a_server_that_never_answers_times_out():
    with FaultyServer((b"", HOLD)) as server, pytest.raises(InventoryUnavailable, match="in time"):
        ask(api_at(server.url, read_timeout=SOON), "hosts")


def test_an_endless_answer_is_refused():
    endless = gzip.compress(b" " * (LONGEST_DOCUMENT_BYTES + 1))
    with (
        FaultyServer(http("200 OK", endless, Content_Encoding="gzip")) as server,
        pytest.raises(InventoryUnavailable, match=f"more than {LONGEST_DOCUMENT_BYTES} bytes"),
    ):
        ask(api_at(server.url), "hosts")


def test_an_answer_that_arrives_too_slowly_times_out():
    with (
        FaultyServer(http("200 OK", b'{"services": []}')) as server,
        pytest.raises(InventoryUnavailable, match="did not end within"),
    ):
        ask(api_at(server.url, document_timeout=timedelta()), "hosts")


def test_a_kept_connection_that_the_server_has_closed_is_replaced():
    answer = http("200 OK", b'{"aggregates": []}')
    with FaultyServer(b"", answer) as server:
        assert ask(api_at(server.url), "aggregates") == []

    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("suffix", "path"),
    [("", "/v2.1"), ("/", "/v2.1"), ("/v2.1/", "/v2.1"), ("/compute/v2.1/p1", "/compute/v2.1/p1")],
)
def test_the_endpoint_may_name_the_version_or_not(suffix, path):
    with FaultyServer(http("200 OK", b'{"aggregates": []}')) as server:
        ask(api_at(server.url + suffix), "aggregates")

    assert server.requests[0].startswith(f"GET {path}/os-aggregates HTTP/1.1\r\n")
    assert "OpenStack-API-Version: compute 2.81\r\n" in server.requests[0]


def test_without_an_endpoint_the_catalogue_says_where(nova):
    auth = Credentials("token", catalogue={"public": "http://127.0.0.1:9/", "internal": nova.url})

    assert NovaAggregates(api=NovaApi(session=open_session(auth=auth))).list_aggregates() == []


def test_a_catalogue_without_nova_says_what_to_do():
    api = NovaApi(session=open_session(auth=Credentials("token")))

    with pytest.raises(InventoryUnavailable, match=r"set \[nova\] endpoint_override"):
        NovaAggregates(api=api).list_aggregates()


def test_no_token_reaches_a_log_or_a_message(caplog):
    caplog.set_level(logging.DEBUG)
    with FaultyServer(http("500 Oops", b"secret-token")) as server, pytest.raises(InventoryUnavailable) as raised:
        ask(api_at(server.url, Credentials("secret-token")), "hosts")

    assert "secret-token" not in caplog.text + str(raised.value)


@pytest.mark.parametrize(
    ("change", "arguments"),
    [
        ("create_aggregate", ("rack", {}, NOW)),
        ("rename_aggregate", (1, "rack", NOW)),
        ("set_metadata", (1, {}, NOW)),
        ("add_host", (1, "cmp-1", NOW)),
        ("remove_host", (1, "cmp-1", NOW)),
        ("delete_aggregate", (1,)),
        ("set_forced_down", ("cmp-1", True)),
    ],
)
def test_changes_are_to_be_made_in_nova(change, arguments):
    with pytest.raises(InventoryForeign, match="kept by Nova"):
        getattr(ForeignInventory(owner="Nova"), change)(*arguments)


def ask(api, call):
    if call == "aggregates":
        return NovaAggregates(api=api).list_aggregates()
    if call == "aggregate":
        return NovaAggregates(api=api).get_aggregate(1)
    return NovaHosts(api=api, hosts=MemoryInventory(), clock=MemoryClock()).list_hosts()
