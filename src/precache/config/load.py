"""Reads files and environment once into one frozen value with all settings."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from oslo_config import cfg

from precache.config import (
    api,
    bus,
    conductor,
    database,
    host,
    identity,
    image_cache,
    images,
    inventory,
    jobs,
    limits,
    notifications,
    swarm,
    workarounds,
)
from precache.config.api import ApiSettings, PolicySettings
from precache.config.bus import BusSettings, UpgradeSettings
from precache.config.conductor import ConductorSettings
from precache.config.database import DatabaseSettings
from precache.config.host import HostSettings
from precache.config.identity import ServiceUserSettings
from precache.config.image_cache import ImageCacheSettings
from precache.config.images import ComputeSettings, GlanceSettings, LibvirtSettings
from precache.config.inventory import InventorySettings, NovaSettings
from precache.config.jobs import JobSettings
from precache.config.limits import LimitSettings
from precache.config.logs import register_log_options
from precache.config.notifications import NotificationSettings
from precache.config.options import OptionGroup, read_value
from precache.config.swarm import SwarmSettings
from precache.config.unknown_options import UnknownOption, unknown_options
from precache.config.workarounds import WorkaroundSettings
from precache.core.errors import InvalidConfiguration

_SETTINGS: Mapping[str, OptionGroup[Any]] = {
    "host": host.GROUP,
    "bus": bus.GROUP,
    "upgrade_levels": bus.UPGRADE_GROUP,
    "notifications": notifications.GROUP,
    "database": database.GROUP,
    "api": api.GROUP,
    "policy": api.POLICY_GROUP,
    "service_user": identity.GROUP,
    "conductor": conductor.GROUP,
    "limits": limits.GROUP,
    "jobs": jobs.GROUP,
    "inventory": inventory.GROUP,
    "nova": inventory.NOVA_GROUP,
    "image_cache": image_cache.GROUP,
    "glance": images.GLANCE_GROUP,
    "compute": images.COMPUTE_GROUP,
    "libvirt": images.LIBVIRT_GROUP,
    "swarm": swarm.GROUP,
    "workarounds": workarounds.GROUP,
}
"""The section of each field of `Config`, in the order of the sample file."""

GROUPS = tuple(_SETTINGS.values())

DEFAULT_FILE = Path("/etc/precache/precache.conf")


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration; for `wiring` only, which passes each constructor the values it needs.

    oslo: the same files, for libraries that read their own sections (oslo.messaging, keystonemiddleware, oslo.log) and
    register options that would conflict with options of the same name here. unknown: entries that are no option.
    """

    host: HostSettings
    bus: BusSettings
    upgrade_levels: UpgradeSettings
    notifications: NotificationSettings
    database: DatabaseSettings
    api: ApiSettings
    policy: PolicySettings
    service_user: ServiceUserSettings
    conductor: ConductorSettings
    limits: LimitSettings
    jobs: JobSettings
    inventory: InventorySettings
    nova: NovaSettings
    image_cache: ImageCacheSettings
    glance: GlanceSettings
    compute: ComputeSettings
    libvirt: LibvirtSettings
    swarm: SwarmSettings
    workarounds: WorkaroundSettings
    oslo: cfg.ConfigOpts = field(repr=False, compare=False)
    unknown: tuple[UnknownOption, ...] = ()


def load_config(
    files: Sequence[Path] | None = None,
    defaults: Mapping[tuple[str | None, str], object] | None = None,
    *,
    refuse_misspelt: bool = True,
) -> Config:
    """Read `files` (None: /etc/precache/precache.conf if there is one) and the environment (OS_<GROUP>__<OPTION>).

    defaults: by (group, option), used only if no file is read. With a file the documented defaults apply, because a
        section copied from nova.conf must have its meaning there.
    refuse_misspelt: raise for an entry whose name is nearly that of an option, instead of only listing it.
    Raises InvalidConfiguration, in one sentence, for a file that cannot be read, a misspelt option, a value out of
    range, or a contradictory combination.
    """
    conf = cfg.ConfigOpts()
    for group in GROUPS:
        group.register(conf)
    try:
        existing = _existing(files)
        for (group_name, option), value in ({} if existing else defaults or {}).items():
            conf.set_default(option, value, group=group_name)
        for_libraries = cfg.ConfigOpts()
        register_log_options(for_libraries)
        for each in (conf, for_libraries):
            _read(each, existing)
        unknown = unknown_options(existing, os.environ, GROUPS)
        if refuse_misspelt:
            _refuse_misspelt(unknown)
        _check_values(conf)
    except cfg.Error as error:
        raise InvalidConfiguration(" ".join(str(error).split())) from error
    except OSError as error:
        raise InvalidConfiguration(f"{error.filename} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidConfiguration(f"the configuration is not a UTF-8 text file: {error}") from error
    return _parse(conf, for_libraries, tuple(unknown))


def _read(conf: cfg.ConfigOpts, files: list[str]) -> None:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            conf([], project="precache", default_config_files=files, default_config_dirs=[])
    except SystemExit as error:
        # The library calls sys.exit for a bad value of an option that is also a command-line option.
        reason = " ".join(said.getvalue().split()).removeprefix("argument --")
        raise InvalidConfiguration(f"[DEFAULT] {reason}") from error


def find_unknown_options(files: Sequence[Path] | None) -> list[UnknownOption]:
    """Return the entries that are no option; none if a file cannot be read, which `load_config` reports."""
    try:
        return unknown_options(_existing(files), os.environ, GROUPS)
    except (InvalidConfiguration, cfg.Error, cfg.ParseError, OSError, UnicodeDecodeError):
        return []


def is_chosen(conf: cfg.ConfigOpts, group: str | None, option: str) -> bool:
    """Return whether a file, the environment or the command sets the value."""
    place = conf.get_location(option, group)
    return place is not None and place.location is not cfg.Locations.opt_default


def _existing(files: Sequence[Path] | None) -> list[str]:
    if files is None:
        return [str(DEFAULT_FILE)] if DEFAULT_FILE.exists() else []
    for file in files:
        if not file.is_file():
            raise InvalidConfiguration(f"{file} is not a file; give an existing configuration file")
        with file.open("rb"):  # the library would name a file that cannot be opened without the reason
            pass
    return [str(file) for file in files]


def _refuse_misspelt(unknown: Sequence[UnknownOption]) -> None:
    misspelt = [entry for entry in unknown if entry.is_misspelt]
    if misspelt:
        more = f" (and {len(misspelt) - 1} more; `precache doctor` lists them)" if len(misspelt) > 1 else ""
        raise InvalidConfiguration(f"{misspelt[0].found}; {misspelt[0].advice}{more}")


def _check_values(conf: cfg.ConfigOpts) -> None:
    """Read every option once, so that a bad value is reported at start."""
    for group in GROUPS:
        for option in group.options:
            read_value(conf, group.name, option)


def _parse(conf: cfg.ConfigOpts, for_libraries: cfg.ConfigOpts, unknown: tuple[UnknownOption, ...]) -> Config:
    settings = {name: group.read(conf) for name, group in _SETTINGS.items()}
    settings["host"] = replace(
        settings["host"], is_instances_path_chosen=is_chosen(conf, host.GROUP.name, "instances_path")
    )
    settings["image_cache"] = replace(
        settings["image_cache"], is_owner_chosen=is_chosen(conf, image_cache.GROUP.name, "owner")
    )
    config = Config(**settings, oslo=for_libraries, unknown=unknown)
    if config.libvirt.images_type == "rbd" and not config.host.force_raw_images:
        raise InvalidConfiguration(
            "[DEFAULT] force_raw_images must be true where [libvirt] images_type is rbd: Ceph clones raw images only"
        )
    return config
