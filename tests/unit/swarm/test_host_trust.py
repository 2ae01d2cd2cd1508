"""Which connections hosts accept: those of hosts with a valid certificate of their own authority, and no others."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.clock_system import SystemClock
from precache.adapters.swarm_authority import Authority, AuthorityKey
from precache.core.errors import ClockWrong, RelayRefused
from precache.core.swarm_certificates import HostCertificate, HostIdentity
from precache.ports.swarm_trust import RootStatement
from precache.swarm.host_trust import HostTrust
from tests.swarm_hosts import CELL, SITE, SwarmHosts, handshake

SWARM = SwarmHosts()
LONG_NAME = "h" * 255
ROOT = RootStatement("relay", "tree-sha256:" + "ab" * 32, 65_536)
ODD_SITE = "Halle 3: Ost/\u00fc"


class TestConnections:
    def test_two_hosts_of_one_authority_know_each_other(self) -> None:
        parent, child = SWARM.host(LONG_NAME, site=ODD_SITE), SWARM.host("two")

        at_parent, at_child = handshake(parent.server_context(), child.client_context())

        with at_parent, at_child:
            assert at_parent.version() == "TLSv1.3"
            assert parent.identify(at_parent) == HostIdentity("two", CELL, SITE)
            assert child.identify(at_child) == HostIdentity(LONG_NAME, CELL, ODD_SITE)
            assert child.is_host(at_child, LONG_NAME)
            assert not child.is_host(at_child, "three")

    def test_a_host_of_another_cell_is_another_host(self) -> None:
        parent, child = SWARM.host("one", cell="cell2"), SWARM.host("two")

        at_parent, at_child = handshake(parent.server_context(), child.client_context())

        with at_parent, at_child:
            assert not child.is_host(at_child, "one")
            assert parent.why_refused(parent.identify(at_parent), "relay", SWARM.ticket("relay", "two")) == (
                "it is host two of cell cell1"
            )

    def test_a_host_on_a_bus_learns_its_cell_from_its_certificate(self) -> None:
        on_bus = HostTrust(host="one", cell="", clock=SystemClock())
        on_bus.install(SWARM.authority.certify("one", CELL, SITE, on_bus.signing_request()))
        child, foreign = SWARM.host("two"), SWARM.host("three", cell="cell2")

        assert on_bus.why_refused(child.identity, "relay", SWARM.ticket("relay", "two")) == ""
        assert on_bus.why_refused(foreign.identity, "relay", SWARM.ticket("relay", "three", cell="cell2")) == (
            "it is host three of cell cell2"
        )

    @pytest.mark.parametrize("refuses", ["parent", "child"])
    def test_a_host_of_another_authority_is_refused(self, refuses: str) -> None:
        ours, theirs = SWARM.host("one"), SwarmHosts().host("one")
        parent, child = (ours, theirs) if refuses == "parent" else (theirs, ours)

        with pytest.raises(ssl.SSLError):
            handshake(parent.server_context(), child.client_context())

    def test_an_expired_certificate_is_refused(self) -> None:
        past = MemoryClock(start=datetime.now(UTC) - timedelta(hours=5))
        expired = SwarmHosts(clock=past)
        expired.key = SWARM.key
        expired.authority = Authority(keys=[SWARM.key], clock=past, certificate_lifetime=timedelta(hours=4))
        late, host = expired.host("late"), SWARM.host("one")

        with pytest.raises(ssl.SSLError, match="expired"):
            handshake(host.server_context(), late.client_context())
        with pytest.raises(ssl.SSLError, match="expired"):
            handshake(late.server_context(), host.client_context())

    def test_a_certificate_that_a_host_has_signed_itself_is_refused(self) -> None:
        """Its key signs as if it were an authority; the certificate has the names of a real host."""
        forger, victim = SWARM.host("forger"), SWARM.host("victim")
        own = AuthorityKey(forger._key, SWARM.key.certificate, SWARM.key.signs_from)
        forged = Authority(keys=[own], clock=SystemClock(), certificate_lifetime=timedelta(hours=1))
        forger.host = "victim"
        forger.install(forged.certify("victim", CELL, SITE, forger.signing_request()))

        with pytest.raises(ssl.SSLError, match="signature failure"):
            handshake(victim.server_context(), forger.client_context())

    def test_a_host_signs_no_certificate_for_another(self) -> None:
        """A chain over the genuine certificate of a host leads to the authority; but a host is no authority."""
        forger, victim = SWARM.host("forger"), SWARM.host("victim")
        genuine = SWARM.authority.certify("forger", CELL, SITE, forger.signing_request())
        own = AuthorityKey.from_pem(
            key=AuthorityKey(forger._key, SWARM.key.certificate, SWARM.key.signs_from).key_pem,
            certificate=genuine.certificate,
            signs_from=SWARM.key.signs_from,
        )
        forged = Authority(keys=[own], clock=SystemClock(), certificate_lifetime=timedelta(hours=1))
        false_host = HostTrust(host="victim", cell=CELL, clock=SystemClock())
        made = forged.certify("victim", CELL, SITE, false_host.signing_request())
        false_host.install(
            HostCertificate(made.certificate + genuine.certificate, SWARM.key.certificate_pem, made.ends_at)
        )

        with pytest.raises(ssl.SSLError, match="invalid CA certificate"):
            handshake(victim.server_context(), false_host.client_context())

    def test_a_client_without_a_certificate_is_refused(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(cadata=SWARM.key.certificate_pem)

        with pytest.raises(ssl.SSLError, match="did not return a certificate"):
            handshake(SWARM.host("one").server_context(), context)

    def test_a_client_of_an_older_tls_is_refused(self) -> None:
        context = SWARM.host("two").client_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.maximum_version = ssl.TLSVersion.TLSv1_2

        with pytest.raises(ssl.SSLError):
            handshake(SWARM.host("one").server_context(), context)

    def test_a_connection_outlives_the_renewal_of_its_certificate(self) -> None:
        parent, child = SWARM.host("one"), SWARM.host("two")
        at_parent, at_child = handshake(parent.server_context(), child.client_context())
        before = parent.server_context()

        parent.install(SWARM.authority.certify("one", CELL, SITE, parent.signing_request()))

        with at_parent, at_child:
            at_parent.sendall(b"piece")
            assert at_child.recv(5) == b"piece"
            assert parent.server_context() is not before


class TestRenewalOfTheAuthority:
    def test_hosts_know_the_next_authority_before_it_signs(self) -> None:
        clock = MemoryClock(start=datetime.now(UTC))
        old = AuthorityKey.create(now=clock.now())
        new = AuthorityKey.create(now=clock.now(), signs_from=clock.now() + timedelta(hours=4))
        both = Authority(keys=[old, new], clock=clock, certificate_lifetime=timedelta(hours=8))
        early, late = (HostTrust(host=name, cell=CELL, clock=clock) for name in ("early", "late"))
        early.install(both.certify("early", CELL, SITE, early.signing_request()))
        root = both.root(ROOT)

        clock.advance(timedelta(hours=4))
        late.install(both.certify("late", CELL, SITE, late.signing_request()))

        assert late.read_root(root) == ROOT
        assert early.read_root(both.root(ROOT)) == ROOT
        assert SwarmHosts(clock=clock).host("other").read_root(root) is None

    def test_a_certificate_of_an_authority_that_was_replaced_is_refused(self) -> None:
        """Its host still trusts both; those with a certificate of the new one alone refuse it."""
        clock = SystemClock()
        old, new = AuthorityKey.create(now=clock.now()), AuthorityKey.create(now=clock.now())
        hosts = [HostTrust(host=name, cell=CELL, clock=clock) for name in ("before", "after")]
        for host, signs, trusted in ((hosts[0], old, [old, new]), (hosts[1], new, [new])):
            authority = Authority(keys=[signs], clock=clock, certificate_lifetime=timedelta(hours=1))
            given = authority.certify(host.host, CELL, SITE, host.signing_request())
            chain = "".join(key.certificate_pem for key in trusted)
            host.install(HostCertificate(given.certificate, chain, given.ends_at))
        before, after = hosts

        with pytest.raises(ssl.SSLError, match="certificate verify failed"):
            handshake(after.server_context(), before.client_context())
        with pytest.raises(ssl.SSLError, match="certificate verify failed"):
            handshake(before.server_context(), after.client_context())


class TestInstallation:
    def test_a_host_without_a_certificate_opens_no_connection(self) -> None:
        trust = HostTrust(host="one", cell=CELL, clock=SystemClock())

        with pytest.raises(RelayRefused, match=r"Host one .* has no certificate"):
            trust.client_context()
        assert not trust.is_certified

    def test_a_host_whose_certificate_is_over_opens_no_connection(self) -> None:
        clock = MemoryClock()
        trust = SwarmHosts(clock=clock).host("one")
        assert trust.renew_at == clock.now() + timedelta(hours=2)
        clock.advance(timedelta(hours=4))

        with pytest.raises(RelayRefused, match="its certificate ended at 2026-01-01 04:00:00 UTC"):
            trust.server_context()
        assert not trust.is_certified

    @pytest.mark.parametrize(
        ("host", "cell", "why"),
        [("two", CELL, "for another host"), ("one", "cell2", "for another host")],
    )
    def test_a_certificate_of_another_host_is_refused(self, host: str, cell: str, why: str) -> None:
        trust = HostTrust(host="one", cell=CELL, clock=SystemClock())
        given = SWARM.authority.certify(host, cell, SITE, trust.signing_request())

        with pytest.raises(RelayRefused, match=why):
            trust.install(given)

    def test_a_certificate_of_another_key_is_refused_and_the_earlier_one_stays(self) -> None:
        trust, other = SWARM.host("one"), HostTrust(host="one", cell=CELL, clock=SystemClock())
        before = trust.server_context()

        with pytest.raises(RelayRefused, match="for another key"):
            trust.install(SWARM.authority.certify("one", CELL, SITE, other.signing_request()))

        assert trust.server_context() is before

    def test_what_is_no_certificate_is_refused(self) -> None:
        trust = HostTrust(host="one", cell=CELL, clock=SystemClock())

        with pytest.raises(RelayRefused, match="cannot be read"):
            trust.install(HostCertificate("-----", "", datetime.now(UTC)))

    @pytest.mark.parametrize(
        ("ahead", "words"),
        [
            (timedelta(minutes=-7), "420 seconds behind the conductor's"),
            (timedelta(minutes=6), "360 seconds ahead of the conductor's"),
        ],
    )
    def test_a_host_whose_clock_is_wrong_is_told_so(self, ahead: timedelta, words: str) -> None:
        conductor = MemoryClock()
        trust = HostTrust(host="one", cell=CELL, clock=MemoryClock(start=conductor.now() + ahead))
        given = SwarmHosts(clock=conductor).authority.certify("one", CELL, SITE, trust.signing_request())

        with pytest.raises(ClockWrong, match=words):
            trust.install(given)

    @pytest.mark.parametrize("ahead", [timedelta(minutes=-4), timedelta(minutes=4)])
    def test_a_clock_that_differs_by_minutes_does_no_harm(self, ahead: timedelta) -> None:
        conductor = MemoryClock()
        trust = HostTrust(host="one", cell=CELL, clock=MemoryClock(start=conductor.now() + ahead))

        trust.install(SwarmHosts(clock=conductor).authority.certify("one", CELL, SITE, trust.signing_request()))

        assert trust.is_certified


class TestSignaturesOfHosts:
    def test_a_signature_counts_for_its_content_and_key_alone(self) -> None:
        one, two = SWARM.host("one"), SWARM.host("two")
        signature = one.sign(b"hashes")

        assert two.is_signed(b"hashes", signature, one.public_key)
        assert not two.is_signed(b"hashez", signature, one.public_key)
        assert not two.is_signed(b"hashes", signature, two.public_key)
        assert not two.is_signed(b"hashes", signature[:-1], one.public_key)
        for key in ("", "zz" * 32, one.public_key[:-2], one.public_key.upper()):
            assert not two.is_signed(b"hashes", signature, key)
