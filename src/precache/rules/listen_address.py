"""Parses the address to listen on, and checks whether only this machine can reach it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from precache.core.errors import InvalidConfiguration

LOCALHOST = "localhost"


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """host: an IP address, or `localhost`. port: 0 lets the system choose."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Return whether only processes of this machine can connect."""
        return self.host == LOCALHOST or ipaddress.ip_address(self.host).is_loopback


def check_noauth(address: ListenAddress) -> None:
    """Raise InvalidConfiguration if unauthenticated callers could come from other machines."""
    if not address.is_loopback:
        raise InvalidConfiguration(
            "[api] auth_strategy = noauth makes every caller an administrator, so it is allowed on loopback "
            f"addresses only, not on {address.host}; listen on 127.0.0.1, or run `precache serve api` with "
            "auth_strategy = keystone"
        )


def check_tokens(address: ListenAddress, *, has_tls: bool) -> None:
    """Raise InvalidConfiguration if tokens would be sent over a network unencrypted."""
    if not has_tls and not address.is_loopback:
        raise InvalidConfiguration(
            f"[api] auth_strategy = token without TLS would show every token to the network of {address.host}; set "
            "[api] cert_file and key_file, or listen on 127.0.0.1 behind a proxy that terminates TLS"
        )


def parse_listen_address(text: str) -> ListenAddress:
    """Parse `ADDRESS:PORT`, an IPv6 address in brackets. Raises InvalidConfiguration for anything else.

    Names other than localhost are not accepted, because their address can change after the check.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InvalidConfiguration(f"{text!r} is not an address to listen on; give ADDRESS:PORT such as 127.0.0.1:8775")
    if host != LOCALHOST:
        try:
            ipaddress.ip_address(host)
        except ValueError as error:
            raise InvalidConfiguration(
                f"{host!r} is not an IP address to listen on; give one, such as 127.0.0.1, or localhost"
            ) from error
    return ListenAddress(host, int(port))
