"""The table of URLs that may be told of jobs."""

import pytest

from precache.rules import webhook_urls
from precache.rules.webhook_urls import DOTS, NOT_A_URL, NOT_ALLOWED, PLAIN_HTTP, WebhookUrl, parse_allowed, why_refused

ALLOWED = [
    parse_allowed(text)
    for text in ("https://hooks.example/precache", "https://dir.example/in/", "plain.example", "[::1]:8443", "http://old.example")
]  # fmt: skip


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example/precache",
        "https://hooks.example/precache/team?token=a/../b",
        "https://hooks.example/precache?team=1",
        "https://HOOKS.example:443/precache/",
        "https://dir.example/in/x",
        "https://plain.example",
        "https://plain.example/anything",
        "https://[::1]:8443/x",
    ],
)
def test_a_url_below_the_list_is_allowed(url):
    assert why_refused(url, ALLOWED, allow_http=False) is None


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://other.example/precache", NOT_ALLOWED),
        ("https://hooks.example.evil.example/precache", NOT_ALLOWED),
        ("https://hooks.example/precachex", NOT_ALLOWED),
        ("https://hooks.example/", NOT_ALLOWED),
        ("https://hooks.example:8443/precache", NOT_ALLOWED),
        ("http://hooks.example/precache", NOT_ALLOWED),
        ("http://hooks.example:443/precache", NOT_ALLOWED),
        ("https://dir.example/in", NOT_ALLOWED),
        ("https://127.0.0.1/precache", NOT_ALLOWED),
        ("https://hooks.example/precache/../admin", DOTS),
        ("https://hooks.example/precache/%2e%2E/admin", DOTS),
        ("https://hooks.example/precache/.", DOTS),
        ("https://hooks.example@evil.example/precache", NOT_A_URL),
        ("https://u:p@hooks.example/precache", NOT_A_URL),
        ("https://evil.example\\@hooks.example/precache", NOT_A_URL),
        ("https://hooks.example/precache\\..\\x", NOT_A_URL),
        ("https://hooks.example/precache#x", NOT_A_URL),
        ("https://hooks.example/pre cache", NOT_A_URL),
        ("https://hooks.example/precache\n", NOT_A_URL),
        ("https://h\u00f6oks.example/precache", NOT_A_URL),
        ("https://hooks.example:99999/precache", NOT_A_URL),
        ("https://hooks.example:0/precache", NOT_A_URL),
        ("https:///precache", NOT_A_URL),
        ("ftp://hooks.example/precache", NOT_A_URL),
        ("hooks.example/precache", NOT_A_URL),
        ("", NOT_A_URL),
        ("https://hooks.example/precache/" + "x" * 2000, NOT_A_URL),
        ("http://old.example/x", PLAIN_HTTP),
    ],
)
def test_any_other_url_is_refused_with_the_reason(url, reason):
    assert why_refused(url, ALLOWED, allow_http=False) == reason


def test_an_operator_can_allow_http():
    assert why_refused("http://old.example/x", ALLOWED, allow_http=True) is None


def test_an_empty_list_allows_nothing():
    assert why_refused("https://hooks.example/precache", [], allow_http=True) == NOT_ALLOWED


@pytest.mark.parametrize("text", ["", "https://", "a b", "ftp://x", "https://u@x", "x/../y"])
def test_an_entry_that_is_no_url_is_refused(text):
    with pytest.raises(webhook_urls.InvalidWebhookUrl):
        parse_allowed(text)


def test_the_place_of_a_url_shows_no_path():
    assert WebhookUrl.parse("https://hooks.example/secret?x").place == "https://hooks.example"
    assert WebhookUrl.parse("http://hooks.example:8080/secret").place == "http://hooks.example:8080"
