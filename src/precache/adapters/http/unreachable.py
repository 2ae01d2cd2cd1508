"""Why no answer came, in a few words for an operator: silence, a certificate, or what the innermost error says."""

from __future__ import annotations

import ssl

from keystoneauth1 import exceptions as ksa

from precache.adapters.http.causes import find_cause, innermost
from precache.core.certificates import TlsNames, explain_certificate


def why_unreachable(error: ksa.ClientException, section: str = "service_user") -> str:
    """Return the reason for an error that keystoneauth raised in place of an answer. It holds no header.

    section: of the configuration, where the authorities are named that we believe.
    """
    if find_cause(error, ksa.ConnectTimeout):
        return "it does not answer in time"
    if failure := find_cause(error, ssl.SSLError):
        names = TlsNames(cafile=f"[{section}] cafile", own=f"[{section}] certfile and keyfile", address="its URL")
        if told := explain_certificate(str(failure), names):
            return told
        return f"there is no TLS to be had ({innermost(error)}); correct http or https in its URL"
    if isinstance(error, ksa.MissingAuthPlugin):  # keystoneauth would have asked with a token, and was to get one
        return "it wants a login before it says which versions it has; correct auth_url"
    if isinstance(error, ksa.HttpError):
        return f"HTTP status {error.http_status}"
    if find_cause(error, OSError):
        return innermost(error)
    return type(getattr(error, "original", error)).__name__
