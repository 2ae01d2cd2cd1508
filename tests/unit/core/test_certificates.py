"""What an operator reads about certificates, whichever library found the fault."""

import ssl

import pytest

from precache.core.certificates import TlsNames, explain_certificate
from tests.lab.certificates import Authority

NAMES = TlsNames(cafile="[db] cafile", own="[db] certfile", address="[db] url", server="the broker")
PYTHON = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{PYTHON}certificate has expired (_ssl.c:1006)", "its certificate has expired; renew it on the broker"),
        (f"{PYTHON}certificate is not yet valid (_ssl.c:1)", "is not valid yet; correct the clock"),
        (f"{PYTHON}self-signed certificate (_ssl.c:1)", "(self-signed certificate); name the authority that signed it"),
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed (_ssl.c:1)",
            "(no reason given); check that it has",
        ),
        ("SSL error: certificate verify failed", "in [db] cafile"),
        (
            f"{PYTHON}Hostname mismatch, certificate is not valid for 'db1'. (_ssl.c:1)",
            "not valid for db1; correct",
        ),
        (
            'server certificate for "db2" does not match host name "db1"',
            "db1; correct the host in [db] url",
        ),
        ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required (x)", "set [db] certfile"),
        ("SSL error: tlsv1 alert unknown ca", "does not accept the client's certificate"),
        ("SSL error: sslv3 alert bad certificate", "(bad certificate); correct [db] certfile"),
    ],
)
def test_each_fault_says_what_is_wrong_and_what_to_do(text, told):
    explained = explain_certificate(text, NAMES)

    assert told in explained
    assert "_ssl" not in explained


def test_a_certificate_without_what_python_3_13_demands_is_not_blamed_on_the_authority(tmp_path):
    told = explain_certificate(_refusal_by_newer_python(Authority(tmp_path)), NAMES)

    assert "(Missing Authority Key Identifier); issue it, or its authority's certificate, again" in told
    assert "another CA file does not help" in told
    assert "[db] cafile" not in told


@pytest.mark.parametrize("text", ["[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1)", "connection refused"])
def test_other_failures_are_not_explained_here(text):
    assert explain_certificate(text, NAMES) is None


def _refusal_by_newer_python(authority: Authority) -> str:
    """Return what ssl says of a certificate that the client checks as Python 3.13 does by default."""
    client = ssl.create_default_context(cafile=authority.cafile)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    server = authority.certificate("db1", names_authority=False).context()
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname="db1"),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for end in (*ends, *ends):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError as error:
            return str(error)
    raise AssertionError("the certificate was accepted")
