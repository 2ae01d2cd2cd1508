"""The clients that operators already have, unmodified: by names and by ids, through the catalogue and past it.

What counts is the job that is stored. The SDK and novaclient's library are used by scripts in the clients' own
environment; novaclient's command sends its image lookups to an overriding endpoint too, so it needs the catalogue.
"""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.lab.cloud import Cloud
from tests.lab.keystone import User
from tests.lab.venvs import CLOUD
from tests.system.cloud_api import AGGREGATE, HOSTS, CloudApi, cloud_api

pytestmark = [pytest.mark.system, pytest.mark.external]

TIMEOUT_S = 90
OVERRIDE = "OS_COMPUTE_ENDPOINT_OVERRIDE"

WITH_SDK = """
import sys, openstack
cloud = openstack.connect(load_envvars=True)
aggregate = cloud.compute.find_aggregate(sys.argv[1], ignore_missing=False)
cloud.compute.aggregate_precache_images(aggregate, sys.argv[2:])
"""

WITH_NOVACLIENT = """
import os, sys
from keystoneauth1 import loading, session
from novaclient import client
names = ("auth_url", "username", "password", "project_name", "user_domain_name", "project_domain_name")
options = {name: os.environ[f"OS_{name.upper()}"] for name in names}
auth = loading.get_plugin_loader("password").load_from_options(**options)
nova = client.Client("2.81", session=session.Session(auth=auth), endpoint_override=os.environ.get(sys.argv[1]))
aggregate = next(each for each in nova.aggregates.list() if each.name == sys.argv[2])
nova.aggregates.cache_images(aggregate, sys.argv[3:])
"""

Client = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def api(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudApi]:
    with cloud_api(tmp_path_factory.mktemp("api"), cloud) as running:
        yield running


@pytest.fixture(scope="module")
def images(cloud: Cloud) -> dict[str, str]:
    """Two images: id by name."""
    names = [f"{kind}-{uuid.uuid4().hex[:8]}" for kind in ("web", "base")]
    return {name: cloud.glance.upload_image(name=name, visibility="public") for name in names}


@pytest.fixture
def catalogued(api: CloudApi, cloud: Cloud) -> Iterator[None]:
    """The catalogue has Precache in place of Nova."""
    cloud.keystone.set_endpoint("compute", api.deployment.compute_url, name="precache")
    yield
    cloud.keystone.remove_endpoint("compute")


@pytest.fixture
def overriding(api: CloudApi, cloud: Cloud) -> dict[str, str]:
    """The environment in which clients use Precache although the catalogue names Nova."""
    cloud.keystone.set_endpoint("compute", "http://127.0.0.1:9/v2.1", name="nova")
    return {OVERRIDE: api.deployment.compute_url}


@pytest.fixture
def run(cloud: Cloud, tmp_path: Path) -> Client:
    """Return a function that runs a client's command; in the name of the administrator unless told otherwise."""

    def command(
        *words: str, user: User = cloud.admin, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(CLOUD.program(words[0])), *words[1:]],
            env=cloud.keystone.openrc(user) | (environment or {}),
            cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip

    return command


def is_stored(api: CloudApi, before: int, images: dict[str, str]) -> None:
    """Assert that there is one job more, which asks every host for all of these images."""
    jobs = api.jobs()
    assert len(jobs) == before + 1
    assert jobs[0]["aggregate"]["name"] == AGGREGATE
    assert set(jobs[0]["images"]) == set(images.values())  # novaclient has them in Glance's order
    assert api.tasks(jobs[0]["id"]) == {(host, image) for host in HOSTS for image in images.values()}


def succeeds(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("catalogued")
@pytest.mark.parametrize("by", ["name", "id"])
def test_openstack_command_through_the_catalogue(api: CloudApi, images: dict[str, str], run: Client, by: str) -> None:
    before = len(api.jobs())
    aggregate, wanted = (AGGREGATE, images) if by == "name" else (str(api.aggregate_id), images.values())

    done = run("openstack", "aggregate", "cache", "image", aggregate, *wanted)

    succeeds(done)
    assert done.stdout == ""
    is_stored(api, before, images)


def test_openstack_command_through_an_override_in_the_environment(
    api: CloudApi, images: dict[str, str], run: Client, overriding: dict[str, str]
) -> None:
    before = len(api.jobs())

    succeeds(run("openstack", "aggregate", "cache", "image", AGGREGATE, *images, environment=overriding))

    is_stored(api, before, images)


@pytest.mark.usefixtures("overriding")
def test_openstack_command_through_an_override_in_clouds_yaml(
    api: CloudApi, cloud: Cloud, images: dict[str, str], run: Client, tmp_path: Path
) -> None:
    before = len(api.jobs())
    login = {name: str(value) for name, value in cloud.keystone.login(cloud.admin).items()}
    region = login.pop("region_name")
    login.pop("auth_type")
    entry = {"auth": login, "region_name": region, "compute_endpoint_override": api.deployment.compute_url}
    (tmp_path / "clouds.yaml").write_text(yaml.safe_dump({"clouds": {"edge": entry}}))
    nobody = {name: "" for name in cloud.keystone.openrc(cloud.admin) if name.startswith("OS_")}

    succeeds(
        run("openstack", "--os-cloud", "edge", "aggregate", "cache", "image", AGGREGATE, *images, environment=nobody)
    )

    is_stored(api, before, images)


@pytest.mark.usefixtures("catalogued")
def test_sdk_through_the_catalogue(api: CloudApi, images: dict[str, str], run: Client) -> None:
    before = len(api.jobs())

    succeeds(run("python", "-c", WITH_SDK, AGGREGATE, *images.values()))

    is_stored(api, before, images)


def test_sdk_through_an_override(
    api: CloudApi, images: dict[str, str], run: Client, overriding: dict[str, str]
) -> None:
    before = len(api.jobs())

    succeeds(run("python", "-c", WITH_SDK, AGGREGATE, *images.values(), environment=overriding))

    is_stored(api, before, images)


@pytest.mark.usefixtures("catalogued")
@pytest.mark.parametrize("version", [(), ("--os-compute-api-version", "2.81")], ids=["newest", "2.81"])
def test_nova_command_through_the_catalogue(
    api: CloudApi, images: dict[str, str], run: Client, version: tuple[str, ...]
) -> None:
    before = len(api.jobs())

    succeeds(run("nova", *version, "aggregate-cache-images", AGGREGATE, *images.values()))

    is_stored(api, before, images)


def test_novaclient_through_an_override(
    api: CloudApi, images: dict[str, str], run: Client, overriding: dict[str, str]
) -> None:
    before = len(api.jobs())

    done = run("python", "-c", WITH_NOVACLIENT, OVERRIDE, AGGREGATE, *images.values(), environment=overriding)

    succeeds(done)
    is_stored(api, before, images)


@pytest.mark.usefixtures("catalogued")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("openstack", "aggregate", "cache", "image", "nowhere", "{image}"), "No Aggregate found for nowhere"),
        (("openstack", "aggregate", "cache", "image", AGGREGATE, "nothing"), "No Image found for nothing"),
        (("nova", "aggregate-cache-images", "nowhere", "{image}"), "No aggregate with a name or ID of 'nowhere'"),
        (("nova", "aggregate-cache-images", AGGREGATE, "nothing"), "Unable to find image"),
        (("python", "-c", WITH_SDK, AGGREGATE, str(uuid.UUID(int=0))), f"Image {uuid.UUID(int=0)} could not be found"),
        (("python", "-c", WITH_SDK, AGGREGATE, "{image}", "{image}"), "Duplicate images in request"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else "",
)
def test_what_does_not_exist_is_the_clients_own_error_and_stores_nothing(
    api: CloudApi, images: dict[str, str], run: Client, words: tuple[str, ...], told: str
) -> None:
    before = len(api.jobs())

    done = run(*(word.replace("{image}", next(iter(images.values()))) for word in words))

    assert done.returncode != 0
    assert told in done.stderr
    assert len(api.jobs()) == before


@pytest.mark.usefixtures("catalogued")
def test_a_user_without_permission_gets_an_error_from_the_client(
    api: CloudApi, cloud: Cloud, images: dict[str, str], run: Client
) -> None:
    before = len(api.jobs())

    done = run("openstack", "aggregate", "cache", "image", str(api.aggregate_id), *images.values(), user=cloud.member)

    assert done.returncode != 0
    assert "Policy doesn't allow os_compute_api:os-aggregates:" in done.stderr
    assert len(api.jobs()) == before
