"""What the `openstack` client finds of us: entry points, options, and a client made of its own manager."""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib.metadata import entry_points
from types import SimpleNamespace
from typing import Any

import pytest
from keystoneauth1 import exceptions
from keystoneauth1.identity.v3 import Password
from keystoneauth1.session import Session

from precache.cli.errors import NoEndpoint
from precache.cli.openstack import plugin
from tests.unit.cli.openstack.played_keystone import PASSWORD, PlayedKeystone
from tests.unit.cli.stub_service import StubService


def manager(keystone: PlayedKeystone) -> Any:
    """Return as much of the client's manager as a plugin is promised."""
    auth = Password(keystone.url, username="admin", password=PASSWORD, project_name="admin", user_domain_id="default")

    def endpoint(service_type: str, region_name: str | None, interface: str) -> str:
        if service_type not in keystone.catalogue:
            raise exceptions.EndpointNotFound()
        return keystone.catalogue[service_type]

    return SimpleNamespace(
        session=Session(auth=auth),
        region_name="RegionOne",
        interface="public",
        get_endpoint_for_service_type=endpoint,
    )


def test_the_openstack_client_gets_every_command_of_a_client_and_no_other() -> None:
    ours = {entry.name: entry.value for entry in entry_points(group="precache.commands")}
    theirs = {entry.name: entry.value for entry in entry_points(group="openstack.precache.v1")}

    assert theirs == {f"precache_{name}": to for name, to in ours.items() if to.startswith("precache.cli.commands.")}


def test_the_plugin_is_found_under_the_name_that_the_commands_use() -> None:
    [found] = [entry for entry in entry_points(group="openstack.cli.extension") if entry.value.startswith("precache")]

    assert found.load() is plugin
    assert plugin.API_NAME == "precache"  # as in app.client_manager.precache, and in the group openstack.precache.v1
    assert plugin.DEFAULT_API_VERSION in plugin.API_VERSIONS


def test_loading_the_plugin_imports_only_the_standard_library() -> None:
    script = (
        "import sys; before = set(sys.modules); import precache.cli.openstack.plugin; "
        "new = {name.split('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(new - set(sys.stdlib_module_names)))"
    )

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ran.stdout == "['precache']\n"


def test_an_override_of_the_endpoint_is_an_option_and_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_IMAGE_PRECACHE_ENDPOINT_OVERRIDE", "http://a")

    parser = plugin.build_option_parser(argparse.ArgumentParser())

    # openstacksdk looks for exactly this name, with os_ in front, in options and in clouds.yaml.
    assert parser.parse_args([]).os_image_precache_endpoint_override == "http://a"
    told = parser.parse_args(["--os-image-precache-endpoint-override", "http://b"])
    assert told.os_image_precache_endpoint_override == "http://b"


def test_requests_carry_the_sessions_token(service: StubService) -> None:
    with PlayedKeystone({"image-precache": service.url}) as keystone:
        client = plugin.make_client(manager(keystone))

        assert [host["name"] for host in client.hosts.every()] == [host["name"] for host in service.hosts]
        assert client.images.every() == service.images  # no image service in the catalogue: the embedded one

    assert {asked.headers["x-auth-token"] for asked in service.asked} == {"token-1"}


def test_a_catalogue_without_precache_names_the_option_to_use() -> None:
    with PlayedKeystone({}) as keystone, pytest.raises(NoEndpoint) as refused:
        plugin.make_client(manager(keystone))

    assert "--os-image-precache-endpoint-override" in str(refused.value)
