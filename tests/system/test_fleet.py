"""A fleet without OpenStack, as libvirt.md has it: three hosts in network namespaces, tokens over TLS."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tests.lab.account import directory_of
from tests.lab.network import Machine, site, why_no_namespaces
from tests.lab.precache import PROGRAM, QUICK, merged
from tests.lab.process import ServerProcess
from tests.lab.rabbitmq import ACCOUNT
from tests.lab.rabbitmq_on_a_site import SiteRabbitMq
from tests.lab.settings_file import Sections, write_settings
from tests.system.conftest import COMPLAINTS, qcow2, random_raw
from tests.waiting import wait_until

WHY_NOT = why_no_namespaces()

pytestmark = [
    pytest.mark.system,
    pytest.mark.external,
    pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or ""),
    pytest.mark.timeout(300),  # the first test starts a broker and six processes
]

DOCUMENT = Path(__file__).parents[2] / "docs" / "libvirt.md"
HOSTS = ("cmp-1", "cmp-2", "cmp-3")
API, IMAGES = "https://10.77.0.1:8775", "https://10.77.0.1:9292"
PROGRAM_TIMEOUT_S = 90


class Fleet:
    """Everything that libvirt.md sets up, below one folder."""

    def __init__(self, folder: Path, controller: Machine, hosts: dict[str, Machine], broker: SiteRabbitMq) -> None:
        self._folder, self.controller, self.hosts, self._broker = folder, controller, hosts, broker
        self._running: list[ServerProcess] = []
        self.images = folder / "images"
        self.images.mkdir()
        random_raw(self.images / "plain.raw", 3)
        qcow2(self.images / "packed.qcow2", 3, hole_mib=5)
        self.tls = make_certificates(folder)
        key, bus = Fernet.generate_key().decode(), broker.url("precache")
        settings: Sections = {
            "DEFAULT": {"transport_url": bus},
            "api": {
                "auth_strategy": "token",
                "listen": "10.77.0.1:8775",
                "cert_file": self.tls / "server.pem",
                "key_file": self.tls / "server.key",
            },
            # One file for the API, the conductor and the image service.
            "database": {"connection": f"sqlite:///{folder}/precache.sqlite", "encryption_keys": key},
            "glance": {"endpoint_override": IMAGES},
            "service_user": {"cafile": self.tls / "ca.pem"},
            "inventory": {"image_status_interval": 2},
        }
        self._control = write_settings(folder / "controller.conf", merged(QUICK, settings))
        self.operate("db", "upgrade")
        self.operate("cell", "create", "cell1", "--transport-url", broker.url("precache-cell1"))
        self.tokens = {name: self.create_token(name, "compute") for name in HOSTS}
        self.tokens["operator"] = self.create_token("operator", "admin")
        self.tokens["conductor"] = self.create_token("conductor", "compute")
        settings["glance"] = {"endpoint_override": IMAGES, "auth_token": self.tokens["conductor"]}
        self._control = write_settings(folder / "controller.conf", merged(QUICK, settings))

    def operate(self, *words: str) -> str:
        """Run one of the operator's commands on the controller, which must succeed."""
        done = self._run(self.controller, [*words, "--config-file", str(self._control)])
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def cafile_of_bus(self) -> Path:
        return self._broker.authority.cafile

    def create_token(self, name: str, role: str) -> str:
        return self.operate("token", "create", name, "--role", role, "-f", "value", "-c", "token").strip()

    def start(self) -> None:
        serve = ["serve", "images", "--images", self.images, "--listen", "10.77.0.1:9292"]
        self._start(self.controller, "images", "answers at", *serve, "--state-dir", self._folder / "state")
        self._start(self.controller, "api", "answers at", "serve", "api")
        self._start(self.controller, "conductor", "works on jobs", "serve", "conductor")
        for name in HOSTS:
            self._start(self.hosts[name], name, "runs", "serve", "compute")
        wait_until(lambda: [host["state"] for host in self.listed("host", "list")] == ["up"] * len(HOSTS))

    def stop(self) -> None:
        for process in reversed(self._running):
            process.ask_to_stop()
        for process in reversed(self._running):
            process.stop(20)
        logs = {log.name: log.read_text() for log in self._folder.glob("*.log")}
        assert not [name for name, text in logs.items() if any(complaint in text for complaint in COMPLAINTS)], logs
        shown = [name for name, text in logs.items() for token in self.tokens.values() if token in text]
        assert shown == []

    def call(self, *words: str, token: str | None = "operator", **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a client's command on the first host. token: the name of one; None for none."""
        around = {"PRECACHE_URL": API, "PRECACHE_IMAGE_URL": IMAGES, "OS_CACERT": str(self.tls / "ca.pem")}
        if token is not None:
            around["PRECACHE_TOKEN"] = self.tokens.get(token, token)
        return self._run(self.hosts["cmp-1"], list(words), around | environ)

    def listed(self, *words: str) -> list[dict[str, object]]:
        done = self.call(*words, "-f", "json")
        assert done.returncode == 0, done.stderr
        found: list[dict[str, object]] = json.loads(done.stdout)
        return found

    def image_id(self, name: str) -> str:
        [found] = [str(image["id"]) for image in self.listed("image", "list") if image["name"] == name]
        return found

    def on_host(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the host's own, with the configuration of its compute."""
        return self._run(self.hosts[name], [*words, "--config-file", str(self._folder / f"{name}.conf")])

    def entry(self, host: str, image: str) -> Path:
        return self.instances(host) / "_base" / hashlib.sha1(image.encode()).hexdigest()

    def instances(self, host: str) -> Path:
        return self._folder / "hosts" / host / "instances"

    def _run(
        self, machine: Machine, words: list[str], environ: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*machine.inside, str(PROGRAM), *words],
            env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | (environ or {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=PROGRAM_TIMEOUT_S,
        )

    def _start(self, machine: Machine, name: str, greeting: str, *words: str | Path) -> None:
        config = self._control if machine is self.controller else self._host_settings(name)
        process = ServerProcess(
            name=name,
            command=[*machine.inside, PROGRAM, *words, "--config-file", config],
            environment=os.environ,
            log=self._folder / f"{name}.log",
        )
        self._running.append(process)
        process.wait_until(lambda: greeting in process.said(), 90)

    def _host_settings(self, name: str) -> Path:
        self.instances(name).mkdir(parents=True)
        settings: Sections = {
            "DEFAULT": {
                "host": name,
                "instances_path": self.instances(name),
                "transport_url": self._broker.url("precache-cell1"),
            },
            "glance": {"endpoint_override": IMAGES, "auth_token": self.tokens[name]},
            "service_user": {"cafile": self.tls / "ca.pem"},
            "image_cache": {"owner": "precache"},
        }
        return write_settings(self._folder / f"{name}.conf", merged(QUICK, settings))


def make_certificates(folder: Path) -> Path:
    """Run the commands of libvirt.md in a directory of their own, which is returned."""
    made = folder / "tls"
    made.mkdir()
    section = DOCUMENT.read_text().partition("## 2. Certificates")[2]
    [commands] = [block for block in re.findall("```sh\n(.*?)```", section, re.DOTALL) if "openssl req" in block]
    subprocess.run(["bash", "-eu", "-c", commands], cwd=made, check=True, capture_output=True)
    return made


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    with site(folder, *HOSTS) as (controller, hosts), directory_of(ACCOUNT) as of_broker:
        broker = SiteRabbitMq(of_broker, controller)
        try:
            broker.start()
            made = Fleet(folder, controller, hosts, broker)
            try:
                made.start()
                yield made
            finally:
                made.stop()
        finally:
            broker.close()


def test_one_request_fills_every_host_and_a_disk_uses_the_cache(fleet: Fleet) -> None:
    assert fleet.call("aggregate", "create", "web").returncode == 0
    for name in HOSTS:
        assert fleet.call("aggregate", "add", "host", "web", name).returncode == 0

    done = fleet.call("aggregate", "cache", "image", "web", "plain", "packed", "--wait")

    assert done.returncode == 0, done.stdout + done.stderr
    plain, packed = fleet.image_id("plain"), fleet.image_id("packed")
    for name in HOSTS:
        assert fleet.entry(name, plain).read_bytes() == (fleet.images / "plain.raw").read_bytes()
        assert fleet.entry(name, packed).stat().st_size == 8 * 1024**2
    disk = fleet.instances("cmp-2") / "web1" / "disk"
    disk.parent.mkdir()
    created = fleet.on_host("cmp-2", "disk", "create", "--image", packed, "--path", str(disk), "-f", "json")
    assert created.returncode == 0, created.stderr
    assert json.loads(created.stdout)["image_was"] == "cached"
    assert json.loads(created.stdout)["backing_file"] == str(fleet.entry("cmp-2", packed))
    checked = subprocess.run(["qemu-img", "check", disk], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_conductor_finds_out_with_a_token_what_became_of_cached_images(fleet: Fleet) -> None:
    random_raw(fleet.images / "lost.raw", 1)
    wait_until(lambda: any(image["name"] == "lost" for image in fleet.listed("image", "list")))
    done = fleet.call("host", "cache", "image", "cmp-1", "lost", "--wait")
    assert done.returncode == 0, done.stderr

    def lost(status: str) -> bool:
        listed = fleet.listed("image", "list", "--cached", "--status", status)
        return "lost" in [image["name"] for image in listed]

    wait_until(lambda: lost("active"))
    (fleet.images / "lost.raw").unlink()
    wait_until(lambda: lost("gone"))


@pytest.mark.parametrize(
    ("token", "environ", "code", "told"),
    [
        (None, {}, 1, "PRECACHE_TOKEN"),
        ("precache_wrong", {}, 1, "PRECACHE_TOKEN"),
        ("cmp-1", {}, 1, "Policy doesn't allow precache:hosts:list"),
        ("operator", {"PRECACHE_URL": "http://10.77.0.1:8775"}, 2, "would be sent unencrypted"),
    ],
)
def test_callers_who_may_not_are_refused(
    fleet: Fleet, token: str | None, environ: dict[str, str], code: int, told: str
) -> None:
    done = fleet.call("host", "list", token=token, **environ)

    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr


def test_a_server_of_another_authority_is_not_trusted(fleet: Fleet) -> None:
    done = fleet.call("host", "list", OS_CACERT=str(fleet.cafile_of_bus))

    assert done.returncode == 3
    assert "is not trusted" in done.stderr


def test_a_revoked_token_opens_nothing_any_more(fleet: Fleet) -> None:
    fleet.tokens["leaver"] = fleet.create_token("leaver", "admin")
    for words in (("host", "list"), ("image", "list")):
        wait_until(lambda words=words: fleet.call(*words, token="leaver").returncode == 0)

    fleet.operate("token", "revoke", "leaver", "cmp-3")

    for words in (("host", "list"), ("image", "list")):
        wait_until(lambda words=words: fleet.call(*words, token="leaver").returncode == 1)
    random_raw(fleet.images / "late.raw", 1)
    created = fleet.on_host(
        "cmp-3", "disk", "create", "--image", late_image(fleet), "--path", str(fleet.instances("cmp-3") / "disk")
    )
    assert created.returncode == 1
    assert "correct [glance] auth_token" in created.stderr


def late_image(fleet: Fleet) -> str:
    wait_until(lambda: any(image["name"] == "late" for image in fleet.listed("image", "list")))
    return fleet.image_id("late")
