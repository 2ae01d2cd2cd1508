"""Keystone for tests: a real one on loopback, with projects, users and a catalog that tests make up.

Passwords are hashed quickly, and nothing is cached from one request to the next: a token that is revoked is void at
once. Each worker of a parallel test run starts a Keystone of its own.
"""

from __future__ import annotations

import base64
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from keystoneauth1.identity.v3 import Password
from keystoneauth1.session import Session

from tests.lab.prepared_database import copy_prepared, database_options
from tests.lab.settings_file import write_settings
from tests.lab.venvs import CLOUD
from tests.lab.wsgi_server import WsgiServer

REGION = "RegionOne"
DOMAIN = "default"
SERVICE_PROJECT = "service"
PASSWORD = "hush-hush"  # the prefix of every user's; tests look for it where it must not be


@dataclass(frozen=True)
class User:
    """A user with roles in one project. All are in the domain `Default`."""

    id: str
    name: str
    password: str
    project: str
    project_id: str


class Keystone(WsgiServer):
    """One Keystone, whose first user is `admin` with that role in the project `admin`."""

    def __init__(self, directory: Path) -> None:
        settings = directory / "keystone.conf"
        super().__init__(
            name="Keystone",
            module="keystone.wsgi.api",
            venv=CLOUD,
            directory=directory,
            environment={"OS_KEYSTONE_CONFIG_FILES": str(settings)},
            # SQLite refuses a transaction that wants to write after another has, and wrong passwords are written down.
            threads=1,
        )
        self.region = REGION
        _configure(settings, directory)
        copy_prepared("keystone", CLOUD, directory / "keystone.sqlite", lambda: _make_database(settings, directory))
        self.admin = User("", "admin", f"{PASSWORD}-admin", "admin", "")
        self._ids: dict[tuple[str, str], str] = {}
        self._admin_session: Session | None = None

    @property
    def auth_url(self) -> str:
        return f"{self.url}/v3"

    def session(self, user: User) -> Session:
        """Return a keystoneauth session with this user's credentials."""
        auth = Password(
            auth_url=self.auth_url,
            username=user.name,
            password=user.password,
            project_name=user.project,
            user_domain_id=DOMAIN,
            project_domain_id=DOMAIN,
        )
        http = requests.Session()
        http.trust_env = False
        return Session(auth=auth, session=http, timeout=60)

    def token(self, user: User) -> str:
        """Return a new token of this user's, in its project."""
        return str(self.session(user).get_token())

    def openrc(self, user: User) -> dict[str, str]:
        """Return the whole environment in which the stock clients act as this user."""
        return {
            **CLOUD.variables(self._directory),
            "OS_AUTH_URL": self.auth_url,
            "OS_IDENTITY_API_VERSION": "3",
            "OS_USERNAME": user.name,
            "OS_PASSWORD": user.password,
            "OS_PROJECT_NAME": user.project,
            "OS_USER_DOMAIN_NAME": "Default",
            "OS_PROJECT_DOMAIN_NAME": "Default",
            "OS_REGION_NAME": self.region,
        }

    def login(self, user: User) -> dict[str, object]:
        """Return the options with which a service logs in as this user, as its configuration file has them."""
        return {
            "auth_type": "password",
            "auth_url": self.auth_url,
            "username": user.name,
            "password": user.password,
            "project_name": user.project,
            "user_domain_name": "Default",
            "project_domain_name": "Default",
            "region_name": self.region,
        }

    def add_user(self, name: str, *, project: str = SERVICE_PROJECT, roles: tuple[str, ...] = ()) -> User:
        """Make a user with these roles in the project; project and roles are made where they are missing."""
        password = f"{PASSWORD}-{uuid.uuid4().hex[:8]}"
        project_id = self.project_id(project)
        body = {"name": name, "password": password, "domain_id": DOMAIN, "default_project_id": project_id}
        user = User(self._call("POST", "/users", {"user": body})["user"]["id"], name, password, project, project_id)
        for role in roles:
            self.grant(user, role)
        return user

    def grant(self, user: User, role: str) -> None:
        """Return the user one more role in its project."""
        self._call("PUT", f"/projects/{user.project_id}/users/{user.id}/roles/{self._id('role', role)}")

    def withdraw(self, user: User, role: str) -> None:
        """Take a role in its project from the user."""
        self._call("DELETE", f"/projects/{user.project_id}/users/{user.id}/roles/{self._id('role', role)}")

    def project_id(self, name: str) -> str:
        """Return the id of the project of this name in the default domain, which is made when it is first asked for."""
        return self._id("project", name, domain_id=DOMAIN)

    def revoke(self, token: str) -> None:
        """Make the token void at once."""
        self._admin().delete(f"{self.auth_url}/auth/tokens", headers={"X-Subject-Token": token}, endpoint_filter=None)

    def set_endpoint(self, service_type: str, url: str, *, name: str | None = None) -> None:
        """Have the catalog show the service at this URL, on all three interfaces, and nowhere else."""
        self.remove_endpoint(service_type)
        service = self._call("POST", "/services", {"service": {"type": service_type, "name": name or service_type}})
        for interface in ("public", "internal", "admin"):
            endpoint = {
                "service_id": service["service"]["id"],
                "interface": interface,
                "region_id": self.region,
                "url": url,
            }
            self._call("POST", "/endpoints", {"endpoint": endpoint})

    def remove_endpoint(self, service_type: str) -> None:
        """Take the service out of the catalog if it is there."""
        for service in self._call("GET", f"/services?type={service_type}")["services"]:
            self._call("DELETE", f"/services/{service['id']}")

    def _id(self, kind: str, name: str, **attributes: str) -> str:
        if (kind, name) not in self._ids:
            found = self._call("GET", f"/{kind}s?name={name}")[f"{kind}s"]
            made = found[0] if found else self._call("POST", f"/{kind}s", {kind: {"name": name, **attributes}})[kind]
            self._ids[kind, name] = made["id"]
        return self._ids[kind, name]

    def _admin(self) -> Session:
        # A session of its own for each call would ask for a token each time.
        if self._admin_session is None:
            self._admin_session = self.session(self.admin)
        return self._admin_session

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._admin().request(f"{self.auth_url}{path}", method, json=body)
        return answer.json() if answer.content else None


def _configure(settings: Path, directory: Path) -> None:
    for keys in ("fernet-keys", "credential-keys"):
        (directory / keys).mkdir(mode=0o700)
        for number in ("0", "1"):
            (directory / keys / number).write_bytes(base64.urlsafe_b64encode(os.urandom(32)))
    write_settings(
        settings,
        {
            "database": database_options(directory / "keystone.sqlite"),
            "token": {"provider": "fernet"},
            "fernet_tokens": {"key_repository": directory / "fernet-keys"},
            # Its own default, which is not that of tokens, exists only where somebody has set up a Keystone by hand.
            "fernet_receipts": {"key_repository": directory / "fernet-keys"},
            "credential": {"key_repository": directory / "credential-keys"},
            "identity": {"password_hash_rounds": 4},
            # Behind a proxy with TLS it would name itself by http.
            "oslo_middleware": {"enable_proxy_headers_parsing": True},
        },
    )


def _make_database(settings: Path, directory: Path) -> None:
    CLOUD.run("keystone-manage", "--config-file", settings, "db_sync", home=directory)
    CLOUD.run(
        *("keystone-manage", "--config-file", settings, "bootstrap", "--bootstrap-region-id", REGION),
        *("--bootstrap-password", f"{PASSWORD}-admin"),
        home=directory,
    )


@pytest.fixture(scope="session")
def keystone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keystone]:
    """A Keystone that runs and has itself in the catalog; a test that stops it has to start it again."""
    server = Keystone(tmp_path_factory.mktemp("keystone"))
    try:
        server.start()
        server.set_endpoint("identity", server.auth_url, name="keystone")
        yield server
    finally:
        server.close()
