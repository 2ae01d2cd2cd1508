"""What the clients of OpenStack's HTTP APIs have in common: session, credentials, requests, and what went wrong."""

from precache.adapters.http.causes import innermost
from precache.adapters.http.credentials import Credentials
from precache.adapters.http.document import read_document
from precache.adapters.http.failures import CredentialsRefused, ServiceUnreachable, TokenUnavailable
from precache.adapters.http.service import ServiceClient
from precache.adapters.http.session import SeparateLoginSession, open_session, token_plugin
from precache.adapters.http.unreachable import why_unreachable

__all__ = [
    "Credentials",
    "CredentialsRefused",
    "SeparateLoginSession",
    "ServiceClient",
    "ServiceUnreachable",
    "TokenUnavailable",
    "innermost",
    "open_session",
    "read_document",
    "token_plugin",
    "why_unreachable",
]
