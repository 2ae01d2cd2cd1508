"""What the `openstack` client loads: `openstack precache ...` has the very same commands as `precache ...`.

The client reads this module's names in capitals and calls its functions at every start, whatever the command: nothing
but the standard library is imported before `make_client`. osc-lib is the client's own affair; we do not depend on it.
"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from precache.cli.client import PrecacheClient

API_NAME = "precache"
API_VERSION_OPTION = "os_precache_api_version"
DEFAULT_API_VERSION = "1"
API_VERSIONS = {"1": "precache.cli.client.PrecacheClient"}

_TIMEOUT_S = 60.0
_OVERRIDE = "image-precache-endpoint-override"
_OVERRIDE_VARIABLE = f"OS_{_OVERRIDE.replace('-', '_').upper()}"


def make_client(instance: Any) -> PrecacheClient:
    """Return what our commands find as `app.client_manager.precache`; `instance` is the client's own manager."""
    from precache.cli.openstack.catalogue import client_over

    return client_over(
        instance.session,
        lambda kind: _endpoint(instance, kind),
        timeout_s=_TIMEOUT_S,
        where=f"in region {instance.region_name or '(any)'}, interface {instance.interface or 'public'}",
        hint=f"register it, or give its address with --os-{_OVERRIDE} ({_OVERRIDE_VARIABLE})",
    )


def _endpoint(instance: Any, service_type: str) -> str | None:
    found = instance.get_endpoint_for_service_type(
        service_type, region_name=instance.region_name, interface=instance.interface
    )
    return None if found is None else str(found)


def build_option_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add our options to those in front of the command; the client puts them together with clouds.yaml."""
    parser.add_argument(
        "--os-precache-api-version",
        metavar="<precache-api-version>",
        default=os.environ.get("OS_PRECACHE_API_VERSION") or DEFAULT_API_VERSION,
        help=f"Image pre-caching API version, default={DEFAULT_API_VERSION} (Env: OS_PRECACHE_API_VERSION)",
    )
    parser.add_argument(
        f"--os-{_OVERRIDE}",
        metavar="<url>",
        default=os.environ.get(_OVERRIDE_VARIABLE),
        help=f"Where the image pre-caching service is, if not as in the catalogue (Env: {_OVERRIDE_VARIABLE})",
    )
    return parser
