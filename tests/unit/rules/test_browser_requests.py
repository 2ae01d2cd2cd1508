"""What a page of another site cannot hide."""

import pytest

from precache.rules.browser_requests import is_json, is_own_origin, is_own_site, is_served_host


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "localhost",
        "localhost:8775",
        "LocalHost.:9000",
        "ip6-localhost",
        "127.0.0.1",
        "127.0.0.1:8775",
        "127.8.9.10:80",
        "[::1]",
        "[::1]:8775",
    ],
)
def test_a_loopback_name_or_address_is_served_at_any_port(host):
    assert is_served_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8775",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1:8775.evil.example",
        "evil.example, localhost",
        "evil.example@localhost",
        "localhost@evil.example",
        "localhost/evil.example",
        "localhost:port",
        "0.0.0.0:8775",
        "192.0.2.1",
        "[::1",
        "[::]:8775",
        "\udcff",
        " ",
    ],
)
def test_another_name_is_not_served(host):
    assert not is_served_host(host)


def test_the_address_that_is_listened_on_is_served():
    assert is_served_host("192.0.2.1:8775", {"192.0.2.1"})


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "localhost:8775"),
        (None, None),
        ("http://localhost:8775", "localhost:8775"),
        ("http://[::1]:8775", "[::1]:8775"),
        ("https://LOCALHOST", "localhost"),
    ],
)
def test_programs_and_own_pages_have_no_foreign_origin(origin, host):
    assert is_own_origin(origin, host)


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "http://evil.example",
        "http://localhost",
        "http://localhost:3000",
        "http://127.0.0.1:8775",
        "http://localhost:8775.evil.example",
        "http://localhost:8775/x",
        "file://localhost:8775",
        "http://[::1",
        "localhost:8775",
        "http://localhost:8775 http://evil.example",
    ],
)
def test_any_other_origin_is_foreign(origin):
    assert not is_own_origin(origin, "localhost:8775")


def test_an_origin_without_a_host_is_foreign():
    assert not is_own_origin("http://evil.example", None)
    assert not is_own_origin("http://", "")


@pytest.mark.parametrize(
    ("site", "is_own"),
    [(None, True), ("same-origin", True), ("none", True), ("same-site", False), ("cross-site", False), ("", False)],
)
def test_the_browser_says_whether_another_site_sent_it(site, is_own):
    assert is_own_site(site) is is_own


@pytest.mark.parametrize(
    ("content_type", "is_it"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/vnd.openstack.compute+json", True),
        (None, False),
        ("", False),
        ("text/plain", False),
        ("text/plain; application/json", False),
        ("application/x-www-form-urlencoded", False),
        ("multipart/form-data; boundary=x", False),
    ],
)
def test_what_a_form_can_send_is_not_json(content_type, is_it):
    assert is_json(content_type) is is_it
