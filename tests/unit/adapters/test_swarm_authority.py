"""What the authority signs, and which requests it refuses."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.swarm_authority import Authority, AuthorityKey
from precache.core.errors import RelayRefused
from precache.swarm.host_trust import HostTrust
from tests.swarm_hosts import CELL, SITE, SwarmHosts

CLOCK = MemoryClock()
SWARM = SwarmHosts(clock=CLOCK)


def _request() -> str:
    return HostTrust(host="one", cell=CELL, clock=CLOCK).signing_request()


def _with_a_false_signature() -> str:
    """Return a request for the key of another host."""
    theirs, ours = (x509.load_pem_x509_csr(_request().encode()) for _ in range(2))
    keys = [request.public_key().public_bytes_raw() for request in (theirs, ours)]  # type: ignore[union-attr]
    changed = ours.public_bytes(Encoding.DER).replace(keys[1], keys[0])
    return x509.load_der_x509_csr(changed).public_bytes(Encoding.PEM).decode()


def _of_another_kind() -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return request.public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("request_text", "why"),
    [
        ("", "malformed"),
        ("\u00e4", "malformed"),
        (_request()[:-60], "malformed"),
        (SWARM.key.certificate_pem, "malformed"),
        (_with_a_false_signature(), "not signed with the key in it"),
        (_of_another_kind(), "another kind than Ed25519"),
    ],
)
def test_a_request_that_is_none_is_refused(request_text: str, why: str) -> None:
    with pytest.raises(RelayRefused, match=why):
        SWARM.authority.certify("one", CELL, SITE, request_text)


def test_a_certificate_does_not_outlive_its_authority() -> None:
    clock = MemoryClock()
    key = AuthorityKey.create(now=clock.now())
    authority = Authority(keys=[key], clock=clock, certificate_lifetime=timedelta(hours=4))
    clock.advance(timedelta(days=3650) - timedelta(hours=1))

    assert authority.certify("one", CELL, SITE, _request()).ends_at == key.ends_at


def test_the_name_in_a_request_does_not_count() -> None:
    given = SWARM.authority.certify("another", CELL, SITE, _request())

    subject = x509.load_pem_x509_certificate(given.certificate.encode()).subject
    assert subject.rfc4514_string() == "CN=another"


def test_a_key_is_not_shown() -> None:
    key = AuthorityKey.create(now=CLOCK.now())

    assert "key=" not in repr(key)
    assert (
        AuthorityKey.from_pem(key=key.key_pem, certificate=key.certificate_pem, signs_from=key.signs_from).certificate
        == key.certificate
    )
