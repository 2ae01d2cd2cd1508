"""Nova's side: the `cache_image` of its libvirt driver, as nova-compute calls it for a pre-cache request.

    <the benchmark's environment>/bin/python -P bench/novas.py FOLDER GLANCE_URL IMAGE_ID

Input and output are as in `bench/ours.py`. The method does not use its object, so it is called without one and needs no
libvirt. It uses native threads and no privilege separation, because the caller has the necessary rights.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "1"
# Before anything else of Nova.
import nova.monkey_patch

# isort: split
import nova.conf
import nova.privsep
from nova import context, objects
from nova.virt.libvirt import driver

CONFIGURATION = """
[DEFAULT]
instances_path = {folder}/instances
state_path = {folder}
[oslo_concurrency]
lock_path = {folder}/lock
[glance]
endpoint_override = {url}
[service_user]
send_service_user_token = False
"""


def main() -> None:
    folder, url, image = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    (folder / "instances").mkdir()
    configuration = folder / "nova.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, url=url))
    nova.conf.CONF(["--config-file", str(configuration)], project="nova")
    objects.register_all()
    nova.privsep.sys_admin_pctxt.set_client_mode(False)
    endpoints = [{"publicURL": url, "internalURL": url, "region": "RegionOne"}]
    catalog = [{"type": "image", "name": "glance", "endpoints": endpoints}]
    request = context.RequestContext(
        user_id="bench", project_id="bench", is_admin=True, auth_token="none", service_catalog=catalog
    )
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        was_fetched = driver.LibvirtDriver.cache_image(None, request, image)
        print(json.dumps({"seconds": time.perf_counter() - start, "fetched": was_fetched}), flush=True)


if __name__ == "__main__":
    main()
