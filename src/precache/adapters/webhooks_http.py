"""Sends notices with requests. It follows no redirect, uses no proxy, and reads nothing of an answer but its status."""

from __future__ import annotations

import ssl
from concurrent.futures import wait
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

import requests

from precache.adapters.http import find_cause, innermost
from precache.background.threads import call_in_thread
from precache.core.certificates import TlsNames, explain_certificate
from precache.core.errors import WebhookFailed
from precache.core.job_notices import Delivery
from precache.ports.clock import Clock
from precache.rules.webhook_signatures import signature
from precache.rules.webhook_urls import WebhookUrl

_ACCEPTED = range(200, 300)
_REDIRECTS = range(300, 400)
_NAMES = TlsNames(cafile="[notifications] webhook_cafile", own="nothing", address="its URL", server="the receiver")


class HttpWebhooks:
    """The port `Webhooks`. Thread-safe: each request has a connection of its own.

    key: with which requests are signed. timeout: from the beginning of a request to the status of its answer.
    cafile: the authorities that are trusted in place of the usual ones.
    """

    def __init__(self, *, key: bytes, clock: Clock, timeout: timedelta, cafile: Path | None = None) -> None:
        self._key, self._clock = key, clock
        self._timeout_s = timeout.total_seconds()
        self._verify = True if cafile is None else str(cafile)

    def post(self, delivery: Delivery) -> None:
        place = WebhookUrl.parse(delivery.url).place
        # A thread of its own: a receiver that sends one byte at a time keeps a connection busy beyond any timeout.
        answer = call_in_thread(lambda: self._post(delivery), name="webhook")
        if not wait([answer], self._timeout_s).done:
            raise WebhookFailed(place, f"it did not answer within {self._timeout_s:g} seconds")
        try:
            status = answer.result()
        except requests.RequestException as error:
            raise WebhookFailed(place, self._why(error)) from error
        if status in _REDIRECTS:
            raise WebhookFailed(place, f"HTTP status {status}; redirects are not followed", has_answered=True)
        if status not in _ACCEPTED:
            raise WebhookFailed(place, f"HTTP status {status}", has_answered=True)

    def _post(self, delivery: Delivery) -> int:
        """Return the status of the answer."""
        body = delivery.body.encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"precache/{version('precache')}",
            "X-Precache-Event": delivery.event.type,
            "X-Precache-Delivery": delivery.id,
            "X-Precache-Signature": signature(self._key, int(self._clock.now().timestamp()), body),
        }
        with requests.Session() as session:
            session.trust_env = False  # no proxy, no .netrc
            with session.post(
                delivery.url,
                data=body,
                headers=headers,
                timeout=self._timeout_s,
                allow_redirects=False,
                stream=True,  # the body of the answer is never read
                verify=self._verify,
            ) as answer:
                return answer.status_code

    def _why(self, error: requests.RequestException) -> str:
        if isinstance(error, requests.Timeout):
            return f"it did not answer within {self._timeout_s:g} seconds"
        if failure := find_cause(error, ssl.SSLError):
            return explain_certificate(str(failure), _NAMES) or f"TLS failed ({innermost(error)})"
        return innermost(error)
