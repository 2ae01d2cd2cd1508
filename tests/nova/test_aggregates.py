"""Nova keeps hosts and aggregates: the stock client asks us, and means an aggregate of Nova's."""

from __future__ import annotations

import subprocess

import pytest

from tests.nova.conftest import BARE_HOST, HOST
from tests.nova.site import Site, told
from tools.build_image import kept_image

pytestmark = [pytest.mark.external, pytest.mark.nova]


def test_stock_client_fills_an_aggregate_that_nova_keeps(site: Site) -> None:
    image = site.cloud.glance.upload_file(kept_image(), name="for-edge", disk_format="qcow2", visibility="public")
    site.nova.create_aggregate("edge", HOST, BARE_HOST)

    with told("openstack aggregate cache image, from an aggregate of Nova's"):
        ask(site, "edge", "for-edge")
        job = site.precache.newest_job()
        outcomes = site.precache.outcomes(job)

    assert outcomes == {(HOST, image): "cached", (BARE_HOST, image): "error"}
    (reason,) = (task["reason"] for task in site.precache.tasks(job) if task["host"] == BARE_HOST)
    assert "belongs to no cell" in reason


def ask(site: Site, aggregate: str, image: str) -> None:
    """Send the request with python-openstackclient, as an administrator would."""
    environment = site.cloud.keystone.openrc(site.cloud.admin)
    done = subprocess.run(
        ["openstack", "aggregate", "cache", "image", aggregate, image],
        env=environment | {"OS_COMPUTE_ENDPOINT_OVERRIDE": site.deployment.compute_url},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
