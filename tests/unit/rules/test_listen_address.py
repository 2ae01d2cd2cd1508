"""Which addresses can be read, and which of them only this machine can reach."""

import pytest

from precache.core.errors import InvalidConfiguration
from precache.rules.listen_address import ListenAddress, check_noauth, check_tokens, parse_listen_address


@pytest.mark.parametrize(
    ("text", "address", "is_loopback"),
    [
        ("127.0.0.1:8775", ListenAddress("127.0.0.1", 8775), True),
        ("127.8.9.10:1", ListenAddress("127.8.9.10", 1), True),
        ("localhost:0", ListenAddress("localhost", 0), True),
        ("[::1]:80", ListenAddress("::1", 80), True),
        ("0.0.0.0:80", ListenAddress("0.0.0.0", 80), False),
        ("[::]:80", ListenAddress("::", 80), False),
        ("192.168.1.4:80", ListenAddress("192.168.1.4", 80), False),
    ],
)
def test_an_address_is_read_and_judged(text, address, is_loopback):
    parsed = parse_listen_address(text)

    assert parsed == address
    assert parsed.is_loopback is is_loopback


@pytest.mark.parametrize(
    "text", ["", "8775", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "host:80", "1.2.3:80", "::1:99999"]
)
def test_what_is_no_address_is_named(text):
    with pytest.raises(InvalidConfiguration, match="listen on"):
        parse_listen_address(text)


def test_unidentified_callers_must_be_on_this_machine():
    check_noauth(ListenAddress("127.0.0.1", 8775))

    with pytest.raises(InvalidConfiguration, match=r"loopback addresses only, not on 192\.168\.1\.4"):
        check_noauth(ListenAddress("192.168.1.4", 8775))


def test_tokens_ask_for_tls_unless_only_this_machine_can_connect():
    check_tokens(ListenAddress("127.0.0.1", 8775), has_tls=False)
    check_tokens(ListenAddress("192.168.1.4", 8775), has_tls=True)

    with pytest.raises(
        InvalidConfiguration, match=r"the network of 192\.168\.1\.4; set \[api\] cert_file and key_file"
    ):
        check_tokens(ListenAddress("192.168.1.4", 8775), has_tls=False)
