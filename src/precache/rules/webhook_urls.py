"""Which URLs may be told of jobs: those that the operator's list names.

A URL has one meaning to every program: what two libraries could read differently is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

LONGEST_URL = 2000

_PORTS = {"https": 443, "http": 80}
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/[!-\[\]-~]*)?",
    re.ASCII | re.IGNORECASE,
)
"""No user, password, blank, backslash or character beyond ASCII."""

NOT_A_URL = "is no absolute URL of https or http, in ASCII, without blanks, a user, a password or a fragment"
DOTS = "has a path with . or .. in it"
NOT_ALLOWED = "is not below any URL of [notifications] webhook_urls"
PLAIN_HTTP = "is not encrypted; [notifications] webhook_allow_http = true allows http"


class InvalidWebhookUrl(ValueError):
    """The text is no URL that could be called. Its argument is the reason, to follow the URL in a sentence."""


@dataclass(frozen=True, slots=True)
class WebhookUrl:
    """A URL in parts. path: with its query; begins with a slash."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, text: str) -> WebhookUrl:
        """Raises InvalidWebhookUrl."""
        match = _URL.fullmatch(text)
        if match is None or len(text) > LONGEST_URL or "#" in text:
            raise InvalidWebhookUrl(NOT_A_URL)
        scheme = match["scheme"].lower()
        port = int(match["port"] or _PORTS[scheme])
        if not 0 < port < 2**16:
            raise InvalidWebhookUrl(NOT_A_URL)
        path = match["path"] or "/"
        if {".", ".."} & set(unquote(urlsplit(path).path).split("/")):
            raise InvalidWebhookUrl(DOTS)
        return cls(scheme, match["host"].lower(), port, path)

    @property
    def place(self) -> str:
        """Return the URL without its path, which often holds a secret, for a log."""
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"

    def is_below(self, allowed: WebhookUrl) -> bool:
        """Return whether this is `allowed`, or has further parts of the path, or a query."""
        if (self.scheme, self.host, self.port) != (allowed.scheme, allowed.host, allowed.port):
            return False
        if not self.path.startswith(allowed.path):
            return False
        rest = self.path[len(allowed.path) :]
        return not rest or rest[0] in "/?" or allowed.path.endswith("/")


def parse_allowed(text: str) -> WebhookUrl:
    """Return an entry of the list: a URL, or a host with or without a port, which allows https only.

    Raises InvalidWebhookUrl.
    """
    return WebhookUrl.parse(text if "://" in text else f"https://{text}")


def why_refused(text: str, allowed: Sequence[WebhookUrl], *, allow_http: bool) -> str | None:
    """Return why the URL must not be told of jobs, to follow the URL in a sentence; None if it may be."""
    try:
        url = WebhookUrl.parse(text)
    except InvalidWebhookUrl as error:
        return str(error)
    if not any(url.is_below(each) for each in allowed):
        return NOT_ALLOWED
    return PLAIN_HTTP if url.scheme == "http" and not allow_http else None


def allow_none(text: str) -> str:
    """Return why the URL is refused where no URL is allowed."""
    return why_refused(text, (), allow_http=False) or NOT_ALLOWED


def host_of(text: str) -> str:
    """Return scheme and host of a URL for a log, without a secret that its path may hold."""
    try:
        return WebhookUrl.parse(text).place
    except InvalidWebhookUrl:
        return "a URL that is not valid"
