"""Which checks are for which process."""

from __future__ import annotations

from collections.abc import Sequence

from precache.config.load import Config
from precache.doctor.buses import check_computes_bus, check_notifications, check_own_bus
from precache.doctor.cache_owner import check_cache_owner
from precache.doctor.cached_images import check_cached_images
from precache.doctor.callers import check_callers, check_policy
from precache.doctor.cells import CELLS_TIMEOUT_S, check_cells, check_computes, check_pins
from precache.doctor.clock import check_clock
from precache.doctor.database import check_database, on_database
from precache.doctor.decoding import check_decoding
from precache.doctor.directories import check_cache, check_disk_space, check_instances
from precache.doctor.embedded import check_embedded_database, check_state_dir
from precache.doctor.examine import Check
from precache.doctor.image_service import check_image_service
from precache.doctor.keystone import check_service_user
from precache.doctor.locks import check_locks
from precache.doctor.nova import check_nova
from precache.doctor.nova_conf import check_nova_conf
from precache.doctor.qemu_img import check_qemu_img
from precache.doctor.shared_cache import check_shared_cache
from precache.doctor.swarm_peers import PEERS_TIMEOUT_S, check_swarm_authority, check_swarm_peers
from precache.doctor.swarm_port import check_swarm_port

_DATABASE = Check("database", check_database)
_WAKING = Check("message bus", check_own_bus)
_SERVICE_USER = Check("service user", check_service_user)
_IMAGES = Check("image service", check_image_service)
_NOVA = Check("nova", on_database(check_nova))
_CLOCK = Check("clock", check_clock)

_BY_ROLE = {
    "api": (
        _DATABASE,
        _WAKING,
        Check("caller identification", check_callers),
        Check("policy", check_policy),
        _SERVICE_USER,
        _IMAGES,
        _NOVA,
        _CLOCK,
    ),
    "conductor": (
        _DATABASE,
        _WAKING,
        Check("cells", on_database(check_cells), CELLS_TIMEOUT_S),
        Check("computes", on_database(check_computes)),
        Check("pins", check_pins),
        Check("swarm authority", on_database(check_swarm_authority)),
        Check("swarm peers", on_database(check_swarm_peers), PEERS_TIMEOUT_S),
        Check("notifications", check_notifications, CELLS_TIMEOUT_S),
        _SERVICE_USER,
        Check("cached images", check_cached_images),
        _NOVA,
        _CLOCK,
    ),
    "compute": (
        Check("cell's message bus", check_computes_bus),
        _SERVICE_USER,
        _IMAGES,
        _CLOCK,
    ),
    "all": (
        Check("state directory", check_state_dir),
        Check("database", check_embedded_database),
        Check("policy", check_policy),
        Check("disk space", check_disk_space),
        Check("cache owner", check_cache_owner),
        Check("qemu-img", check_qemu_img),
        Check("decoding", check_decoding),
    ),
}

_OF_A_FILE_CACHE = (
    Check("instances", check_instances),
    Check("image cache", check_cache),
    Check("locks", check_locks),
    Check("shared cache", check_shared_cache),
    Check("disk space", check_disk_space),
    Check("cache owner", check_cache_owner),
    Check("nova.conf", check_nova_conf),
    Check("qemu-img", check_qemu_img),
    Check("decoding", check_decoding),
    Check("swarm port", check_swarm_port),
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
