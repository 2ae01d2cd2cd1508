"""No password, token, key or transport URL appears in a log, an error, an answer, or unencrypted in the database.

Real processes run with debug = true on a real cloud, do their work, and lose every part they need. Others are started
with credentials that are wrong, and with options that cannot be meant. All that any of them said is searched.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import inspect, text

from precache.adapters.sql import open_database
from tests.lab.cloud import Cloud
from tests.lab.database_server import PASSWORD
from tests.lab.mariadb import Mariadb
from tests.lab.precache import PROGRAM, STOP_PATIENCE_S, merged
from tests.lab.process import ServerProcess
from tests.lab.rabbitmq import RabbitMq
from tests.lab.settings_file import Sections, write_settings
from tests.system.deployed import AGGREGATES, Deployed, deployed
from tests.system.traces import FERNET, traces
from tests.waiting import wait_until

pytestmark = [pytest.mark.system, pytest.mark.external, pytest.mark.timeout(300)]

CONTENT = b"nothing secret" * 1000
ODD = "p@ss/w0rd:%41&üñ#"  # a wrong password with everything that needs an escape somewhere
ODD_IN_URL = quote(ODD, safe="")
NO_SLASH = ODD.replace("/", "")  # which no broker's password can have
DOLLAR = "t0p$wordfish"  # as an option's value it refers to another option, which there is not
TIMEOUT_S = 60


@pytest.fixture(scope="module")
def here(
    tmp_path_factory: pytest.TempPathFactory, cloud: Cloud, rabbitmq: RabbitMq, mariadb: Mariadb
) -> Iterator[Deployed]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OS_DEFAULT__DEBUG", "true")
        with deployed(tmp_path_factory.mktemp("secrets"), cloud, rabbitmq, mariadb) as running:
            running.aggregate("cmp-1", "cmp-3")
            yield running


@pytest.fixture(scope="module")
def secrets(here: Deployed) -> set[str]:
    """What must be nowhere: the password of every server, in every URL, the service's own, the key, tokens."""
    key = next(line for line in here.precache.tools.read_text().splitlines() if line.startswith("encryption_keys"))
    return {PASSWORD, here.cloud.precache.password, key.split(" = ")[1], here.token}


def logs(here: Deployed) -> list[tuple[str, str]]:
    return [(f"log of {name}", log) for name, log in here.precache.logs().items()]


def answers(here: Deployed, token: str, image: str, *, all_kinds: bool = True) -> list[tuple[str, str]]:
    """Send requests of all kinds, or the two that matter most, with this token, and return all that is answered."""
    found = []
    requests: list[tuple[str, str, object]] = [
        ("GET", "/v1/jobs", None),
        ("POST", f"{AGGREGATES}/1/images", {"cache": [{"id": image}]}),
        ("GET", "/v1/hosts", None),
        ("GET", AGGREGATES, None),
        ("PUT", "/v1/hosts/cmp-1", {"forced_down": "maybe"}),
        ("GET", "/v1/jobs?marker=nothing", None),
        ("GET", "/nothing", None),
    ]
    for method, path, body in requests if all_kinds else requests[:2]:
        answer = here.precache.call(method, path, body, token)
        found.append((f"{method} {path}", f"{answer.status_code} {answer.headers} {answer.text}"))
    return found


def test_the_search_finds_a_secret_in_every_form() -> None:
    url = f"rabbit://precache:{ODD_IN_URL}@host/"
    texts = [ODD, url, *(base64.b64encode(f"{'x' * number}{ODD}y".encode()).decode() for number in range(4))]

    assert len(traces([ODD], [(each, each) for each in texts])) == len(texts)
    assert not traces([ODD], [("harmless", "password for the host, and " + base64.b64encode(b"harmless").decode())])


def test_successful_work_shows_no_secret(here: Deployed, secrets: set[str]) -> None:
    image = here.cloud.glance.upload_image(CONTENT)
    job = here.request(1, image)
    assert here.ended(job) == "succeeded"

    said = answers(here, here.token, image) + answers(here, f"{PASSWORD}-garbage", image) + logs(here)

    assert len(dict(said)["log of api"]) > 1000
    assert not traces(secrets, said)
    assert not [each for each in said if FERNET.search(each[1])]


@pytest.mark.parametrize("part", ["broker", "database", "keystone", "glance"])
def test_a_part_that_is_down_is_reported_without_secrets(here: Deployed, secrets: set[str], part: str) -> None:
    image, token = here.cloud.glance.upload_image(CONTENT), here.token
    server = {"broker": here.broker, "database": here.database}.get(part) or getattr(here.cloud, part)
    server.stop()
    try:
        said = answers(here, token, image, all_kinds=False)
    finally:
        server.start()

    said += logs(here)
    assert not traces(secrets | {token}, said)
    assert not [each for each in said if FERNET.search(each[1])]


def test_the_database_holds_no_secret_in_clear(here: Deployed, secrets: set[str]) -> None:
    url = next(
        line.partition(" = ")[2]
        for line in here.precache.tools.read_text().splitlines()
        if line.startswith("connection = ")
    )
    opened = open_database(url)
    with opened.read() as connection:
        tables = inspect(connection).get_table_names()
        dump = [(name, str(connection.execute(text(f"SELECT * FROM {name}")).all())) for name in tables]
    opened.close()

    assert {"cells", "jobs", "tasks", "hosts"} <= set(tables)
    assert "cell1" in dict(dump)["cells"]
    assert not traces(secrets, dump)
    # Encrypted there, and nowhere else.
    assert sorted(name for name, rows in dump if FERNET.search(rows)) == ["cells", "swarm_authorities"]


def test_no_file_but_the_configuration_holds_a_secret(here: Deployed, secrets: set[str]) -> None:
    files = [path for path in here.precache.tools.parent.rglob("*") if path.is_file() and path.suffix != ".conf"]

    assert len(files) > len(here.precache.logs())
    assert not traces(secrets, [(str(path), path.read_bytes().decode("latin-1")) for path in files])


def _url(scheme: str, password: str, port: int = 9) -> str:
    return f"{scheme}://precache:{password}@127.0.0.1:{port}/precache"


Wrong = Callable[[Deployed], Sections]


def database(url: str) -> Wrong:
    return lambda _: {"database": {"connection": url}}


def bus(url: str) -> Wrong:
    return lambda _: {"DEFAULT": {"transport_url": url}}


def option(section: str, **values: object) -> Wrong:
    return lambda _: {section: values}


A_DOLLAR = "a $ refers to the value of another option; write $$"
API = ("serve", "api", "--listen", "127.0.0.1:0")

# What is wrong; a command that is stopped by it, or says so and goes on; a part of the sentence it says.
CASES: dict[str, tuple[Wrong, tuple[str, ...], str]] = {
    "database password": (
        lambda here: {"database": {"connection": _url("mysql+pymysql", ODD_IN_URL, here.database.port)}},
        ("db", "upgrade"),
        "Access denied",
    ),
    "database away": (database(_url("postgresql+psycopg", ODD_IN_URL)), ("db", "upgrade"), "Connection refused"),
    "database of no kind": (database(_url("oracel", ODD_IN_URL)), ("cell", "list"), "none of sqlite"),
    "database URL without a shape": (database(f"mysql//precache:{ODD}@host:port"), API, "does not have the form"),
    "database URL without escapes": (database(f"mysql://precache:{ODD}@host/db"), API, "write %40"),
    "database URL with a dollar": (database(_url("mysql", DOLLAR)), ("db", "upgrade"), A_DOLLAR),
    "key": (option("database", encryption_keys=f"{ODD},x"), ("serve", "conductor"), "key number 1 is not one"),
    "broker password": (
        lambda here: {"DEFAULT": {"transport_url": _url("rabbit", quote(NO_SLASH), here.broker.port)}},
        ("serve", "compute"),
        "is not available",
    ),
    "broker password with a slash": (bus(_url("rabbit", ODD_IN_URL)), ("serve", "compute"), "even as %2F"),
    "broker away": (bus(_url("rabbit", quote(NO_SLASH))), ("serve", "compute"), "is not available: connection refused"),
    "broker of no kind": (bus(_url("amqps", ODD_IN_URL)), ("serve", "compute"), "only RabbitMQ is supported"),
    "broker URL without escapes": (bus(f"rabbit://precache:{ODD}@host:1/"), ("serve", "compute"), "%40 %3F %23"),
    "broker URL with a dollar": (bus(_url("rabbit", DOLLAR)), ("serve", "compute"), A_DOLLAR),
    "service password": (option("service_user", password=ODD), ("doctor",), "Keystone"),
    "service password with a dollar": (option("service_user", password=DOLLAR), API, A_DOLLAR),
    "service without a user": (option("service_user", username="", password=ODD), API, "username is missing"),
    "Keystone's URL": (option("service_user", auth_url=f"http:/{ODD}"), API, "auth_url is not an http or https URL"),
    "way to log in": (option("keystone_authtoken", auth_type="pasword", password=ODD), API, "called 'pasword'"),
    "middleware's password": (option("keystone_authtoken", password=DOLLAR), API, A_DOLLAR),
}


@pytest.mark.parametrize(("wrong", "words", "told"), CASES.values(), ids=CASES.keys())
def test_wrong_settings_are_reported_and_not_quoted(
    here: Deployed, secrets: set[str], tmp_path: Path, wrong: Wrong, words: tuple[str, ...], told: str
) -> None:
    file = write_settings(tmp_path / "precache.conf", merged(_sections(here, tmp_path), wrong(here)))

    said = run_until_it_says(told, [*words, "--config-file", str(file)], tmp_path / "said")

    assert not traces(secrets | {ODD, NO_SLASH, DOLLAR, "wordfish"}, [("said", said)])
    assert "Traceback" not in said


@pytest.mark.parametrize("url", [f"rabbit:/precache:{ODD}@host:x", _url("amqps", ODD_IN_URL), ODD])
def test_a_cells_url_that_is_wrong_is_not_repeated(here: Deployed, tmp_path: Path, url: str) -> None:
    words = ["cell", "create", "new", "--transport-url", url, "--config-file", str(here.precache.tools)]

    said = run_until_it_says("the transport URL is not like", words, tmp_path / "said")

    assert not traces({ODD}, [("said", said)])
    assert "Traceback" not in said


def _sections(here: Deployed, instances_path: Path) -> Sections:
    """Return what all processes of this deployment have in common, as somebody else's configuration."""
    sections: dict[str, dict[str, object]] = {}
    for line in here.precache.tools.read_text().splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), {})
        elif line:
            name, _, value = line.partition(" = ")
            section[name] = value
    return merged(sections, {"DEFAULT": {"instances_path": instances_path, "host": "in-vain"}})


def run_until_it_says(told: str, words: list[str], log: Path) -> str:
    """Run a `precache` command until it has said this, and return all that it says until it has ended."""
    # Unmeasured: coverage has a traceback of its own for a process that is told to end while it ends.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    process = ServerProcess(name=words[0], command=[PROGRAM, *words], environment=environment, log=log)
    try:
        wait_until(lambda: told in log.read_text(), TIMEOUT_S)
    finally:
        process.stop(STOP_PATIENCE_S)
    return log.read_text()
