"""One nova-compute for tests: of a libvirt host with real guests under qemu, or with Nova's own simulated driver."""

from __future__ import annotations

from pathlib import Path

from tests.lab.libvirtd import LibvirtHost
from tests.lab.nova import Surroundings
from tests.lab.process import ServerProcess
from tests.lab.settings_file import write_settings
from tests.lab.venvs import NOVA

PRIVILEGED = (
    "privsep",
    "nova_sys_admin",
    "vif_plug_ovs_privileged",
    "vif_plug_linux_bridge_privileged",
    "privsep_osbrick",
)
"""Sections that name a program that gains privileges, by default sudo."""


class NovaCompute:
    """One nova-compute named `host`, from `start` to `stop`.

    directory: ours alone, made at `start`. libvirt: the host it runs on; None has Nova's simulated driver.
    cache_pass_interval_s: seconds between two passes of its image cache manager. minimum_age_s: of an unused image,
        before such a pass removes it; None for Nova's day.
    """

    def __init__(
        self,
        *,
        host: str,
        directory: Path,
        surroundings: Surroundings,
        cache_pass_interval_s: int,
        libvirt: LibvirtHost | None = None,
        minimum_age_s: int | None = None,
    ) -> None:
        self.host = host
        self.instances_path = directory / "instances"
        self._directory, self._around, self._libvirt = directory, surroundings, libvirt
        self._cache_pass_interval_s, self._minimum_age_s = cache_pass_interval_s, minimum_age_s
        self._process: ServerProcess | None = None

    @property
    def log(self) -> str:
        """What it has logged, details included."""
        path = self._directory / "nova-compute.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def console_log(self, instance: str) -> str:
        """What the guest of this instance wrote on its serial line."""
        path = self.instances_path / instance / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Begin to start it; it is up when Nova's API lists it."""
        self.instances_path.mkdir(parents=True)
        settings = self._write_settings()
        command: list[str | Path] = [NOVA.program("nova-compute"), "--config-file", settings]
        if self._libvirt is not None:
            command = self._libvirt.inside(command)
        self._process = ServerProcess(
            name=f"nova-compute of {self.host}",
            command=command,
            environment=NOVA.variables(self._directory),
            log=self._directory / "nova-compute.out",
        )

    def stop(self) -> None:
        """End it; its guests are the libvirt host's to end."""
        if self._process is not None:
            self._process.kill()

    def _write_settings(self) -> Path:
        path = self._directory / "nova.conf"
        settings = self._around.settings(self._directory)
        settings["DEFAULT"] |= {
            "host": self.host,
            "instances_path": self.instances_path,
            "debug": True,  # for its waiting for a lock
            "compute_driver": "libvirt.LibvirtDriver" if self._libvirt else "fake.FakeDriverWithCaching",
            "resume_guests_state_on_host_boot": False,
        }
        helper = f"{NOVA.program('privsep-helper')} --config-file {path}"
        for section in PRIVILEGED:
            settings[section] = {"helper_command": helper}
        settings["image_cache"] = {"manager_interval": self._cache_pass_interval_s}
        if self._minimum_age_s is not None:
            settings["image_cache"]["remove_unused_original_minimum_age_seconds"] = self._minimum_age_s
        settings["vnc"] = {"enabled": False}
        if self._libvirt is not None:
            settings["libvirt"] = {
                "virt_type": "qemu",
                "connection_uri": self._libvirt.uri,
                "cpu_mode": "none",
                "inject_partition": -2,
            }
        return write_settings(path, settings)
