"""Faults of a swarm on real links: hosts in network namespaces, whose packets are delayed and dropped as on a site.

In each test a fault comes in the middle of the transfer. The other hosts get the image, every entry that is published
is that which qemu-img makes of the image, and the image service sends it once.
"""

from __future__ import annotations

import filecmp
import http.client
import socket
import ssl
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.clock_system import SystemClock
from precache.adapters.sql import open_database
from precache.adapters.swarm_authority import Authority, AuthorityKey, SqlAuthorityKeys
from precache.core.relays import MemberState
from precache.ports.clock import Clock
from precache.ports.swarm_trust import Ticket
from precache.swarm.host_trust import HostTrust
from precache.swarm.wire import TICKET_HEADER
from tests.lab.swarm.conductor import ENCRYPTION_KEY
from tests.lab.swarm.host import HostResult
from tests.lab.swarm.hosts import CELL, SITE
from tests.lab.swarm.site import Forks, Site, results_of, site
from tests.namespaces import ShapedNetwork, call_inside, shaped_network, why_no_shaped_network
from tests.system.conftest import MIB, qemu_img, random_raw, settled
from tests.waiting import wait_until

WHY_NOT = why_no_shaped_network()

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or ""),
]

HOSTS = 5
BITS_PER_S = 24_000_000
DATA_MIB, HOLE_MIB = 8, 4
THIRD = DATA_MIB * MIB // 3
TIMEOUT_S = 60
JITTER_MIB, JITTER_ROUNDS = 32, 4
IMAGE = "image.qcow2"
OVERHEAD = 1.1
"""Headers of packets and records, and what is sent again, by the bytes of the pieces."""


class Image:
    """The image, and the file that qemu-img makes of it."""

    def __init__(self, folder: Path) -> None:
        self.directory = folder / "images"
        self.directory.mkdir()
        raw = random_raw(folder / "source.raw", DATA_MIB, HOLE_MIB)
        qemu_img("convert", "-f", "raw", "-O", "qcow2", raw, self.directory / IMAGE)
        settled(self.directory / IMAGE)
        self.entry = folder / "entry"
        qemu_img("convert", "-f", "qcow2", "-O", "raw", self.directory / IMAGE, self.entry)
        self.size_bytes = (self.directory / IMAGE).stat().st_size


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    # Short, because it holds sockets.
    with tempfile.TemporaryDirectory(prefix="swarm-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def image(folder: Path) -> Image:
    return Image(folder)


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    made = Forks()
    yield made
    made.close()


@pytest.fixture(scope="module")
def network(folder: Path) -> Iterator[ShapedNetwork]:
    with shaped_network(folder, hosts=HOSTS, bits_per_s=BITS_PER_S, origin_bits_per_s=BITS_PER_S) as made:
        yield made


@pytest.fixture
def running(network: ShapedNetwork, folder: Path, image: Image, forks: Forks) -> Iterator[Site]:
    """A site with its conductor, whose hosts are not started yet."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        with site(network, Path(name), image.directory, forks) as made:
            made.start_conductor({"visitor": "site2"})
            yield made
        network.set_rates(BITS_PER_S, BITS_PER_S)


def check(running: Site, image: Image, results: list[HostResult], hosts: int, copies: float = 1.0) -> None:
    """Check that so many hosts have the image, that what they have is right, and what the image service has sent."""
    assert [result.error for result in results] == [""] * hosts
    published = [entry for name in running.network.hosts for entry in running.entries(name)]
    assert len(published) >= hosts
    assert all(filecmp.cmp(entry, image.entry, shallow=False) for entry in published)
    assert running.origin_bytes(IMAGE) <= copies * 1.05 * image.size_bytes


def test_a_host_that_is_killed_holds_up_nobody_and_goes_on_where_it_was(running: Site, image: Image) -> None:
    network = running.network
    running.start(*network.hosts)
    begun = running.begin(network.hosts, IMAGE, by_swarm=True)
    victim, child = running.middle_of_chain(IMAGE)
    running.wait_for_bytes(child, THIRD)

    running.kill(victim)

    check(running, image, results_of(begun, TIMEOUT_S), HOSTS - 1)
    running.start(victim)
    check(running, image, running.cache([victim], IMAGE, TIMEOUT_S, by_swarm=True), 1)
    again = network.received_bytes(network.hosts[victim]) - OVERHEAD * DATA_MIB * MIB
    assert again <= MIB, f"{again / MIB:.1f} MiB were received twice"


def test_another_host_takes_the_place_of_a_seeder_that_is_killed(running: Site, image: Image) -> None:
    running.start(*running.network.hosts)
    begun = running.begin(running.network.hosts, IMAGE, by_swarm=True)
    running.middle_of_chain(IMAGE)
    seeder, child, *_ = running.chain(IMAGE)
    running.wait_for_bytes(child, THIRD)

    running.kill(seeder)

    check(running, image, results_of(begun, TIMEOUT_S), HOSTS - 1, copies=2.0)
    assert running.chain(IMAGE)[0] != seeder


def test_a_chain_goes_on_without_its_conductor(running: Site, image: Image) -> None:
    running.start(*running.network.hosts)
    begun = running.begin(running.network.hosts, IMAGE, by_swarm=True)
    victim, child = running.middle_of_chain(IMAGE)
    running.wait_for_bytes(child, THIRD)

    running.kill_conductor()
    running.kill(victim)  # its child goes to a spare that it knows
    running.wait_for_bytes(child, 2 * THIRD)
    running.start_conductor()

    check(running, image, results_of(begun, TIMEOUT_S), HOSTS - 1)


def test_hosts_behind_one_whose_packets_are_dropped_go_on(running: Site, image: Image) -> None:
    network = running.network
    running.start(*network.hosts)
    begun = running.begin(network.hosts, IMAGE, by_swarm=True)
    victim, child = running.middle_of_chain(IMAGE)
    running.wait_for_bytes(child, THIRD)

    network.cut(network.hosts[victim])
    try:
        lost = begun.pop(victim)
        check(running, image, results_of(begun, TIMEOUT_S), HOSTS - 1)
        assert not lost.done()
    finally:
        network.mend(network.hosts[victim])

    check(running, image, results_of({victim: lost}, TIMEOUT_S), 1)


def test_hosts_behind_a_straggler_get_another_parent(running: Site, image: Image) -> None:
    network = running.network
    running.start(*network.hosts)
    begun = running.begin(network.hosts, IMAGE, by_swarm=True)
    slow, child = running.middle_of_chain(IMAGE)
    running.wait_for_bytes(child, THIRD)

    network.set_rate(network.hosts[slow], BITS_PER_S // 20)
    straggler = begun.pop(slow)
    check(running, image, results_of(begun, TIMEOUT_S), HOSTS - 1)

    member = running.plan(IMAGE).member(slow)
    assert member is not None
    assert member.is_leaf
    network.set_rate(network.hosts[slow], BITS_PER_S)
    check(running, image, results_of({slow: straggler}, TIMEOUT_S), 1)


def test_a_host_that_sends_wrong_pieces_is_named_and_its_child_gets_them_from_another(
    running: Site, image: Image
) -> None:
    seeder, liar, *others = running.network.hosts
    running.start(seeder, *others)
    running.start(liar, sends_wrong_pieces=True)
    begun = running.begin([seeder], IMAGE, by_swarm=True)
    wait_until(lambda: running.chain(IMAGE) == [seeder])
    begun |= running.begin([liar], IMAGE, by_swarm=True)
    wait_until(lambda: running.chain(IMAGE) == [seeder, liar])

    begun |= running.begin(others, IMAGE, by_swarm=True)

    check(running, image, results_of(begun, TIMEOUT_S), HOSTS)
    accusers = [member.host for member in running.plan(IMAGE).members if liar in member.wrong]
    assert accusers
    assert all(f"{liar}" in running.log(host) and "does not agree" in running.log(host) for host in accusers)


def test_a_host_whose_disk_is_full_fails_alone(running: Site, image: Image) -> None:
    seeder, full, *others = running.network.hosts
    running.start(seeder, *others)
    running.start(full, disk_bytes=(DATA_MIB + HOLE_MIB + 2) * MIB)
    begun = running.begin([seeder], IMAGE, by_swarm=True)
    wait_until(lambda: running.chain(IMAGE) == [seeder])
    begun |= running.begin([full], IMAGE, by_swarm=True)
    wait_until(lambda: running.chain(IMAGE) == [seeder, full])
    begun |= running.begin(others, IMAGE, by_swarm=True)
    running.wait_for_bytes(others[0], THIRD)

    running.ask(full, "fill_disk")

    [failed] = results_of({full: begun.pop(full)}, TIMEOUT_S)
    assert failed.error.startswith("NotEnoughSpace: ")
    check(running, image, results_of(begun, TIMEOUT_S), HOSTS - 1)
    member = running.plan(IMAGE).member(full)
    assert member is not None
    assert member.state is MemberState.LEFT


@pytest.mark.long
@pytest.mark.timeout(600)
def test_links_that_jitter_cost_little_by_false_alarms(
    network: ShapedNetwork, folder: Path, forks: Forks, tmp_path: Path
) -> None:
    random_raw(tmp_path / "jitter.raw", JITTER_MIB)
    rates = dict.fromkeys(network.hosts, BITS_PER_S)

    def seconds(seed: int, *, reports_slow: bool) -> float:
        with tempfile.TemporaryDirectory(dir=folder) as name, site(network, Path(name), tmp_path, forks) as running:
            running.start_conductor()
            running.start(*network.hosts, reports_slow=reports_slow)
            with network.jitter(rates, 0.5, seed):
                began = time.monotonic()
                results = running.cache(network.hosts, "jitter.raw", 4 * TIMEOUT_S, by_swarm=True)
            assert not any(result.error for result in results)
            took = max(result.ended for result in results) - began
            print(f"seed {seed}, reports: {reports_slow}: {took:.1f} s")
            return took

    with_alarms, without = 0.0, 0.0
    for seed in range(JITTER_ROUNDS):
        with_alarms += seconds(seed, reports_slow=True)
        without += seconds(seed, reports_slow=False)
    network.set_rates(BITS_PER_S, BITS_PER_S)

    assert with_alarms <= 1.05 * without, f"{with_alarms:.1f} s, and {without:.1f} s without reports of slow hosts"


def test_strangers_get_no_byte(running: Site, image: Image) -> None:
    host, other, *_ = running.network.hosts
    running.start(host)
    check(running, image, running.cache([host], IMAGE, TIMEOUT_S, by_swarm=True), 1)
    relay = running.plan(IMAGE).id
    keys = SqlAuthorityKeys(
        database=open_database(f"sqlite:///{running.folder / 'conductor.sqlite'}"), keys=[ENCRYPTION_KEY]
    ).list_keys()
    strangers = Strangers(keys[-1], relay)
    target = running.network.hosts[host].address

    def ask(context: ssl.SSLContext, ticket: str) -> tuple[int, bytes]:
        return call_inside(running.network.hosts[other], lambda: _ask(target, context, relay, ticket))

    answers = {name: ask(*stranger) for name, stranger in strangers.all().items()}

    assert answers.pop("a host of the plan")[0] == 200
    assert answers.pop("another site")[0] == 403
    assert answers == dict.fromkeys(["no certificate", "expired", "self-made"], (0, b""))
    wait_until(lambda: running.log(host).count("was refused") == 4)


class Strangers:
    """Hosts that may not have the image, and one that may. key: of the authority of the site."""

    def __init__(self, key: AuthorityKey, relay: str) -> None:
        self._key, self._relay = key, relay

    def all(self) -> dict[str, tuple[ssl.SSLContext, str]]:
        """Return by name the TLS context of each, and its ticket."""
        now = datetime.now(UTC)
        past = MemoryClock(start=now - timedelta(hours=2))
        forged = AuthorityKey(AuthorityKey.create(now=now).key, self._key.certificate, self._key.signs_from)
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        own.check_hostname, own.verify_mode = False, ssl.CERT_NONE
        return {
            "a host of the plan": (self._context(), self._ticket("host-2", SITE)),
            "another site": (self._context("visitor", "site2"), self._ticket("visitor", "site2")),
            "no certificate": (own, self._ticket("host-2", SITE)),
            "expired": (self._context(clock=past), self._ticket("host-2", SITE)),
            "self-made": (self._context(key=forged), self._ticket("host-2", SITE)),
        }

    def _context(
        self,
        host: str = "host-2",
        site_name: str = SITE,
        *,
        key: AuthorityKey | None = None,
        clock: Clock | None = None,
    ) -> ssl.SSLContext:
        clock = clock or SystemClock()
        authority = Authority(keys=[key or self._key], clock=clock, certificate_lifetime=timedelta(hours=1))
        trust = HostTrust(host=host, cell=CELL, clock=clock)
        trust.install(authority.certify(host, CELL, site_name, trust.signing_request()))
        context = trust.client_context()
        context.verify_mode = ssl.CERT_NONE
        return context

    def _ticket(self, host: str, site_name: str) -> str:
        authority = Authority(keys=[self._key], clock=SystemClock(), certificate_lifetime=timedelta(hours=1))
        return authority.ticket(Ticket(self._relay, host, CELL, (site_name,), datetime.now(UTC) + timedelta(hours=1)))


def _ask(address: str, context: ssl.SSLContext, relay: str, ticket: str) -> tuple[int, bytes]:
    """Return the status and the first bytes of the answer; 0 and none if the connection is refused."""
    with socket.create_connection((address, 8785), 5) as plain:
        try:
            with context.wrap_socket(plain) as sock:
                head = f"POST /v1/relays/{relay}/pieces HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
                sock.sendall(f"{head}{TICKET_HEADER}: {ticket}\r\n\r\n".encode())
                answer = http.client.HTTPResponse(sock)
                answer.begin()
                return answer.status, answer.read(1000)
        except (ssl.SSLError, ConnectionError, http.client.HTTPException):
            return 0, b""
