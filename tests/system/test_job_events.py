"""Jobs are followed by events: on the embedded service with its real downloads, and behind a real Keystone."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.http.event_reader import EventReader, readers  # noqa: F401  a fixture
from tests.lab.cloud import Cloud
from tests.lab.nginx import Nginx
from tests.lab.process import free_port
from tests.lab.slow_images import slow_images
from tests.system.cloud_api import CloudApi, cloud_api
from tests.system.conftest import random_raw
from tests.system.operating import aggregate, ids, request
from tests.waiting import wait_until
from tools.local_service import PROGRAM, LocalService

SITE = """
server {
    listen 127.0.0.1:%(port)d;
    location / {
        proxy_pass %(upstream)s;
        proxy_set_header Host $http_host;
    }
}
"""

pytestmark = pytest.mark.system

HOSTS = ("cmp-1", "cmp-2", "cmp-3")


def threads_of(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def test_readers_and_the_command_follow_a_job_of_the_embedded_service(
    new_service: Callable[..., LocalService],
    images: Path,
    tmp_path: Path,
    readers: Callable[..., EventReader],  # noqa: F811
) -> None:
    service = new_service("cell1:cmp-1,cell2:cmp-2,cell1:cmp-3")
    random_raw(images / "web.raw", 8)
    with slow_images(images, tmp_path / "slow-index.json") as slow:
        service.start({"OS_GLANCE__ENDPOINT_OVERRIDE": slow.url, "OS_GLANCE__NUM_RETRIES": "0"})
        job = request(service, aggregate(service, *HOSTS), ids(service)["web"])
        path = f"/v1/jobs/{job}/events"
        first = readers(service.url, path)
        assert first.next().name == "snapshot"
        wait_until(lambda: service.get(f"/v1/jobs/{job}")["job"]["bytes_done"])
        before = threads_of(service.pid)
        others = [readers(service.url, path) for _ in range(50)]
        assert {reader.next().name for reader in others} == {"snapshot"}
        assert threads_of(service.pid) <= before + 1
        watching = subprocess.Popen(
            [PROGRAM, "--url", service.url, "job", "watch", job, "-f", "value", "-c", "state"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        slow.release()
        out, err = watching.communicate(timeout=60)

        for reader in [first, *others]:
            events = reader.until("end")
            assert events[-1].data["counts"] == {"cached": 3}
            assert reader.next() is None

    assert (watching.returncode, out) == (0, "succeeded\n"), err
    assert f"Job {job} succeeded: 3 cached" in err
    assert service.stop() == 0
    assert "Traceback" not in service.log


def test_the_service_stops_at_once_while_a_job_is_followed(
    new_service: Callable[..., LocalService],
    images: Path,
    tmp_path: Path,
    readers: Callable[..., EventReader],  # noqa: F811
) -> None:
    service = new_service("cell1:cmp-1")
    random_raw(images / "web.raw", 8)
    with slow_images(images, tmp_path / "slow-index.json") as slow:
        one_reader = {"OS_API__EVENT_READERS": "1"}
        service.start({"OS_GLANCE__ENDPOINT_OVERRIDE": slow.url, "OS_GLANCE__NUM_RETRIES": "0"} | one_reader)
        job = request(service, aggregate(service, "cmp-1"), ids(service)["web"])
        reader = readers(service.url, f"/v1/jobs/{job}/events")
        assert reader.next().name == "snapshot"
        assert readers(service.url, f"/v1/jobs/{job}/events").status == 503
        stopping = threading.Thread(target=service.stop)
        stopping.start()

        assert reader.read_all()
        stopping.join(30)

    assert not stopping.is_alive()
    assert "Traceback" not in service.log


@pytest.mark.external
def test_events_pass_nginx_as_they_come(
    new_service: Callable[..., LocalService],
    images: Path,
    tmp_path: Path,
    readers: Callable[..., EventReader],  # noqa: F811
) -> None:
    service = new_service("cell1:cmp-1")
    random_raw(images / "web.raw", 8)
    (tmp_path / "nginx").mkdir()
    port = free_port()
    with slow_images(images, tmp_path / "slow-index.json") as slow:
        service.start({"OS_GLANCE__ENDPOINT_OVERRIDE": slow.url, "OS_GLANCE__NUM_RETRIES": "0"})
        job = request(service, aggregate(service, "cmp-1"), ids(service)["web"])
        site = SITE % {"port": port, "upstream": service.url}
        proxy = Nginx(tmp_path / "nginx", port=port, site=site, snippets={})
        proxy.start()
        try:
            reader = readers(proxy.url, f"/v1/jobs/{job}/events")
            assert reader.next().name == "snapshot"  # the job stalls, so that nothing would push it through a buffer
            slow.release()
            assert reader.until("end")[-1].data["state"] == "succeeded"
            assert reader.next() is None
        finally:
            proxy.stop()


@pytest.fixture(scope="module")
def api(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudApi]:
    with cloud_api(tmp_path_factory.mktemp("api"), cloud) as running:
        yield running


@pytest.mark.external
def test_more_readers_than_threads_follow_a_job_behind_keystone(
    api: CloudApi,
    cloud: Cloud,
    readers: Callable[..., EventReader],  # noqa: F811
) -> None:
    token = cloud.keystone.token(cloud.admin)
    api.ask_to_cache(token, cloud.glance.upload_image(visibility="public"))
    job = api.jobs()[0]["id"]
    path = f"/v1/jobs/{job}/events"

    following = [readers(api.deployment.url, path, headers={"X-Auth-Token": token}) for _ in range(30)]
    assert {reader.next().name for reader in following} == {"snapshot"}
    stranger = readers(api.deployment.url, path, headers={"X-Auth-Token": cloud.keystone.token(cloud.member)})
    nobody = readers(api.deployment.url, path)
    assert api.deployment.call("POST", f"/v1/jobs/{job}/cancel", None, token).ok

    assert (stranger.status, nobody.status) == (403, 401)
    for reader in following:
        assert reader.until("end")[-1].data["state"] == "cancelled"
