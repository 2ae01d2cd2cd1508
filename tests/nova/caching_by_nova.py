"""Run by Nova's own interpreter: have Nova's libvirt driver cache the images of a directory, and print what came of it.

Usage: caching_by_nova.py DIRECTORY. In it is `NAME.FORMAT` for each image, whose entry is `instances/_base/SHA1(NAME)`.
Only the image service is played: its record and its data come from the directory. Prints one JSON object, from the
name to the reason of the refusal, or null where there is an entry.
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("OS_NOVA_DISABLE_EVENTLET_PATCHING", "1")
import nova.monkey_patch  # isort: skip  (before anything else of Nova)
import nova.conf
import nova.privsep
from nova import context
from nova.virt import images
from nova.virt.libvirt import driver

root = Path(sys.argv[1])


class Service:
    """Nova's image API on files."""

    def get(self, _context, image, **_options):
        (path,) = root.glob(f"{image}.*")
        return {"id": image, "disk_format": path.suffix[1:], "container_format": "bare", "size": path.stat().st_size}

    def download(self, _context, image, dest_path=None, **_options):
        (path,) = root.glob(f"{image}.*")
        Path(dest_path).write_bytes(path.read_bytes())


(root / "nova.conf").write_text(
    f"[DEFAULT]\ninstances_path = {root}/instances\nstate_path = {root}\n[oslo_concurrency]\nlock_path = {root}/lock\n"
)
(root / "instances").mkdir()
nova.conf.CONF(["--config-file", str(root / "nova.conf")], project="nova")
nova.privsep.sys_admin_pctxt.set_client_mode(False)
images.IMAGE_API = Service()
said = {}
for given in sorted(path for path in root.iterdir() if path.suffix and path.name != "nova.conf"):
    try:
        driver.LibvirtDriver.cache_image(None, context.get_admin_context(), given.stem)
    except Exception as error:  # noqa: BLE001  (whatever Nova says)
        said[given.stem] = f"{type(error).__name__}: {error}"
    else:
        said[given.stem] = None
print(json.dumps(said))
