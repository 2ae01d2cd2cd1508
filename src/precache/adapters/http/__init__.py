"""The shared parts of the clients of OpenStack's HTTP APIs: session, credentials, requests, reasons of failures."""

from precache.adapters.http.credentials import Credentials
from precache.adapters.http.failures import (
    CredentialsRefused,
    HttpRequestFailed,
    TokenUnavailable,
    find_cause,
    innermost,
    is_disconnect,
    why_unreachable,
)
from precache.adapters.http.service import ServiceClient, read_document
from precache.adapters.http.session import SeparateLoginSession, open_session, token_plugin

__all__ = [
    "Credentials",
    "CredentialsRefused",
    "HttpRequestFailed",
    "SeparateLoginSession",
    "ServiceClient",
    "TokenUnavailable",
    "find_cause",
    "innermost",
    "is_disconnect",
    "open_session",
    "read_document",
    "token_plugin",
    "why_unreachable",
]
