"""Tickets and statements of roots: what the authority signs, hosts read, and nothing else."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.core.swarm_certificates import HostIdentity
from precache.ports.swarm_trust import RootStatement, Ticket
from precache.swarm.host_trust import HostTrust
from tests.swarm_hosts import CELL, SITE, SwarmHosts

CLOCK = MemoryClock()
SWARM = SwarmHosts(clock=CLOCK)
HOST = SWARM.host("one")
TICKET = Ticket("relay", "two", CELL, (SITE, "edge, 2"), CLOCK.now() + timedelta(minutes=10))
STATEMENT = RootStatement("relay", "tree-sha256:" + "0f" * 32, 1 << 40)


def _changed(text: str, *, old: bytes, new: bytes) -> str:
    content, signature = text.split(".")
    found = urlsafe_b64decode(content)
    assert old in found
    return urlsafe_b64encode(found.replace(old, new)).decode() + "." + signature


def test_hosts_read_what_the_authority_has_signed() -> None:
    assert HOST.read_ticket(SWARM.authority.ticket(TICKET)) == TICKET
    assert HOST.read_root(SWARM.authority.root(STATEMENT)) == STATEMENT


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a.b.c",
        "\u00e4.\u00e4",
        "x" * 100_000,
        SWARM.authority.ticket(TICKET)[:-4],
        SWARM.authority.ticket(TICKET)[4:],
        SWARM.authority.ticket(TICKET).split(".")[0] + ".",
        _changed(SWARM.authority.ticket(TICKET), old=b'"two"', new=b'"six"'),
        _changed(SWARM.authority.ticket(TICKET), old=b'"site1"', new=b'"site2"'),
        SwarmHosts(clock=CLOCK).authority.ticket(TICKET),
        SWARM.authority.root(STATEMENT),
    ],
    ids=[
        "empty", "dot", "three parts", "not ASCII", "long", "truncated", "beginning cut off", "no signature",
        "other host", "other site", "other authority", "a root",
    ],
)  # fmt: skip
def test_any_other_text_is_no_ticket(text: str) -> None:
    assert HOST.read_ticket(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        _changed(SWARM.authority.root(STATEMENT), old=b"0f0f", new=b"0f0e"),
        SwarmHosts(clock=CLOCK).authority.root(STATEMENT),
        SWARM.authority.ticket(TICKET),
    ],
    ids=["empty", "other root", "other authority", "a ticket"],
)
def test_any_other_text_is_no_root(text: str) -> None:
    assert HOST.read_root(text) is None


def test_a_ticket_ends() -> None:
    clock = MemoryClock()
    swarm = SwarmHosts(clock=clock)
    host, ticket = swarm.host("one"), swarm.ticket("relay", "two", valid_for=timedelta(minutes=10))
    clock.advance(timedelta(minutes=9, seconds=59))
    assert host.read_ticket(ticket) is not None

    clock.advance(timedelta(seconds=1))

    assert host.read_ticket(ticket) is None


def test_a_host_without_a_certificate_reads_nothing() -> None:
    stranger = HostTrust(host="one", cell=CELL, clock=CLOCK)

    assert stranger.read_ticket(SWARM.authority.ticket(TICKET)) is None
    assert stranger.read_root(SWARM.authority.root(STATEMENT)) is None


@pytest.mark.parametrize(
    ("peer", "relay", "why"),
    [
        (HostIdentity("two", CELL, SITE), "relay", ""),
        (HostIdentity("two", CELL, "edge, 2"), "relay", ""),
        (None, "relay", "its certificate names no host"),
        (HostIdentity("two", "cell2", SITE), "relay", "it is host two of cell cell2"),
        (HostIdentity("three", CELL, SITE), "relay", "host three shows the ticket of host two"),
        (HostIdentity("two", CELL, SITE), "other", "host two shows a ticket for another image"),
        (HostIdentity("two", CELL, "site3"), "relay", "host two is in site site3, which its ticket does not name"),
    ],
)
def test_a_ticket_counts_for_its_host_and_relay_alone(peer: HostIdentity | None, relay: str, why: str) -> None:
    assert HOST.why_refused(peer, relay, SWARM.authority.ticket(TICKET)) == why


def test_a_ticket_for_other_sites_does_not_count_here() -> None:
    elsewhere = SWARM.host("far", site="site3")

    why = elsewhere.why_refused(HostIdentity("two", CELL, SITE), "relay", SWARM.authority.ticket(TICKET))

    assert why == "the ticket of host two does not name this host's site"


def test_no_ticket_is_refused_in_words() -> None:
    assert HOST.why_refused(HostIdentity("two", CELL, SITE), "relay", "") == "host two shows no valid ticket"
