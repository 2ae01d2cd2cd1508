"""Glance for tests: a real one on loopback with Keystone in front, whose images tests make up.

It checks each token anew at each request, so what Keystone says holds at once. Each worker of a parallel test run
starts a Glance of its own beside its Keystone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from keystoneauth1.session import Session

from tests.lab.keystone import Keystone, User
from tests.lab.prepared_database import copy_prepared, database_options
from tests.lab.settings_file import write_settings
from tests.lab.venvs import CLOUD
from tests.lab.wsgi_server import WsgiServer


class Glance(WsgiServer):
    """One Glance. Its own user at Keystone is `glance`; it keeps the data of images in files."""

    def __init__(self, directory: Path, keystone: Keystone) -> None:
        super().__init__(
            name="Glance",
            module="glance.wsgi.api",
            venv=CLOUD,
            directory=directory,
            environment={"OS_GLANCE_CONFIG_DIR": str(directory)},
        )
        self._keystone = keystone
        self._sessions: dict[User, Session] = {}  # a new one would ask for a token each time
        for name in ("images", "staging", "tasks", "locks"):
            (directory / name).mkdir()
        account = keystone.add_user(self._account, roles=("service",))
        settings = directory / "glance-api.conf"
        _configure(settings, directory, self.url, keystone, account)
        copy_prepared(
            "glance",
            CLOUD,
            directory / "glance.sqlite",
            lambda: CLOUD.run("glance-manage", "--config-file", settings, "db_sync", home=directory),
        )

    @property
    def _account(self) -> str:
        return f"glance-{self.port}"

    def upload_image(self, content: bytes | None = b"data", *, owner: User | None = None, **attributes: Any) -> str:
        """Make an image and return its id.

        content: None leaves it `queued`. owner: whose project it belongs to; the administrator's by default, who
        alone may make it `visibility="public"`. attributes: of the Glance API; without any it is a `private` raw image.
        A hidden one is `os_hidden=True`.
        """
        record = {"name": "image", "disk_format": "raw", "container_format": "bare", "visibility": "private"}
        image = str(self._call("POST", "/images", owner, json=record | attributes)["id"])
        if content is not None:
            headers = {"Content-Type": "application/octet-stream"}
            self._call("PUT", f"/images/{image}/file", owner, data=content, headers=headers)
        return image

    def upload_file(self, path: Path, *, owner: User | None = None, **attributes: Any) -> str:
        """Make an image of a file, which may be larger than memory, and return its id."""
        image = self.upload_image(None, owner=owner, **attributes)
        with path.open("rb") as content:
            headers = {"Content-Type": "application/octet-stream"}
            self._call("PUT", f"/images/{image}/file", owner, data=content, headers=headers)
        return image

    def deactivate(self, image: str) -> None:
        """Make the image's data out of reach for everybody but administrators."""
        self._call("POST", f"/images/{image}/actions/deactivate")

    def reactivate(self, image: str) -> None:
        self._call("POST", f"/images/{image}/actions/reactivate")

    def delete(self, image: str) -> None:
        self._call("DELETE", f"/images/{image}")

    def share(self, image: str, member: User, *, status: str = "accepted") -> None:
        """Share the image, whose visibility is `shared`, with a user's project, which has so answered the offer."""
        self._call("POST", f"/images/{image}/members", json={"member": member.project_id})
        if status != "pending":
            self._call("PUT", f"/images/{image}/members/{member.project_id}", json={"status": status})

    def data_requests(self, image: str) -> int:
        """Return how many requests for the image's data have arrived so far, resumed ones too."""
        path = f"/v2/images/{image}/file"
        return sum(request.method == "GET" and request.path == path for request in self.requests())

    def _call(self, method: str, path: str, user: User | None = None, **request: Any) -> Any:
        user = user or self._keystone.admin
        if user not in self._sessions:
            self._sessions[user] = self._keystone.session(user)
        answer = self._sessions[user].request(f"{self.url}/v2{path}", method, **request)
        return answer.json() if answer.content else None


def _configure(settings: Path, directory: Path, url: str, keystone: Keystone, account: User) -> None:
    write_settings(
        settings,
        {
            "DEFAULT": {
                "enabled_backends": "local:file",
                "worker_self_reference_url": url,
            },
            "oslo_concurrency": {"lock_path": directory / "locks"},
            "database": database_options(directory / "glance.sqlite"),
            "glance_store": {"default_backend": "local"},
            "local": {"filesystem_store_datadir": directory / "images"},
            "os_glance_staging_store": {"filesystem_store_datadir": directory / "staging"},
            "os_glance_tasks_store": {"filesystem_store_datadir": directory / "tasks"},
            "paste_deploy": {"flavor": "keystone", "config_file": CLOUD.path / "etc/glance/glance-api-paste.ini"},
            "keystone_authtoken": {
                **keystone.login(account),
                "www_authenticate_uri": keystone.auth_url,
                "service_token_roles_required": "true",
                "token_cache_time": -1,
            },
        },
    )


@pytest.fixture(scope="session")
def glance(tmp_path_factory: pytest.TempPathFactory, keystone: Keystone) -> Iterator[Glance]:
    """A Glance that runs and is in the catalog; a test that stops it has to start it again."""
    server = Glance(tmp_path_factory.mktemp("glance"), keystone)
    try:
        server.start()
        keystone.set_endpoint("image", server.url, name="glance")
        yield server
    finally:
        server.close()
