"""[notifications] for webhooks: what is allowed, and what is refused in words."""

from pathlib import Path

import pytest

from precache.config.load import load_config
from precache.core.errors import InvalidConfiguration
from precache.core.job_notices import JobEvent

KEY = "0123456789abcdef"


@pytest.fixture
def webhooks(tmp_path):
    def read(text: str):
        file = tmp_path / "precache.conf"
        file.write_text(f"[notifications]\n{text}\n")
        return load_config([file]).notifications.webhooks

    return read


def test_by_default_nothing_is_told_and_no_key_is_needed(webhooks):
    settings = webhooks("")

    assert not settings.is_used
    assert (settings.allowed, settings.for_all) == ((), ())


def test_one_line_names_urls_for_jobs_and_another_for_all(webhooks):
    settings = webhooks(
        f"webhook_urls = https://a.example/in, b.example:8443\nwebhook_all = https://c.example/x\n"
        f"webhook_events = failed, expired\nwebhook_key = {KEY}"
    )

    assert settings.is_used
    assert [(url.host, url.port, url.path) for url in settings.allowed] == [
        ("a.example", 443, "/in"),
        ("b.example", 8443, "/"),
    ]
    assert settings.for_all == ("https://c.example/x",)
    assert settings.events == {JobEvent.FAILED, JobEvent.EXPIRED}
    assert settings.require_key() == KEY.encode()
    assert "c.example" not in repr(settings)
    assert KEY not in repr(settings)


def test_without_a_choice_every_event_is_told(webhooks):
    assert webhooks("webhook_all = https://c.example").events == set(JobEvent)


def test_the_key_may_be_the_first_line_of_a_file(webhooks, tmp_path):
    (tmp_path / "key").write_text(f"{KEY}\nanother line\n")

    assert webhooks(f"webhook_urls = a.example\nwebhook_key_file = {tmp_path / 'key'}").require_key() == KEY.encode()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("webhook_urls = https://u:hush@a.example", "webhook_urls: 'a.example' is no absolute URL"),
        ("webhook_urls = https://a.example/../x", r"with \. or \.\. in it"),
        ("webhook_all = ftp://hush.example/hush", "webhook_all: an entry is no absolute URL"),
        ("webhook_all = http://a.example/hush", "http://a.example is not encrypted; use https"),
        ("webhook_events = exploded", "webhook_events has 'exploded'; the events are queued, "),
        (f"webhook_key = {KEY}\nwebhook_key_file = /key", "webhook_key and webhook_key_file are both set"),
    ],
)
def test_what_cannot_be_meant_is_refused(webhooks, text, words):
    with pytest.raises(InvalidConfiguration, match=words) as refused:
        webhooks(text)

    assert "hush" not in str(refused.value)


def test_http_can_be_allowed(webhooks):
    assert webhooks("webhook_all = http://a.example/x\nwebhook_allow_http = true").allow_http


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "webhooks need a key to be signed with; set webhook_key or webhook_key_file"),
        ("webhook_key = short", "webhook_key: the key is too short"),
        (f"webhook_key_file = {Path('/nowhere/key')}", "/nowhere/key cannot be read: No such file"),
    ],
)
def test_a_conductor_needs_a_key(webhooks, text, words):
    settings = webhooks(f"webhook_all = https://a.example\n{text}")

    with pytest.raises(InvalidConfiguration, match=words):
        settings.require_key()
