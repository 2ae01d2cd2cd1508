"""The release as others get it: built, installed into an empty environment, and run without the repository."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import requests

from tests.lab.process import ServerProcess, free_port

pytestmark = [pytest.mark.system, pytest.mark.external, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "precache"
READY_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30

_CONFIGURATION = """\
[database]
connection = sqlite:///{here}/precache.sqlite
[keystone_authtoken]
auth_type = password
auth_url = http://127.0.0.1:9/v3
username = precache
password = hush-hush
project_name = service
user_domain_name = Default
project_domain_name = Default
"""

_ONE_WSGI_REQUEST = """
from wsgiref.util import setup_testing_defaults
from precache.wiring.wsgi import application
environ = {}
setup_testing_defaults(environ)
environ["PATH_INFO"] = "/healthcheck"
print(b"".join(application(environ, lambda status, headers, *rest: print(status))).decode())
"""


def build(tree: Path, out: Path, *targets: str) -> None:
    words = [word for target in targets for word in ("-t", target)]
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(out), *words]
    subprocess.run(command, cwd=tree, check=True, capture_output=True)


def only(folder: Path, pattern: str) -> Path:
    [found] = folder.glob(pattern)
    return found


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the wheel and the sdist, as tools/build-dist leaves it."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([ROOT / "tools" / "build-dist", folder, sys.executable], check=True, capture_output=True)
    return folder


class Installed:
    """An environment with nothing but the wheel and what it depends on."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder = folder
        self._bin = folder / "venv" / "bin"
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        install = [self._bin / "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
        # As docs/install.md has it, with the constraints of the release.
        subprocess.run([*install, "--constraint", ROOT / "constraints.txt", f"{wheel}[mariadb,postgresql]"], check=True)

    @property
    def environment(self) -> dict[str, str]:
        """No path to the repository, no coverage, nobody's Keystone."""
        return {"PATH": f"{self._bin}:/usr/bin:/bin", "HOME": str(self.folder), "LANG": "C.UTF-8"}

    @property
    def share(self) -> Path:
        return self.folder / "venv" / "share" / "precache"

    def command(self, program: str, *words: str | Path) -> list[str | Path]:
        return [self._bin / program, *words]

    def run(self, program: str, *words: str | Path, **variables: str) -> str:
        done = subprocess.run(
            self.command(program, *words),
            cwd=self.folder,
            env=self.environment | variables,
            capture_output=True,
            text=True,
            timeout=READY_TIMEOUT_S,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("installed"), only(dist, "*.whl"))


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    file = tmp_path / "precache.conf"
    file.write_text(_CONFIGURATION.format(here=tmp_path))
    return file


def test_the_wheel_has_every_file_of_the_package_and_its_licence(dist: Path) -> None:
    names = set(zipfile.ZipFile(only(dist, "*.whl")).namelist())

    ours = {
        f"precache/{file.relative_to(PACKAGE)}"
        for file in PACKAGE.rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }
    assert ours <= names
    assert "precache/api/openapi.yaml" in names
    assert any(name.startswith("precache/adapters/sql/migrations/versions/0001") for name in names)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests/", "tools/", "bench/")) for name in names)


def test_the_sdist_builds_the_very_same_wheel(dist: Path, tmp_path: Path) -> None:
    # Not with tarfile: its filters came with Python 3.11.4, and later Pythons warn where none is given.
    subprocess.run(["tar", "--extract", "--file", only(dist, "*.tar.gz"), "--directory", tmp_path], check=True)
    tree = only(tmp_path, "precache-*")

    build(tree, tmp_path / "again", "wheel")

    assert only(tmp_path / "again", "*.whl").read_bytes() == only(dist, "*.whl").read_bytes()
    assert (tree / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert (tree / "constraints.txt").is_file()
    assert (tree / "share" / "man" / "man1" / "precache.1").is_file()
    assert (tree / "tests" / "unit").is_dir()
    assert not (tree / "var").exists()


def test_the_program_says_its_version_and_what_it_can_do(installed: Installed) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert installed.run("precache", "--version") == f"precache {version}\n"
    told = installed.run("precache", "help")
    for command in ("aggregate cache image", "cell create", "db upgrade", "doctor", "serve api", "serve compute"):
        assert command in told


@pytest.mark.parametrize(
    "name",
    [
        "man/man1/precache.1",
        "bash-completion/completions/precache",
        "zsh/site-functions/_precache",
        "fish/vendor_completions.d/precache.fish",
    ],
)
def test_man_page_and_completions_are_installed(name: str, installed: Installed) -> None:
    text = (installed.share.parent / name).read_text(encoding="utf-8")

    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"precache {version}" in text
    assert "complete" in text
    assert "doctor" in text


def test_samples_are_printed_as_in_the_documentation(installed: Installed) -> None:
    assert installed.run("precache", "config", "sample") == (ROOT / "docs" / "precache.conf.sample").read_text()
    assert installed.run("precache", "policy", "sample") == (ROOT / "docs" / "policy.yaml.sample").read_text()


def test_the_embedded_service_answers(installed: Installed, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "images").mkdir()
    words = ("--state-dir", tmp_path / "state", "--images", tmp_path / "images", "--listen", f"127.0.0.1:{port}")
    command = installed.command("precache", "serve", "all", *words)
    log = tmp_path / "log"
    server = ServerProcess(name="precache", command=command, environment=installed.environment, log=log)
    try:
        server.wait_until(lambda: _is_up(port), READY_TIMEOUT_S)
        listed = installed.run("precache", "--url", f"http://127.0.0.1:{port}", "host", "list", "-f", "value")
        assert listed != ""
    finally:
        server.stop(STOP_TIMEOUT_S)


def _is_up(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/healthcheck", timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


def test_a_database_is_made_and_the_wsgi_application_answers_over_it(installed: Installed, configuration: Path) -> None:
    installed.run("precache", "db", "upgrade", "--config-file", configuration)

    said = installed.run("python", "-c", _ONE_WSGI_REQUEST, PRECACHE_CONFIG_FILES=str(configuration))

    assert said.startswith("200 OK")


def test_the_virt_drivers_are_found_by_name(installed: Installed) -> None:
    script = (
        "from stevedore.extension import ExtensionManager; "
        "print(sorted((found.name, found.plugin.__name__) for found in ExtensionManager('precache.virt')))"
    )

    assert "('libvirt', 'LibvirtDriver')" in installed.run("python", "-c", script)


def test_units_and_proxy_rules_come_along(installed: Installed) -> None:
    for folder in ("systemd", "nginx", "haproxy", "sysusers.d"):
        ours = {file.name: file.read_text() for file in (ROOT / "deploy" / folder).iterdir()}
        assert {file.name: file.read_text() for file in (installed.share / "deploy" / folder).iterdir()} == ours


def test_what_the_installed_documents_name_is_installed_too(installed: Installed) -> None:
    documents = {file.name: file.read_text() for file in (installed.share / "docs").glob("*.md")}

    links = {
        (name, link) for name, text in documents.items() for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    }
    assert {"cli.md", "install.md", "operations.md"} <= documents.keys()
    assert ("operations.md", "precache.conf.sample") in links
    assert {link for link in links if not (installed.share / "docs" / link[1]).exists()} == set()
    said = {
        Path(path)
        for text in documents.values()
        for path in re.findall(r"/opt/precache/share/precache/(\S+?)[` ]", text)
    }
    assert {path for path in said if not (installed.share / path).exists()} == set()
