"""A deployment all of whose connections are TLS, with an authority of the site's own: database, buses, Keystone, Glance
and our API behind a proxy."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.account import hand_over
from tests.lab.certificates import Authority, Certificate
from tests.lab.cloud import Cloud
from tests.lab.nginx import Nginx
from tests.lab.postgresql import Postgresql
from tests.lab.precache import PROGRAM, Deployment, Surroundings
from tests.lab.process import free_port
from tests.lab.rabbitmq import RabbitMq
from tests.lab.settings_file import Sections, write_settings
from tests.waiting import wait_until

pytestmark = [pytest.mark.system, pytest.mark.external, pytest.mark.timeout(300)]

SERVER = """\
server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate.cert};
    ssl_certificate_key {certificate.key};
    location / {{
        proxy_pass {behind};
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Proto $scheme;
    }}
}}
"""


class Site:
    """What an operator has: everything behind TLS, certificates of one authority, and the addresses."""

    def __init__(self, folder: Path, cloud: Cloud, broker: RabbitMq, database: Postgresql) -> None:
        self._folder, self._cloud = folder, cloud
        self.authority = broker.authority
        keystone, glance, api = (free_port() for _ in range(3))
        self._ports = {keystone: cloud.keystone.url, glance: cloud.glance.url}
        self._api_port, self.keystone_url = api, f"https://127.0.0.1:{keystone}/v3"
        login = {**cloud.keystone.login(cloud.precache), "auth_url": self.keystone_url, "cafile": self.authority.cafile}
        bus_options = f"ssl=1&ssl_ca_file={self.authority.cafile}"
        self.around = Surroundings(
            database_url=f"{database.fresh_url()}?sslmode=verify-full&sslrootcert={self.authority.cafile}",
            buses={"cell1": broker.tls_url(broker.fresh_url(), bus_options)},
            wake_bus=broker.tls_url(broker.fresh_url()),
            control={"oslo_messaging_rabbit": {"ssl": True, "ssl_ca_file": self.authority.cafile}},
            sections={
                "service_user": login,
                "keystone_authtoken": {"auth_section": "service_user", "cafile": self.authority.cafile},
                "glance": {"endpoint_override": f"https://127.0.0.1:{glance}"},
            },
        )

    @contextmanager
    def proxy(self, certificate: Certificate, api_url: str) -> Iterator[None]:
        servers = {**self._ports, self._api_port: api_url}
        site = "".join(
            SERVER.format(port=port, behind=behind, certificate=certificate) for port, behind in servers.items()
        )
        (self._folder / "nginx").mkdir()
        nginx = Nginx(self._folder / "nginx", port=self._api_port, site=site, snippets={})
        nginx.start()
        try:
            yield
        finally:
            nginx.stop()

    def openrc(self, cafile: Path | str | None) -> dict[str, str]:
        """Return the environment of an administrator's command line."""
        variables = {
            **self._cloud.keystone.openrc(self._cloud.admin),
            "OS_AUTH_URL": self.keystone_url,
            "PRECACHE_URL": f"https://127.0.0.1:{self._api_port}",
        }
        return variables | ({"OS_CACERT": str(cafile)} if cafile else {})


@pytest.fixture(scope="module")
def database(postgresql: Postgresql, rabbitmq: RabbitMq) -> Iterator[Postgresql]:
    postgresql.start()
    directory = postgresql.directory / "site"
    directory.mkdir(exist_ok=True)
    certificate = rabbitmq.authority.certificate("127.0.0.1", directory=directory)
    hand_over(directory, postgresql.account)
    postgresql.use_certificate(certificate)
    yield postgresql
    postgresql.use_certificate(None)


@pytest.fixture(scope="module")
def site(tmp_path_factory, cloud: Cloud, rabbitmq: RabbitMq, database: Postgresql) -> Iterator[tuple[Site, Deployment]]:
    rabbitmq.start()
    folder = tmp_path_factory.mktemp("site")
    site = Site(folder, cloud, rabbitmq, database)
    precache = Deployment(folder / "precache", site.around)
    precache.prepare()
    try:
        certificate = site.authority.certificate("127.0.0.1", directory=folder)
        with site.proxy(certificate, precache.start_api()):
            yield site, precache
    finally:
        precache.stop()


def precache_says(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    path = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        [PROGRAM, *words], env={**environment, **path}, capture_output=True, text=True, check=False, timeout=120
    )


def test_images_are_cached_in_a_deployment_with_tls_only(site, cloud: Cloud) -> None:
    site, precache = site
    image = cloud.glance.upload_image(b"bytes of an image", visibility="public")
    openrc = site.openrc(site.authority.cafile)
    precache.start_conductor()
    precache.start_compute("cmp-1", "cell1")
    wait_until(lambda: "cmp-1" in precache_says(openrc, "host", "list").stdout)

    for words in (
        ("aggregate", "create", "web"),
        ("aggregate", "add", "host", "web", "cmp-1"),
        ("aggregate", "cache", "image", "web", image, "--wait"),
    ):
        done = precache_says(openrc, *words)
        assert done.returncode == 0, done.stdout + done.stderr

    assert precache.entry("cmp-1", image).read_bytes() == b"bytes of an image"
    assert not [line for log in precache.logs().values() for line in log.splitlines() if " WARNING " in line]


@pytest.mark.parametrize(
    ("cafile", "words"), [(None, "name the authority that signed it in --cacert"), ("/nowhere.pem", "/nowhere.pem")]
)
def test_the_command_line_says_which_authority_is_missing(site, cafile: str | None, words: str) -> None:
    site, _ = site

    for environment in (site.openrc(cafile), site.openrc(cafile) | {"OS_TOKEN": "x"}):
        done = precache_says(environment, "host", "list")

        assert done.returncode != 0
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def ask_doctor(precache: Deployment, folder: Path, changes: Sections) -> dict[str, list[tuple[str, str]]]:
    """Return (status, what was found) by check."""
    file = write_settings(folder / "doctor.conf", precache.control_sections(changes))
    roles = ("--role", "api", "--role", "conductor", "--role", "compute")
    done = subprocess.run(
        [PROGRAM, "doctor", "-f", "json", "--config-file", file, *roles], capture_output=True, text=True, check=False
    )
    found: dict[str, list[tuple[str, str]]] = {}
    for row in json.loads(done.stdout):
        found.setdefault(row["check"], []).append((row["status"], f"{row['found']}; {row['advice']}"))
    return found


def test_the_doctor_finds_every_connection_in_order(site, tmp_path: Path) -> None:
    found = ask_doctor(site[1], tmp_path, {})

    for check in ("database", "message bus", "cells", "caller identification", "service user", "image service"):
        assert {status for status, _ in found[check]} == {"ok"}, found[check]


def test_the_doctor_names_the_authority_that_each_connection_misses(site, tmp_path: Path) -> None:
    stranger = Authority(tmp_path).cafile
    changes = {
        "oslo_messaging_rabbit": {"ssl_ca_file": stranger},
        "service_user": {"cafile": stranger},
        "keystone_authtoken": {"cafile": stranger},
    }

    found = ask_doctor(site[1], tmp_path, changes)

    for check, option in {
        "message bus": "[oslo_messaging_rabbit] ssl_ca_file",
        "caller identification": "[keystone_authtoken] cafile",
        "service user": "[service_user] cafile",
        "image service": "[service_user] cafile",
    }.items():
        [(status, words)] = found[check]
        assert status == "failed"
        assert "certificate is not accepted" in words
        assert option in words
