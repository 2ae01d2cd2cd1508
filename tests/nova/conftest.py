"""The site that the tests beside Nova share, as fixtures. Each starts one part, and stops it whatever happens.

cmp1 is a libvirt host on which Precache's compute runs beside nova-compute; cmp2 has a nova-compute alone.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.lab import precache
from tests.lab.cloud import Cloud
from tests.lab.image_gate import ImageGate, image_gate
from tests.lab.keystone import Keystone
from tests.lab.libvirtd import LibvirtHost
from tests.lab.mariadb import Mariadb
from tests.lab.neutron_stub import NeutronStub
from tests.lab.nova import Nova, Surroundings
from tests.lab.nova_compute import NovaCompute
from tests.lab.placement import Placement
from tests.lab.process import ServerFailed
from tests.lab.rabbitmq import RabbitMq
from tests.nova.figures import Figures
from tests.nova.instances import NovaUser
from tests.nova.precache_user import PrecacheUser
from tests.nova.site import Site, told
from tests.nova.waiting import wait_until

HOST, BARE_HOST = "cmp1", "cmp2"
CELL = "cell1"
CACHE_PASS_INTERVAL_S = 10
_FIGURES = pytest.StashKey[Figures]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_FIGURES] = Figures()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    figures = config.stash[_FIGURES]
    if figures:
        terminalreporter.section("figures")
        terminalreporter.write_line("\n".join([*figures.table(), "", figures.as_json()]))


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> Figures:
    """Where tests note what they measured; shown when all of them have run."""
    return pytestconfig.stash[_FIGURES]


@pytest.fixture(scope="session")
def site_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where everything of the site is; disks go at the end, logs stay as long as pytest keeps them."""
    if os.geteuid() != 0:
        raise ServerFailed("these tests make mounts and namespaces, as a compute host does: run them as root")
    directory = tmp_path_factory.mktemp("nova")
    yield directory
    for disks in directory.glob("*/instances"):
        shutil.rmtree(disks, ignore_errors=True)


@pytest.fixture(scope="session")
def gate() -> Iterator[ImageGate]:
    """What Nova and Precache see in place of Glance."""
    with image_gate() as listening:
        yield listening


@pytest.fixture(scope="session")
def surroundings(
    rabbitmq: RabbitMq, mariadb: Mariadb, keystone: Keystone, gate: ImageGate, placement: Placement
) -> Iterator[Surroundings]:
    """What Nova stands on."""
    network = NeutronStub()
    network.start()
    yield Surroundings(
        new_database=mariadb.fresh_url,
        transport_url=rabbitmq.fresh_url(),
        login=_account(keystone, "nova"),
        image_url=gate.url,
        placement_url=placement.url,
        network_url=network.url,
    )
    network.stop()


@pytest.fixture(scope="session")
def placement(site_directory: Path, mariadb: Mariadb, keystone: Keystone) -> Iterator[Placement]:
    """Not started: that is for whoever has made its tables."""
    server = Placement(
        directory=site_directory / "placement",
        database_url=mariadb.fresh_url(),
        login=_account(keystone, "placement"),
    )
    yield server
    server.close()


@pytest.fixture(scope="session")
def tables(placement: Placement, nova: Nova) -> Iterator[list[Future[None]]]:
    """The tables of both, in the making: it takes as long as all the rest, and runs beside it."""
    with ThreadPoolExecutor(2) as pool:
        yield [pool.submit(placement.prepare), pool.submit(nova.prepare)]


@pytest.fixture(scope="session")
def nova(site_directory: Path, surroundings: Surroundings) -> Iterator[Nova]:
    """Not started: that is for whoever has made its tables."""
    server = Nova(directory=site_directory / "control", surroundings=surroundings)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def libvirt_host(site_directory: Path) -> Iterator[LibvirtHost]:
    directory = site_directory / "host"
    directory.mkdir()
    host = LibvirtHost(name=HOST, directory=directory)
    yield host
    host.stop()


@pytest.fixture(scope="session")
def nova_computes(
    site_directory: Path, surroundings: Surroundings, libvirt_host: LibvirtHost, nova: Nova
) -> Iterator[list[NovaCompute]]:
    """cmp1 with real guests, cmp2 with simulated ones; not started."""
    computes = [
        NovaCompute(
            host=name,
            directory=site_directory / name,
            surroundings=surroundings,
            cache_pass_interval_s=CACHE_PASS_INTERVAL_S,
            libvirt=libvirt,
        )
        for name, libvirt in ((HOST, libvirt_host), (BARE_HOST, None))
    ]
    yield computes
    for compute in computes:
        compute.stop()


@pytest.fixture(scope="session")
def deployment(
    site_directory: Path, mariadb: Mariadb, cloud: Cloud, surroundings: Surroundings, nova: Nova
) -> Iterator[precache.Deployment]:
    """Precache, to which Nova shows hosts and aggregates; not started."""
    login = cloud.keystone.login(cloud.precache)
    parts = precache.Deployment(
        site_directory / "precache",
        precache.Surroundings(
            database_url=mariadb.fresh_url(),
            buses={CELL: surroundings.transport_url},  # its exchange is its own
            sections={"service_user": login, "glance": {"endpoint_override": surroundings.image_url}},
            control={
                "keystone_authtoken": login,
                "inventory": {"source": "nova"},
                "nova": {"endpoint_override": nova.url},
            },
            pace={"DEFAULT": {"report_interval": 1}, "image_cache": {"precache_concurrency": 4}},
        ),
    )
    yield parts
    parts.stop()


@pytest.fixture(scope="session")
def site(request: pytest.FixtureRequest) -> Site:
    """Everything, up and ready. The order is that in which parts wait for each other."""
    part = request.getfixturevalue
    print(flush=True)
    with told("message bus, database, Keystone"):
        for name in ("rabbitmq", "mariadb", "keystone"):
            part(name)
    with told("Glance, and the tables of Nova and Placement"):
        tables: list[Future[None]] = part("tables")
        cloud: Cloud = part("cloud")
        for table in tables:
            table.result()
    gate: ImageGate = part("gate")
    gate.lead_to(cloud.glance.url)
    nova: Nova = part("nova")
    computes: list[NovaCompute] = part("nova_computes")
    with told("Nova, Placement, libvirt, two nova-computes"):
        part("libvirt_host").start()
        nova.start_workers()
        for compute in computes:
            compute.start()
        part("placement").start()
        nova.start_api()
    deployment: precache.Deployment = part("deployment")
    with told("Precache: API, conductor, compute"):
        start_beside(deployment, computes[0])
    session = cloud.keystone.session(cloud.admin)
    user, our_user = NovaUser(session=session, url=nova.url), PrecacheUser(session=session, url=deployment.url)
    with told("everybody up"):
        wait_until(lambda: user.hosts_up() == {HOST, BARE_HOST}, "Nova to have both hosts")
        aggregate = user.create_aggregate("beside", HOST)
        wait_until(lambda: HOST in our_user.hosts_up(), "Precache to have its host")
    return Site(cloud, gate, computes[0], deployment, user, our_user, aggregate)


def start_beside(deployment: precache.Deployment, compute: NovaCompute) -> None:
    """Start all of Precache; its compute runs beside this nova-compute, which goes on to clean the cache."""
    deployment.prepare()
    deployment.start_api()
    deployment.start_conductor()
    # Every second: a cleaner that is wrongly enabled would remove entries before Nova's does.
    cache = {"owner": "nova", "manager_interval": 1}
    own = {"DEFAULT": {"instances_path": compute.instances_path}, "image_cache": cache}
    deployment.start_compute(compute.host, CELL, own)


def _account(keystone: Keystone, name: str) -> Mapping[str, object]:
    return keystone.login(keystone.add_user(name, roles=("admin", "service")))
