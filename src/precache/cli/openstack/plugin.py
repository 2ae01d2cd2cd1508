"""The plugin of the `openstack` client: `openstack precache ...` has the same commands as `precache ...`.

The client reads this module's constants and calls its functions at every start, for any command. So only the standard
library is imported before `make_client`. osc-lib belongs to the client; Precache does not depend on it.
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
    """Return the client for commands. instance: the `openstack` client's manager, which stores it as `precache`."""
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
    """Add Precache's global options; the `openstack` client merges them with clouds.yaml."""
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
        help=f"URL of the image pre-caching service (default: from the catalogue) (Env: {_OVERRIDE_VARIABLE})",
    )
    return parser
