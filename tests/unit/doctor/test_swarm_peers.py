"""Two hosts of each site try each other's port, and the findings say what to do."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.fernet import Fernet

from precache.adapters.sql import open_database
from precache.adapters.swarm_authority import AuthorityKey, SqlAuthorityKeys
from precache.core.errors import ComputeUnreachable, SecretUnreadable
from precache.core.hosts import Host
from precache.core.relays import Peer
from precache.core.swarm_checks import SwarmState
from precache.doctor.swarm_peers import check_swarm_authority, check_swarm_peers, examine_pairs, pairs_of_sites
from tests.unit.doctor.looking import only

LATER = datetime(2026, 3, 1, tzinfo=UTC)
DOWN_TIME = timedelta(seconds=60)
WELL = SwarmState("192.0.2.1:8785", LATER)


def host(name, site="edge1", cell="cell1", rpc_version="1.5", silent_s=1):
    return Host(
        name=name, cell=cell, rpc_version=rpc_version, announced_site=site, silent_for=timedelta(seconds=silent_s)
    )


class Hosts:
    """The hosts' ends of the bus: their states by name, and why a host does not reach its peer."""

    def __init__(self, states=None, unreached=None):
        self.states, self.unreached, self.asked = states or {}, unreached or {}, []

    def check_swarm(self, host, cell, peer, within):
        self.asked.append((host, cell, peer))
        state = self.states.get(host, WELL)
        if isinstance(state, Exception):
            raise state
        return state if peer is None else replace(state, unreached=self.unreached.get(host, ""))


def examine(configured, hosts, pair=None):
    return examine_pairs(hosts, [pair or (host("cmp-1"), host("cmp-2"))], configured().swarm)


def test_two_hosts_of_each_site_are_chosen():
    hosts = [
        host("d", "edge2"), host("c"), host("b"), host("a"), host("e", "edge2"), host("only", "edge3"),
        host("f", "edge1", "cell2"), host("g", "edge1", "cell2"),
        host("old", "edge4", rpc_version="1.4"), host("new", "edge4"),
        host("down", "edge5", silent_s=61), host("up", "edge5"), host("bare", "edge6", cell=None),
    ]  # fmt: skip

    names = [(one.name, two.name) for one, two in pairs_of_sites(hosts, DOWN_TIME)]

    assert names == [("a", "b"), ("d", "e"), ("f", "g")]


def test_hosts_that_reach_each_other_are_well(configured):
    hosts = Hosts({"cmp-2": replace(WELL, address="192.0.2.2:8785")})

    finding = only(examine(configured, hosts))

    assert (finding.status, finding.found) == ("ok", "site edge1: cmp-1 and cmp-2 reach each other's port")
    assert ("cmp-1", "cell1", Peer("cmp-2", "192.0.2.2:8785")) in hosts.asked
    assert ("cmp-2", "cell1", Peer("cmp-1", "192.0.2.1:8785")) in hosts.asked


def test_a_blocked_port_is_reported_with_the_rule_for_the_firewall(configured):
    hosts = Hosts({"cmp-2": replace(WELL, address="192.0.2.2:8785")}, {"cmp-1": "no answer within 3 s"})

    finding = only(examine(configured, hosts))

    assert finding.status == "warning"
    assert finding.found == "site edge1: cmp-1 does not reach cmp-2 at 192.0.2.2:8785: no answer within 3 s"
    assert "on cmp-2: nft add rule inet filter input tcp dport 8785-8794 accept" in finding.advice


@pytest.mark.parametrize(
    ("state", "found", "advice"),
    [
        (SwarmState("192.0.2.2:8785"), "cmp-2 has no certificate", "log of the compute on cmp-2"),
        (SwarmState("", LATER), "cmp-2 serves no pieces", "run precache doctor on cmp-2"),
        (ComputeUnreachable("cmp-2", "it did not answer"), "cmp-2", ""),
    ],
)
def test_a_host_that_takes_no_part_is_reported(configured, state, found, advice):
    hosts = Hosts({"cmp-2": state})

    finding = only(examine(configured, hosts))

    assert finding.status == "warning"
    assert found in finding.found
    assert advice in finding.advice
    assert all(peer is None for _host, _cell, peer in hosts.asked)


def test_without_two_hosts_in_a_site_nothing_is_asked(configured, sqlite_url):
    finding = only(check_swarm_peers(configured(f"[database]\nconnection = {sqlite_url}\n")))

    assert (finding.status, "no site has two hosts" in finding.found) == ("skipped", True)


class TestAuthority:
    KEY, OTHER = Fernet.generate_key().decode(), Fernet.generate_key().decode()

    def config(self, configured, url, key=KEY):
        return configured(f"[database]\nconnection = {url}\nencryption_keys = {key}\n")

    @pytest.fixture
    def made(self, sqlite_url):
        database = open_database(sqlite_url)
        key = AuthorityKey.create(now=datetime.now(UTC))
        SqlAuthorityKeys(database=database, keys=[self.KEY]).add_first(key)
        database.close()
        return key

    def test_before_the_first_certificate_there_is_none(self, configured, sqlite_url):
        assert only(check_swarm_authority(self.config(configured, sqlite_url))).status == "skipped"

    def test_its_key_is_named_with_its_end(self, configured, sqlite_url, made):
        finding = only(check_swarm_authority(self.config(configured, sqlite_url)))

        assert (finding.status, finding.found) == (
            "ok",
            f"the key {made.name} of the swarms' authority signs, and is valid until {made.ends_at:%Y-%m-%d}",
        )

    def test_a_key_that_cannot_be_decrypted_is_a_failure(self, configured, sqlite_url, made):
        with pytest.raises(SecretUnreadable, match="The key of the swarm's authority"):
            list(check_swarm_authority(self.config(configured, sqlite_url, self.OTHER)))
