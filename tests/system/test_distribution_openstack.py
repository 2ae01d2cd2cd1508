"""Our commands behind a real Keystone: in the stock `openstack` client, from the wheel, and as `precache` itself.

The wheel is put on the path of the environment in which the stock clients are, as pip would put it into it; nothing of
the repository is there.
"""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.lab.certificates import Authority
from tests.lab.cloud import Cloud
from tests.lab.keystone import User
from tests.lab.venvs import CLOUD
from tests.system.cloud_api import AGGREGATE, HOSTS, CloudApi, cloud_api
from tests.unit.adapters.faulty_server import FaultyServer, http

pytestmark = [pytest.mark.system, pytest.mark.external, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
PRECACHE = Path(sys.executable).with_name("precache")
TIMEOUT_S = 90


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel was unpacked into, without what it depends on."""
    folder = tmp_path_factory.mktemp("plugin")
    build = [sys.executable, "-m", "hatchling", "build", "-d", folder / "dist", "-t", "wheel"]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = (folder / "dist").glob("*.whl")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*install, "--target", folder / "installed", wheel], check=True, capture_output=True)
    return folder / "installed"


@pytest.fixture(scope="module")
def api(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudApi]:
    patient = {"keystone_authtoken": {"http_connect_timeout": 30}}
    with cloud_api(tmp_path_factory.mktemp("api"), cloud, patient) as running:
        cloud.keystone.set_endpoint("image-precache", running.deployment.url, name="precache")
        yield running
        cloud.keystone.remove_endpoint("image-precache")


@pytest.fixture(scope="module")
def image(cloud: Cloud) -> str:
    """The name of an image."""
    name = f"web-{uuid.uuid4().hex[:8]}"
    cloud.glance.upload_image(name=name, visibility="public")
    return name


class Programs:
    """Runs the two programs as one of the cloud's people, in a folder of their own."""

    def __init__(self, cloud: Cloud, plugin: Path, folder: Path) -> None:
        self._cloud, self._plugin, self._folder = cloud, plugin, folder

    def openstack(self, *words: str, user: User | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [str(CLOUD.program("openstack")), *words]
        return self._run(command, user, variables | {"PYTHONPATH": str(self._plugin)})

    def precache(self, *words: str, user: User | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        return self._run([str(PRECACHE), *words], user, variables)

    def _run(
        self, command: list[str], user: User | None, variables: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        environment = self._cloud.keystone.openrc(user or self._cloud.admin) | variables
        return subprocess.run(
            command, env=environment, cwd=self._folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )


@pytest.fixture
def programs(cloud: Cloud, api: CloudApi, plugin: Path, tmp_path: Path) -> Programs:
    return Programs(cloud, plugin, tmp_path)


@pytest.mark.parametrize("program", ["openstack", "precache"])
def test_a_job_is_started_listed_and_shown(programs: Programs, api: CloudApi, image: str, program: str) -> None:
    run = programs.precache if program == "precache" else lambda *words: programs.openstack("precache", *words)

    started = run("aggregate", "cache", "image", AGGREGATE, image, "-f", "json")
    assert started.returncode == 0, started.stderr
    job = json.loads(started.stdout)["id"]

    listed = run("job", "list", "-f", "value", "-c", "id")
    assert listed.stdout.split()[0] == job == api.jobs()[0]["id"]
    tasks = run("job", "task", "list", job, "-f", "value", "-c", "host")
    assert sorted(tasks.stdout.split()) == list(HOSTS)
    hosts = run("host", "list", "-f", "value", "-c", "name")
    assert hosts.stdout.split() == list(HOSTS)
    images = run("image", "list", "-f", "value", "-c", "name")
    assert image in images.stdout.split()


def test_the_openstack_client_takes_an_override_of_the_endpoint(programs: Programs, api: CloudApi) -> None:
    url = api.deployment.url

    away = programs.openstack("--os-image-precache-endpoint-override", "http://127.0.0.1:9", "precache", "host", "list")
    assert away.returncode == 1
    assert away.stderr.strip().startswith("The service at http://127.0.0.1:9 cannot be reached: Connection refused")
    there = programs.openstack("precache", "host", "list", OS_IMAGE_PRECACHE_ENDPOINT_OVERRIDE=url)
    assert there.returncode == 0, there.stderr


def test_clouds_yaml_may_override_the_endpoint(programs: Programs, api: CloudApi, cloud: Cloud, tmp_path: Path) -> None:
    login = {name: str(value) for name, value in cloud.keystone.login(cloud.admin).items()}
    region = login.pop("region_name")
    login.pop("auth_type")
    entry = {"auth": login, "region_name": region, "image_precache_endpoint_override": "http://127.0.0.1:9"}
    (tmp_path / "clouds.yaml").write_text(yaml.safe_dump({"clouds": {"edge": entry}}))
    nobody = {name: "" for name in cloud.keystone.openrc(cloud.admin) if name.startswith("OS_")}

    done = programs.openstack("--os-cloud", "edge", "precache", "host", "list", **nobody)

    assert "http://127.0.0.1:9 cannot be reached" in done.stderr


def test_an_authority_that_is_given_holds_for_a_cloud_of_clouds_yaml(plugin: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with FaultyServer(http("404 Not Found"), context=authority.certificate("127.0.0.1").context()) as server:
        login = {"auth_url": f"{server.url}/v3", "username": "u", "password": "p", "project_name": "p"}
        (tmp_path / "clouds.yaml").write_text(yaml.safe_dump({"clouds": {"edge": {"auth": login}}}))

        def host_list(*options: str, **variables: str) -> str:
            return subprocess.run(
                [CLOUD.program("python"), "-m", "precache.cli.main", "--os-cloud", "edge", *options, "host", "list"],
                env={"PYTHONPATH": str(plugin), "HOME": str(tmp_path)} | variables,
                cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
            ).stderr  # fmt: skip

        distrust = host_list()
        assert "is not trusted" in distrust
        assert distrust.count("\n") == 1
        # The server does not read what it is asked, so its answer may arrive or be lost in a hang-up.
        for told in (host_list("--cacert", str(authority.cafile)), host_list(OS_CACERT=str(authority.cafile))):
            assert server.url in told
            assert "is not trusted" not in told


def test_other_commands_of_the_openstack_client_are_not_disturbed(programs: Programs) -> None:
    done = programs.openstack("catalog", "list", "-f", "value", "-c", "Type")

    assert done.returncode == 0, done.stderr
    assert "image-precache" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("program", ["openstack", "precache"])
def test_a_user_without_permission_gets_one_line(programs: Programs, cloud: Cloud, program: str) -> None:
    words = ("host", "list")

    if program == "precache":
        done = programs.precache(*words, user=cloud.stranger)
    else:
        done = programs.openstack("precache", *words, user=cloud.stranger)

    assert done.returncode == 1
    assert "Policy doesn't allow precache:hosts:list" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_wrong_password_is_refused_without_showing_it(programs: Programs) -> None:
    done = programs.precache("host", "list", OS_PASSWORD="quite-wrong")

    assert done.returncode == 1
    assert "refuses the login" in done.stderr
    assert "quite-wrong" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_application_credential_is_enough(programs: Programs, api: CloudApi) -> None:
    made = programs.openstack("application", "credential", "create", f"app-{uuid.uuid4().hex[:8]}", "-f", "json")
    assert made.returncode == 0, made.stderr
    credential = {name.lower(): value for name, value in json.loads(made.stdout).items()}
    project = dict.fromkeys(("OS_PROJECT_NAME", "OS_PROJECT_DOMAIN_NAME", "OS_USERNAME", "OS_PASSWORD"), "")

    done = programs.precache(
        "host", "list",
        OS_APPLICATION_CREDENTIAL_ID=credential["id"],
        OS_APPLICATION_CREDENTIAL_SECRET=credential["secret"],
        **project,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr


def test_stock_commands_reach_precache_by_its_service_type(
    programs: Programs, api: CloudApi, cloud: Cloud, image: str
) -> None:
    """The second way in docs/install.md: Nova keeps the type `compute`, ours is a type of its own."""
    before = len(api.jobs())
    cloud.keystone.set_endpoint("compute", "http://127.0.0.1:9/v2.1", name="nova")
    cloud.keystone.set_endpoint("compute-precache", api.deployment.compute_url, name="precache-compute")
    try:
        words = ("aggregate", "cache", "image", AGGREGATE, image)
        done = programs.openstack(*words, OS_COMPUTE_SERVICE_TYPE="compute-precache")
    finally:
        cloud.keystone.remove_endpoint("compute-precache")
        cloud.keystone.remove_endpoint("compute")

    assert done.returncode == 0, done.stderr
    assert len(api.jobs()) == before + 1


def test_a_member_of_the_service_project_may_fetch_public_images_and_a_reader_may_not(cloud: Cloud) -> None:
    """What docs/install.md says of the roles that a compute's user needs."""
    image = cloud.glance.upload_image(name="public", visibility="public")
    private = cloud.glance.upload_image(name="private", visibility="private", owner=cloud.member)
    member = cloud.keystone.add_user(f"member-{uuid.uuid4().hex[:8]}", roles=("member",))
    reader = cloud.keystone.add_user(f"reader-{uuid.uuid4().hex[:8]}", roles=("reader",))

    def fetches(user: User, image: str) -> int:
        url = f"{cloud.glance.url}/v2/images/{image}/file"
        return int(cloud.keystone.session(user).get(url, raise_exc=False).status_code)

    assert fetches(member, image) == 200
    assert fetches(reader, image) == 403
    assert fetches(member, private) == 404


def test_a_private_image_is_shared_with_computes_as_the_guide_says(programs: Programs, cloud: Cloud) -> None:
    """The commands of docs/install.md, each by whom it names: the owner is no administrator."""
    owner = cloud.member
    image = cloud.glance.upload_image(name=f"own-{uuid.uuid4().hex[:8]}", visibility="private", owner=owner)
    compute = cloud.keystone.add_user(f"compute-{uuid.uuid4().hex[:8]}", roles=("member",))
    url = f"{cloud.glance.url}/v2/images/{image}/file"

    def fetch() -> int:
        return int(cloud.keystone.session(compute).get(url, raise_exc=False).status_code)

    assert fetch() == 404
    project = programs.openstack("project", "show", compute.project, "-f", "value", "-c", "id").stdout.strip()
    for words in (("set", "--shared", image), ("add", "project", image, project)):
        done = programs.openstack("image", *words, user=owner)
        assert done.returncode == 0, done.stderr
    assert fetch() == 200
    accepted = programs.openstack("image", "set", "--accept", image, user=compute)
    assert accepted.returncode == 0, accepted.stderr
