"""The API and the image service as a fleet without Keystone has them: tokens of our own, over TLS."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from precache.adapters.inventory_sql import SqlAggregateChanges, SqlHosts
from precache.adapters.sql import open_database, upgrade
from precache.adapters.tokens_sql import SqlTokens
from precache.config.load import load_config
from precache.core.hosts import Heartbeat
from precache.core.tokens import Token, TokenRole, digest_of
from precache.rules.listen_address import ListenAddress
from precache.wiring.api_process import ApiProcess
from precache.wiring.images_process import ImageServiceOptions, ImagesProcess
from precache.wiring.state_dir import StateDir
from tests.lab.certificates import Authority
from tests.lab.settings_file import write_settings
from tests.waiting import wait_until

ANY_PORT = ListenAddress("127.0.0.1", 0)
AGGREGATES = "/compute/v2.1/os-aggregates"
SECRETS = {role: f"precache_of-a-{role}" for role in TokenRole}
UNAUTHORIZED = {
    "error": {
        "code": 401,
        "title": "Unauthorized",
        "message": "The request you have made requires authentication.",
    }
}


class Fleet:
    """Both services over TLS, on one SQLite file, with a token of each role."""

    def __init__(self, folder: Path) -> None:
        self.database = open_database(f"sqlite:///{folder / 'precache.sqlite'}")
        upgrade(self.database)
        self.tokens = SqlTokens(database=self.database)
        for role in TokenRole:
            self.create(role, SECRETS[role], role)
        authority = Authority(folder)
        certificate = authority.certificate("127.0.0.1")
        self.cafile = authority.cafile
        self.sections = {
            "api": {"auth_strategy": "token", "cert_file": certificate.cert, "key_file": certificate.key},
            "database": {"connection": f"sqlite:///{folder / 'precache.sqlite'}"},
            "service_user": {"cafile": authority.cafile},
        }
        (folder / "images").mkdir()
        (folder / "images" / "disk.raw").write_bytes(bytes(range(256)) * 4096)
        self.images = ImagesProcess(
            config=load_config([write_settings(folder / "images.conf", self.sections)]),
            serving=ImageServiceOptions(folder / "images", StateDir(folder / "state"), ANY_PORT, threads=4),
        )
        self.images_url = self.images.start()
        self.sections["glance"] = {"endpoint_override": self.images_url}
        self.api = ApiProcess(
            config=load_config([write_settings(folder / "api.conf", self.sections)]), address=ANY_PORT
        )
        self.api_url = self.api.start()

    def create(self, name: str, secret: str, *roles: TokenRole) -> None:
        self.tokens.create_token(Token(name=name, roles=roles, digest=digest_of(secret), created_at=datetime.now(UTC)))

    def call(self, url: str, secret: str | None = None, method: str = "GET", body=None, **headers: str):
        sent = {"OpenStack-API-Version": "compute 2.81", **headers}
        if secret is not None:
            sent["X-Auth-Token"] = secret
        return requests.request(method, url, headers=sent, json=body, verify=self.cafile, timeout=30)

    def image(self) -> str:
        listed = self.call(f"{self.images_url}/v2/images", SECRETS[TokenRole.COMPUTE]).json()["images"]
        return str(listed[0]["id"])

    def close(self) -> None:
        self.api.stop()
        self.images.stop()
        self.database.close()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    made = Fleet(tmp_path_factory.mktemp("fleet"))
    yield made
    made.close()


@pytest.mark.parametrize("secret", [None, "", "wrong", digest_of(SECRETS[TokenRole.ADMIN])])
def test_callers_without_a_valid_token_are_refused_in_keystones_shape(fleet, secret):
    for url in (f"{fleet.api_url}/v1/jobs", f"{fleet.api_url}{AGGREGATES}", f"{fleet.images_url}/v2/images"):
        answer = fleet.call(url, secret)
        assert (answer.status_code, answer.json()) == (401, UNAUTHORIZED)


@pytest.mark.parametrize("path", ["/", "/v1", "/compute/v2.1", "/healthcheck"])
def test_what_is_open_to_everyone_is_open(fleet, path):
    assert fleet.call(fleet.api_url + path).status_code == 200


def test_versions_of_the_image_service_are_open_to_everyone(fleet):
    assert fleet.call(f"{fleet.images_url}/").status_code == 300
    assert fleet.call(f"{fleet.images_url}/versions").status_code == 200
    assert fleet.call(f"{fleet.images_url}/requests").status_code == 401


@pytest.mark.parametrize(
    ("role", "looks", "changes"),
    [(TokenRole.ADMIN, 200, 200), (TokenRole.READER, 200, 403), (TokenRole.COMPUTE, 403, 403)],
)
def test_roles_are_those_of_the_policy(fleet, role, looks, changes):
    new = {"aggregate": {"name": f"of-{role}", "availability_zone": None}}

    assert fleet.call(f"{fleet.api_url}/v1/jobs", SECRETS[role]).status_code == looks
    assert fleet.call(f"{fleet.api_url}{AGGREGATES}", SECRETS[role]).status_code == looks
    answer = fleet.call(f"{fleet.api_url}{AGGREGATES}", SECRETS[role], "POST", new)
    assert answer.status_code == changes
    if changes == 403:
        message = "Policy doesn't allow os_compute_api:os-aggregates:create to be performed."
        assert answer.json() == {"forbidden": {"code": 403, "message": message}}


@pytest.mark.parametrize("role", list(TokenRole))
def test_every_role_reads_images(fleet, role):
    answer = fleet.call(f"{fleet.images_url}/v2/images/{fleet.image()}/file", SECRETS[role])

    assert answer.content == bytes(range(256)) * 4096


def test_a_bearer_token_is_as_good(fleet):
    bearer = {"Authorization": f"Bearer {SECRETS[TokenRole.READER]}"}

    for url in (f"{fleet.api_url}/v1/jobs", f"{fleet.images_url}/v2/images"):
        assert fleet.call(url, **bearer).status_code == 200


def test_identity_headers_give_no_rights(fleet):
    forged = {
        "X-Identity-Status": "Confirmed",
        "X-Roles": "admin",
        "X-User-Id": "root",
        "OpenStack-System-Scope": "all",
    }

    for url in (f"{fleet.api_url}/v1/jobs", f"{fleet.images_url}/v2/images"):
        assert fleet.call(url, **forged).status_code == 401
    assert fleet.call(f"{fleet.api_url}/v1/jobs", SECRETS[TokenRole.COMPUTE], **forged).status_code == 403


def test_the_image_service_is_asked_with_the_callers_token(fleet):
    now, changes = datetime.now(UTC), SqlAggregateChanges(database=fleet.database)
    SqlHosts(database=fleet.database).store_heartbeats([Heartbeat("cmp-1", "cell1", "fake", now)])
    number = changes.create_aggregate("rack", {}, now).id
    changes.add_host(number, "cmp-1", now)

    answer = fleet.call(
        f"{fleet.api_url}{AGGREGATES}/{number}/images",
        SECRETS[TokenRole.ADMIN],
        "POST",
        {"cache": [{"id": fleet.image()}]},
    )

    assert answer.status_code == 202, answer.text
    job = fleet.call(f"{fleet.api_url}/v1/jobs/{answer.headers['X-Precache-Job-Id']}", SECRETS[TokenRole.READER])
    assert job.json()["job"]["requested_by"] == "admin"


def test_a_revoked_token_is_refused_within_seconds(fleet):
    fleet.create("leaver", "precache_of-the-leaver", TokenRole.ADMIN)
    urls = [f"{fleet.api_url}/v1/jobs", f"{fleet.images_url}/v2/images"]

    def codes():
        return {fleet.call(url, "precache_of-the-leaver").status_code for url in urls}

    wait_until(lambda: codes() == {200}, 10)
    fleet.tokens.revoke_token("leaver")
    wait_until(lambda: codes() == {401}, 10)


def test_a_token_that_a_proxy_got_unencrypted_is_refused_with_the_reason(fleet):
    for url in (f"{fleet.api_url}/v1/jobs", f"{fleet.images_url}/v2/images"):
        answer = fleet.call(url, SECRETS[TokenRole.ADMIN], **{"X-Forwarded-Proto": "http"})

        assert answer.status_code == 401
        assert "came unencrypted" in answer.json()["error"]["message"]
