"""Which checks are for which process."""

from __future__ import annotations

from collections.abc import Sequence

from precache.config.load import Config
from precache.doctor.buses import look_at_computes_bus, look_at_notifications, look_at_own_bus
from precache.doctor.cache_owner import look_at_cache_owner
from precache.doctor.callers import look_at_callers, look_at_policy
from precache.doctor.cells import CELLS_TIMEOUT_S, look_at_cells, look_at_computes, look_at_pins
from precache.doctor.clock import look_at_clock
from precache.doctor.database import look_at_database, on_database
from precache.doctor.directories import look_at_cache, look_at_disk_space, look_at_instances
from precache.doctor.embedded import look_at_embedded_database, look_at_state_dir
from precache.doctor.examine import Check
from precache.doctor.image_service import look_at_image_service
from precache.doctor.keystone import look_at_service_user
from precache.doctor.locks import look_at_locks
from precache.doctor.nova import look_at_nova
from precache.doctor.nova_conf import look_at_nova_conf
from precache.doctor.qemu_img import look_at_qemu_img

_DATABASE = Check("database", look_at_database)
_WAKING = Check("message bus", look_at_own_bus)
_SERVICE_USER = Check("service user", look_at_service_user)
_IMAGES = Check("image service", look_at_image_service)
_NOVA = Check("nova", on_database(look_at_nova))
_CLOCK = Check("clock", look_at_clock)

_BY_ROLE = {
    "api": (
        _DATABASE,
        _WAKING,
        Check("caller identification", look_at_callers),
        Check("policy", look_at_policy),
        _SERVICE_USER,
        _IMAGES,
        _NOVA,
        _CLOCK,
    ),
    "conductor": (
        _DATABASE,
        _WAKING,
        Check("cells", on_database(look_at_cells), CELLS_TIMEOUT_S),
        Check("computes", on_database(look_at_computes)),
        Check("pins", look_at_pins),
        Check("notifications", look_at_notifications, CELLS_TIMEOUT_S),
        _SERVICE_USER,
        _NOVA,
        _CLOCK,
    ),
    "compute": (
        Check("cell's message bus", look_at_computes_bus),
        _SERVICE_USER,
        _IMAGES,
        _CLOCK,
    ),
    "all": (
        Check("state directory", look_at_state_dir),
        Check("database", look_at_embedded_database),
        Check("policy", look_at_policy),
        Check("disk space", look_at_disk_space),
        Check("cache owner", look_at_cache_owner),
        Check("qemu-img", look_at_qemu_img),
    ),
}

_OF_A_FILE_CACHE = (
    Check("instances", look_at_instances),
    Check("image cache", look_at_cache),
    Check("locks", look_at_locks),
    Check("disk space", look_at_disk_space),
    Check("cache owner", look_at_cache_owner),
    Check("nova.conf", look_at_nova_conf),
    Check("qemu-img", look_at_qemu_img),
)

ROLES = tuple(_BY_ROLE)


def likely_roles(config: Config) -> tuple[str, ...]:
    """Guess what runs here: API and conductor with a database, a compute with instances or without a database."""
    has_database = config.database.connection is not None
    is_host = config.host.instances_path.is_dir() or not has_database
    return (("api", "conductor") if has_database else ()) + (("compute",) if is_host else ())


def checks_for(roles: Sequence[str], config: Config) -> list[Check]:
    """Return the checks of these processes, each once."""
    checks = [check for role in ROLES if role in roles for check in _BY_ROLE[role]]
    if "compute" in roles and config.compute.virt_driver == "libvirt":
        checks += _OF_A_FILE_CACHE
    return list(dict.fromkeys(checks))
