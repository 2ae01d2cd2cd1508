"""Why no answer came, in a few words for an operator: silence, a certificate, or what the innermost error says."""

from __future__ import annotations

import ssl

from keystoneauth1 import exceptions as ksa

from precache.adapters.http.causes import find_cause, innermost


def why_unreachable(error: ksa.ClientException, section: str = "service_user") -> str:
    """Return the reason for an error that keystoneauth raised in place of an answer. It holds no header.

    section: of the configuration, where the authorities are named that we believe.
    """
    if find_cause(error, ksa.ConnectTimeout):
        return "it does not answer in time"
    distrust = find_cause(error, ssl.SSLCertVerificationError)
    if isinstance(distrust, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not accepted ({distrust.verify_message}); name the authority that signed it in "
            f"[{section}] cafile, or correct the URL or the certificate"
        )
    if find_cause(error, ssl.SSLError):
        return f"there is no TLS to be had ({innermost(error)}); correct http or https in its URL"
    if isinstance(error, ksa.MissingAuthPlugin):  # keystoneauth would have asked with a token, and was to get one
        return "it wants a login before it says which versions it has; correct auth_url"
    if isinstance(error, ksa.HttpError):
        return f"HTTP status {error.http_status}"
    if find_cause(error, OSError):
        return innermost(error)
    return type(getattr(error, "original", error)).__name__
