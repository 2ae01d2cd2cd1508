"""What is wrong with a certificate in TLS, for an operator: one explanation for every client, from the library's text.

The libraries (Python's ssl, libpq, PyMySQL, py-amqp) agree in OpenSSL's texts and in little else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NOT_FOR = re.compile(r"certificate is not valid for '([^']+)'|certificate .* does not match host name \"([^\"]+)\"")
_ALERT = re.compile(r"alert ([\w ]*certificate[\w ]*|unknown ca)|(certificate)[ _]required", re.IGNORECASE)
_DISTRUST = re.compile(r"certificate verify failed(?::? ([^(]*))?|(\w+ signature failure)")
# OpenSSL's texts for what X509_V_FLAG_X509_STRICT refuses, which Python sets since 3.13.
_STRICT = re.compile(r"Key Identifier|Basic Constraints|[Kk]ey usage|Path length|name empty|Subject Alt|X509v3")


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsNames:
    """How a client's configuration names what a certificate depends on.

    cafile: where the authority is named. own: the option with the client's own certificate. address: the option with
    the server's address.
    """

    cafile: str
    own: str
    address: str
    server: str = "the server"


def explain_certificate(text: str, names: TlsNames) -> str | None:
    """Return what is wrong with a certificate, and after a semicolon what to do; None if the error is another one.

    Waiting does not help in any of these cases.
    """
    if "certificate has expired" in text:
        return f"its certificate has expired; renew it on {names.server}"
    if "certificate is not yet valid" in text:
        return "its certificate is not valid yet; correct the clock of this machine"
    if found := _NOT_FOR.search(text):
        return (
            f"its certificate is not valid for {found[1] or found[2]}; correct the host in {names.address}, or the "
            "certificate, which has to name every host by which it is reached"
        )
    if found := _ALERT.search(text):
        if "required" in found[0].lower():
            return f"it asks for a certificate of the client; set {names.own}"
        return f"it does not accept the client's certificate ({found[1].strip()}); correct {names.own}"
    if found := _DISTRUST.search(text):
        return _distrust((found[1] or found[2] or "").strip(), names)
    return None


def _distrust(reason: str, names: TlsNames) -> str:
    told = f"its certificate is not accepted ({reason or 'no reason given'})"
    if not reason:
        return f"{told}; check that it has not expired, and name the authority that signed it in {names.cafile}"
    if _STRICT.search(reason):
        return (
            f"{told}; issue it, or its authority's certificate, again with the extensions that RFC 5280 demands: "
            "Python 3.13 and newer check them, and another CA file does not help"
        )
    return f"{told}; name the authority that signed it in {names.cafile}"
