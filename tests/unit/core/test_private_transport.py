import pytest

from precache.core.private_transport import is_private, is_private_url


@pytest.mark.parametrize(
    ("scheme", "client", "forwarded", "expected"),
    [
        ("https", "10.0.0.7", None, True),
        ("http", "10.0.0.7", None, False),
        ("http", "127.0.0.1", None, True),
        ("http", "127.8.0.1", None, True),
        ("http", "::1", None, True),
        ("http", "::ffff:127.0.0.1", None, True),
        ("http", "::ffff:10.0.0.7", None, False),
        ("http", "", None, True),  # a UNIX socket
        ("http", None, None, True),
        ("http", "unix:", None, False),
        # What a proxy says of its own client counts, however it reached us.
        ("http", "10.0.0.7", "https", True),
        ("http", "127.0.0.1", "http", False),
        ("https", "10.0.0.7", "http", False),
        ("http", "127.0.0.1", "https, http", True),
        ("http", "127.0.0.1", "http, https", False),
        ("http", "127.0.0.1", " HTTPS ", True),
    ],
)
def test_a_request_is_private_if_encrypted_or_from_this_machine(scheme, client, forwarded, expected):
    assert is_private(scheme, client, forwarded) is expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://controller:9292", True),
        ("http://controller:9292", False),
        ("http://10.0.0.7", False),
        ("http://127.0.0.1:9292/v2", True),
        ("http://localhost:9292", True),
        ("http://[::1]:9292", True),
        ("http://127.0.0.1.example.org", False),
    ],
)
def test_a_url_is_private_if_encrypted_or_of_this_machine(url, expected):
    assert is_private_url(url) is expected
