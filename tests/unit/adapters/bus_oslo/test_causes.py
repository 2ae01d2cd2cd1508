"""What an operator reads of the libraries' words on TLS; tests/contract/test_tls_bus.py has them from a real broker."""

import pytest

from precache.adapters.bus_oslo.causes import CLOSED, cause

NO_TRUST = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"
UNREACHED = "Unable to connect to AMQP server on rabbit1:5671 after 1 tries"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (f"{NO_TRUST}: certificate has expired (_ssl.c:1006)", "its certificate has expired; renew"),
        (f"{NO_TRUST}: certificate is not yet valid (_ssl.c:1006)", "is not valid yet; correct the clock"),
        (f"{NO_TRUST}: self-signed certificate (_ssl.c:1006)", "not accepted (self-signed certificate); name"),
        (f"{NO_TRUST} (_ssl.c:1006)", "not accepted (no reason given); check that it has not expired, and name"),
        (
            f"{NO_TRUST}: Hostname mismatch, certificate is not valid for 'rabbit1'. (_ssl.c:1006)",
            "its certificate is not valid for rabbit1; correct the host",
        ),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)", "there is no TLS on this port"),
        (
            "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required (x)",
            "set [oslo_messaging_rabbit]",
        ),
        ("[SSL: NO_SHARED_CIPHER] no shared cipher (_ssl.c:1)", "TLS failed: no shared cipher; see"),
        ("Server unexpectedly closed connection", CLOSED),
    ],
)
def test_a_tls_failure_is_explained_without_line_numbers(said, words):
    told = cause(OSError(f"{UNREACHED}: {said}"))

    assert words in told
    assert "_ssl" not in told
