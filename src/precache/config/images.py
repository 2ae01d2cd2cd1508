"""[glance]: the image service. [libvirt] and [compute]: images on a host. The options have Nova's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from oslo_config import cfg

from precache.config.options import OptionGroup, settings_of
from precache.core.errors import InvalidConfiguration
from precache.core.private_transport import is_private_url
from precache.rules.throughput import MinThroughput

GLANCE_OPTIONS = [
    cfg.ListOpt(
        "endpoint_override",
        default=[],
        help="URL of the image service, without the version, or several of them, separated by commas: each process "
        "uses one until it is unavailable, then the next. Default: from the catalogue; the embedded service uses "
        "its own.",
    ),
    cfg.StrOpt(
        "auth_token",
        secret=True,
        help="Token of the role compute for a `precache serve images` with [api] auth_strategy = token; see `precache "
        "token create`. Needs endpoint_override. Default: the credentials in [service_user].",
    ),
    cfg.IntOpt(
        "num_retries", default=3, min=0, help="Retries after a failed attempt; attempts that brought data do not count."
    ),
    cfg.IntOpt("connections", default=4, min=1, help="Simultaneous transfers from the image service on each host."),
    cfg.IntOpt("connect_timeout", default=10, min=1, help="Seconds to wait for a connection."),
    cfg.IntOpt(
        "read_timeout", default=60, min=1, help="Seconds without data after which a transfer counts as stalled."
    ),
    cfg.IntOpt(
        "min_throughput",
        default=8,
        min=0,
        help="Lowest rate of a transfer in KiB per second, averaged over min_throughput_window. A slower one is "
        "interrupted and resumed on another connection, up to num_retries times in a row. Note that hosts behind "
        "one slow link share its rate. 0 accepts any rate.",
    ),
    cfg.BoolOpt(
        "verify_glance_signatures",
        default=False,
        help="Verify the signature of every image, as nova-compute does; an image without one is refused. Must be the "
        "same as for nova-compute on this host. Needs a key manager: see [key_manager].",
    ),
    cfg.BoolOpt(
        "enable_certificate_validation",
        default=False,
        help="Accept only certificates that one of default_trusted_certificate_ids has signed; if that list is empty, "
        "every image is refused.",
    ),
    cfg.ListOpt(
        "default_trusted_certificate_ids",
        default=[],
        help="Ids, in the key manager, of certificates that are trusted to sign certificates of images.",
    ),
    cfg.IntOpt("min_throughput_window", default=60, min=1, help="Seconds over which min_throughput is averaged."),
]

LIBVIRT_OPTIONS = [
    cfg.StrOpt(
        "images_type",
        default="default",
        choices=["raw", "flat", "qcow2", "lvm", "rbd", "ploop", "default"],
        help="How instance disks are made. With a type that does not use the cache the host answers `unsupported`.",
    ),
    cfg.StrOpt(
        "connection_uri",
        default="qemu:///system",
        help="The libvirt of this host, from which the cleaner reads the disks of guests. Used if the owner of the "
        "cache is precache.",
    ),
    cfg.IntOpt(
        "images_cpu_time_limit",
        default=30,
        min=1,
        help="Seconds of processor time that qemu-img may use to examine an image; a conversion may use more, "
        "depending on the size of the disk.",
    ),
    cfg.IntOpt(
        "images_address_space_limit",
        default=2,
        min=1,
        help="Address space that qemu-img may use, in GiB.",
    ),
]

COMPUTE_OPTIONS = [
    cfg.StrOpt(
        "virt_driver",
        default="libvirt",
        help="The virt driver of this host: libvirt; uncached for a hypervisor without an image cache; fake to "
        "simulate one; or another installed driver.",
    ),
    cfg.ListOpt(
        "vmdk_allowed_types",
        default=["streamOptimized", "monolithicSparse"],
        help="VMDK create-types that may be cached; other types can refer to files of the host.",
    ),
    cfg.DictOpt(
        "driver_options",
        default={},
        help="Options of the virt driver, such as delay_seconds:2 for the simulated driver `fake`.",
    ),
]


@dataclass(frozen=True, slots=True)
class SignatureSettings:
    """How signatures are checked.

    must_verify: check every image's signature. must_validate: also check the certificate, by one of `trusted`.
    verify_glance_signatures: the option as it was set; trusted certificates also require the check.
    """

    verify_glance_signatures: bool
    must_verify: bool
    must_validate: bool
    trusted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GlanceSettings:
    """How the image service is called.

    endpoints: URLs of one image service; empty to use the catalogue.
    auth_token: a secret, so `repr` omits it; None to use the credentials in [service_user].
    """

    endpoints: tuple[str, ...]
    auth_token: str | None = field(repr=False)
    num_retries: int
    connections: int
    connect_timeout: timedelta
    read_timeout: timedelta
    least_rate: MinThroughput
    signatures: SignatureSettings


@dataclass(frozen=True, slots=True)
class LibvirtSettings:
    images_type: str
    connection_uri: str
    cpu_time_limit: timedelta
    address_space_limit_bytes: int


@dataclass(frozen=True, slots=True)
class ComputeSettings:
    virt_driver: str
    vmdk_allowed_types: tuple[str, ...]
    driver_options: Mapping[str, str]


def _parse_glance(values: Any) -> GlanceSettings:
    endpoints = tuple(url for url in values.endpoint_override if url)
    if not all(url.startswith(("http://", "https://")) for url in endpoints):
        raise InvalidConfiguration(
            "[glance] endpoint_override has an entry that is not an http or https URL; give one such as "
            "http://glance:9292"
        )
    if values.auth_token:
        check_token_endpoints(endpoints, "[glance] auth_token")
    return settings_of(
        GlanceSettings,
        values,
        endpoints=endpoints,
        least_rate=MinThroughput(values.min_throughput << 10, timedelta(seconds=values.min_throughput_window)),
        signatures=_parse_signatures(values),
    )


def _parse_signatures(values: Any) -> SignatureSettings:
    trusted = tuple(values.default_trusted_certificate_ids) if values.enable_certificate_validation else ()
    # Nova verifies if either is set.
    must_verify = values.verify_glance_signatures or bool(trusted)
    return SignatureSettings(
        values.verify_glance_signatures, must_verify, values.enable_certificate_validation, trusted
    )


def check_token_endpoints(endpoints: Sequence[str], option: str) -> None:
    """Raise InvalidConfiguration unless Precache's own tokens may be sent to these endpoints of the image service.

    option: the option that requires it, for the message.
    """
    if not endpoints:
        raise InvalidConfiguration(
            f"{option} needs [glance] endpoint_override, the URL of `precache serve images`; there is no catalogue "
            "without Keystone"
        )
    if exposed := [url for url in endpoints if not is_private_url(url)]:
        raise InvalidConfiguration(
            f"{option} would be sent unencrypted to {exposed[0]}; set [glance] endpoint_override to an https URL"
        )


def _parse_libvirt(values: Any) -> LibvirtSettings:
    return settings_of(
        LibvirtSettings,
        values,
        connection_uri=values.connection_uri or "qemu:///system",
        cpu_time_limit=timedelta(seconds=values.images_cpu_time_limit),
        address_space_limit_bytes=values.images_address_space_limit * 1024**3,
    )


GLANCE_GROUP = OptionGroup("glance", "The image service.", GLANCE_OPTIONS, _parse_glance)
LIBVIRT_GROUP = OptionGroup("libvirt", "The libvirt driver.", LIBVIRT_OPTIONS, _parse_libvirt)
COMPUTE_GROUP = OptionGroup("compute", "Every compute.", COMPUTE_OPTIONS, partial(settings_of, ComputeSettings))
