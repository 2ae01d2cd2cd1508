"""On a host: nova.conf and Precache's configuration must have the same values for the image cache."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from oslo_config import cfg

from precache.config.load import Config
from precache.doctor.findings import Finding, failed, ok, skipped

FILES = (Path("/etc/nova/nova.conf"), Path("/etc/nova/nova-compute.conf"))

_OPTIONS = {
    "DEFAULT": [
        cfg.StrOpt("state_path", default="/var/lib/nova"),
        cfg.StrOpt("instances_path", default="$state_path/instances"),
        cfg.BoolOpt("force_raw_images", default=True),
        cfg.StrOpt("host"),
    ],
    "image_cache": [
        cfg.StrOpt("subdirectory_name", default="_base"),
        cfg.IntOpt("remove_unused_original_minimum_age_seconds", default=86400, deprecated_group="DEFAULT"),
    ],
    "glance": [
        cfg.BoolOpt("verify_glance_signatures", default=False),
        cfg.BoolOpt("enable_certificate_validation", default=False),
        cfg.ListOpt("default_trusted_certificate_ids", default=[]),
    ],
    "workarounds": [cfg.BoolOpt("disable_deep_image_inspection", default=False)],
    "libvirt": [cfg.StrOpt("images_type", default="default")],
}

_MINIMUM_AGE = "[image_cache] remove_unused_original_minimum_age_seconds"
"""Pinned images are touched often enough for the age in Precache's configuration; nova-compute removes by its own."""


def check_nova_conf(config: Config, files: tuple[Path, ...] = FILES) -> Iterator[Finding]:
    """Compare them option by option."""
    readable = [str(file) for file in files if os.access(file, os.R_OK)]
    if not readable:
        yield skipped(f"{files[0]} cannot be read, so nothing was compared with it")
        return
    try:
        pairs = list(_pairs(_read(readable), config))
    except (cfg.Error, ValueError, UnicodeDecodeError):
        yield skipped(f"{readable[0]} cannot be parsed, so nothing was compared with it")
        return
    differing = [(option, in_nova, here) for option, in_nova, here in pairs if in_nova != here]
    for option, in_nova, here in differing:
        yield failed(
            f"{option} is {in_nova} in {readable[0]} but {here} in Precache's configuration",
            f"set it to {in_nova} in Precache's configuration too",
        )
    if not differing:
        yield ok(f"{readable[0]} and Precache's configuration agree")


def _read(files: list[str]) -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    for group, options in _OPTIONS.items():
        conf.register_opts(options, group=None if group == "DEFAULT" else group)
    conf([], default_config_files=files, default_config_dirs=[])
    return conf


def _pairs(nova: cfg.ConfigOpts, config: Config) -> Iterator[tuple[str, object, object]]:
    yield "[DEFAULT] instances_path", Path(nova.instances_path), config.host.instances_path
    yield "[DEFAULT] force_raw_images", nova.force_raw_images, config.host.force_raw_images
    yield "[image_cache] subdirectory_name", nova.image_cache.subdirectory_name, config.image_cache.subdirectory_name
    if not config.image_cache.is_precache_owner:
        yield (
            _MINIMUM_AGE,
            nova.image_cache.remove_unused_original_minimum_age_seconds,
            int(config.image_cache.original_minimum_age.total_seconds()),
        )
    yield "[libvirt] images_type", nova.libvirt.images_type, config.libvirt.images_type
    theirs_disabled, ours_disabled = (
        nova.workarounds.disable_deep_image_inspection,
        not config.workarounds.deep_inspection,
    )
    yield "[workarounds] disable_deep_image_inspection", theirs_disabled, ours_disabled
    settings = config.glance.signatures
    yield "[glance] verify_glance_signatures", nova.glance.verify_glance_signatures, settings.verify_glance_signatures
    yield "[glance] enable_certificate_validation", nova.glance.enable_certificate_validation, settings.must_validate
    if nova.glance.enable_certificate_validation and settings.must_validate:
        nova_trusted = ", ".join(sorted(nova.glance.default_trusted_certificate_ids)) or "empty"
        yield "[glance] default_trusted_certificate_ids", nova_trusted, ", ".join(sorted(settings.trusted)) or "empty"
    if nova.host:
        yield "[DEFAULT] host", nova.host, config.host.host
