"""[api] and [oslo_policy]: the HTTP server, authentication and policy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oslo_config import cfg

from precache.config.options import OptionGroup
from precache.core.errors import InvalidConfiguration

OPTIONS = [
    cfg.StrOpt(
        "auth_strategy",
        sample_default="keystone",
        choices=[
            ("keystone", "by Keystone tokens; see [keystone_authtoken]"),
            ("token", "by tokens that `precache token create` made; over TLS, or on loopback addresses"),
            ("noauth", "not at all: every caller is an administrator; on loopback addresses only"),
        ],
        help="How callers are identified. Default: keystone; noauth for the embedded service.",
    ),
    cfg.StrOpt("listen", default="127.0.0.1:8775", help="Address and port of `precache serve api`."),
    cfg.StrOpt(
        "cert_file",
        help="PEM file of the TLS certificate of `precache serve api` and `precache serve images`, followed by the "
        "certificates that signed it. It is read again when it changes. Default: plain HTTP, for a proxy that "
        "terminates TLS.",
    ),
    cfg.StrOpt("key_file", help="PEM file of the certificate's key, without a passphrase."),
    cfg.IntOpt(
        "max_request_body_size", default=114688, min=1024, help="Largest request body that is accepted, in bytes."
    ),
    cfg.IntOpt("workers", default=10, min=1, max=1000, help="Requests that are served at the same time (threads)."),
    cfg.IntOpt(
        "event_readers",
        default=400,
        min=0,
        max=100000,
        help="Clients that follow jobs by events at the same time, in each process; further ones get 503. Each needs "
        "an open file, beside the 500 of other connections. Under another WSGI server at most 8.",
    ),
    cfg.BoolOpt(
        "cache_kernel_and_ramdisk",
        default=True,
        help="Also cache the images that a requested image names in its properties kernel_id and ramdisk_id: an "
        "instance boots from all three.",
    ),
]

POLICY_OPTIONS = [
    cfg.StrOpt(
        "policy_file",
        help="YAML file with rules that override the defaults; it is read again when it changes. Default: the "
        "built-in rules; administrators may do everything, readers of the whole cloud may read everything.",
    ),
]


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """tls_files: of the certificate and of its key; None for plain HTTP."""

    auth_strategy: str | None  # None: the default of the process
    listen: str
    tls_files: tuple[Path, Path] | None
    max_request_body_bytes: int
    workers: int
    event_readers: int
    cache_kernel_and_ramdisk: bool


@dataclass(frozen=True, slots=True)
class PolicySettings:
    policy_file: Path | None


def _parse_api(values: Any) -> ApiSettings:
    if bool(values.cert_file) != bool(values.key_file):
        missing, present = ("key_file", "cert_file") if values.cert_file else ("cert_file", "key_file")
        raise InvalidConfiguration(f"[api] {present} is set without {missing}; TLS needs both")
    tls_files = (Path(values.cert_file), Path(values.key_file)) if values.cert_file else None
    return ApiSettings(
        auth_strategy=values.auth_strategy,
        listen=values.listen,
        tls_files=tls_files,
        max_request_body_bytes=values.max_request_body_size,
        workers=values.workers,
        event_readers=values.event_readers,
        cache_kernel_and_ramdisk=values.cache_kernel_and_ramdisk,
    )


def _parse_policy(values: Any) -> PolicySettings:
    return PolicySettings(Path(values.policy_file) if values.policy_file else None)


GROUP = OptionGroup("api", "The HTTP interface.", OPTIONS, _parse_api)
POLICY_GROUP = OptionGroup("oslo_policy", "Who may do what.", POLICY_OPTIONS, _parse_policy)
