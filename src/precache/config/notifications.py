"""[notifications]: who is told of jobs, over message buses and by webhooks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from oslo_config import cfg

from precache.config.options import OptionGroup
from precache.core.errors import InvalidConfiguration
from precache.core.job_notices import JobEvent
from precache.rules.webhook_urls import InvalidWebhookUrl, WebhookUrl, parse_allowed

_BETWEEN_URLS = re.compile(r"[\s,'\"]+(?=[A-Za-z][A-Za-z0-9+.-]*://)")
"""A comma, or the end of a line, with a URL after it. Any other comma is between the brokers of one bus."""

OPTIONS = [
    cfg.ListOpt(
        "transport_urls",
        default=[],
        secret=True,
        help="Message buses that get the notifications: aggregate.cache_images.* in Nova's versioned format, and "
        "precache.job.*. URLs like that of [DEFAULT] transport_url, several separated by commas. A URL can name "
        "several brokers: rabbit://nova:PASSWORD@rabbit1:5672,nova:PASSWORD@rabbit2:5672/. Their queues need a "
        "consumer, because the broker keeps messages that are not consumed. Default: none; notifications are only "
        "logged.",
    ),
    cfg.ListOpt("topics", default=["versioned_notifications"], help="Topics to publish them on."),
    cfg.StrOpt("exchange", default="nova", help="Exchange to publish them on. The default is Nova's."),
    cfg.ListOpt(
        "webhook_urls",
        default=[],
        help="URLs that a job may name as its notify_url: each of these, and all below it. An entry without a scheme "
        "is a host, with or without a port, for https. Default: none; a job with a notify_url is refused. Set it in "
        "the API and in the conductors.",
    ),
    cfg.ListOpt(
        "webhook_all",
        default=[],
        secret=True,
        help="URLs that are told of every job; they need not be in webhook_urls.",
    ),
    cfg.ListOpt(
        "webhook_events",
        default=[],
        help="Events of which the URLs of webhook_all are told, such as failed, partly_failed. Default: all. "
        f"Events: {', '.join(JobEvent)}.",
    ),
    cfg.StrOpt(
        "webhook_key",
        secret=True,
        help="Key with which the conductors sign webhooks (HMAC-SHA256), at least 16 characters. Webhooks need it or "
        "webhook_key_file.",
    ),
    cfg.StrOpt("webhook_key_file", help="File with that key in its first line; the conductors read it at the start."),
    cfg.BoolOpt(
        "webhook_allow_http",
        default=False,
        help="Accept webhooks without TLS: others on the network can read them, and answer in place of the receiver.",
    ),
    cfg.StrOpt(
        "webhook_cafile",
        help="PEM file of the authorities that sign the certificates of the receivers. Default: those of the system.",
    ),
    cfg.IntOpt("webhook_timeout", default=10, min=1, max=60, help="Seconds that a receiver may take to answer."),
    cfg.IntOpt(
        "webhook_retry_for",
        default=3600,
        min=0,
        help="Seconds after which a notice that a receiver does not accept is dropped, with an error in the log.",
    ),
]

_SHORTEST_KEY = 16


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """The settings of webhooks. for_all and key are secrets, so `repr` omits them.

    allowed: the URLs that a job may name, and all below them. for_all: those that are told of every job, of `events`.
    key, key_file: one of them has the key; only conductors need it.
    """

    allowed: tuple[WebhookUrl, ...]
    for_all: tuple[str, ...] = field(repr=False)
    events: frozenset[JobEvent]
    key: str | None = field(repr=False)
    key_file: Path | None
    allow_http: bool
    cafile: Path | None
    timeout: timedelta
    retry_for: timedelta

    @property
    def is_used(self) -> bool:
        return bool(self.allowed or self.for_all)

    def require_key(self) -> bytes:
        """Return the key. Raises InvalidConfiguration."""
        if self.key_file is not None:
            key, option = _first_line(self.key_file), "webhook_key_file"
        elif self.key is not None:
            key, option = self.key, "webhook_key"
        else:
            raise InvalidConfiguration(
                "[notifications] webhooks need a key to be signed with; set webhook_key or webhook_key_file"
            )
        if len(key) < _SHORTEST_KEY:
            raise InvalidConfiguration(
                f"[notifications] {option}: the key is too short; use {_SHORTEST_KEY} characters or more, such as "
                "those that `openssl rand -hex 32` prints"
            )
        return key.encode()


@dataclass(frozen=True, slots=True)
class NotificationSettings:
    """Where notifications are sent. transport_urls are secrets, so `repr` omits them."""

    transport_urls: tuple[str, ...] = field(repr=False)
    topics: tuple[str, ...]
    exchange: str
    webhooks: WebhookSettings


def _parse(values: Any) -> NotificationSettings:
    urls = _whole_urls(values.transport_urls)
    return NotificationSettings(urls, tuple(values.topics), values.exchange, _parse_webhooks(values))


def _whole_urls(pieces: Sequence[str]) -> tuple[str, ...]:
    """Return the URLs that oslo.config split at every comma: a URL of several brokers has commas too."""
    return tuple(url for url in _BETWEEN_URLS.split(",".join(pieces).strip(" ,'\"\n")) if url)


def _parse_webhooks(values: Any) -> WebhookSettings:
    if values.webhook_key and values.webhook_key_file:
        raise InvalidConfiguration("[notifications] webhook_key and webhook_key_file are both set; remove one")
    allowed = tuple(_allowed(entry) for entry in values.webhook_urls if entry)
    for_all = tuple(url for url in values.webhook_all if url)
    for url in for_all:
        _check_for_all(url, allow_http=values.webhook_allow_http)
    unknown = [event for event in values.webhook_events if event not in list(JobEvent)]
    if unknown:
        raise InvalidConfiguration(
            f"[notifications] webhook_events has {unknown[0]!r}; the events are {', '.join(JobEvent)}"
        )
    return WebhookSettings(
        allowed=allowed,
        for_all=for_all,
        events=frozenset(map(JobEvent, values.webhook_events or JobEvent)),
        key=values.webhook_key or None,
        key_file=Path(values.webhook_key_file) if values.webhook_key_file else None,
        allow_http=values.webhook_allow_http,
        cafile=Path(values.webhook_cafile) if values.webhook_cafile else None,
        timeout=timedelta(seconds=values.webhook_timeout),
        retry_for=timedelta(seconds=values.webhook_retry_for),
    )


def _allowed(entry: str) -> WebhookUrl:
    """Return the entry. Raises InvalidConfiguration, without a password in the entry."""
    try:
        return parse_allowed(entry)
    except InvalidWebhookUrl as error:
        shown = entry.rpartition("@")[2]
        raise InvalidConfiguration(f"[notifications] webhook_urls: {shown!r} {error}") from None


def _check_for_all(url: str, *, allow_http: bool) -> None:
    """Raise InvalidConfiguration without the URL, which may hold a secret."""
    try:
        parsed = WebhookUrl.parse(url)
    except InvalidWebhookUrl as error:
        raise InvalidConfiguration(f"[notifications] webhook_all: an entry {error}") from None
    if parsed.scheme == "http" and not allow_http:
        raise InvalidConfiguration(
            f"[notifications] webhook_all: {parsed.place} is not encrypted; use https, or set webhook_allow_http"
        )


def _first_line(path: Path) -> str:
    try:
        return path.read_text().partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise InvalidConfiguration(f"[notifications] webhook_key_file: {path} cannot be read: {reason}") from error


GROUP = OptionGroup("notifications", "Notifications of jobs.", OPTIONS, _parse)
