"""A compute host for tests: libvirtd in namespaces of its own, with qemu guests and no way to the machine's libvirt.

Mounts, host name, network and processes are the host's own. libvirtd's fixed paths (/run/libvirt, /etc/libvirt
and so on) show folders of the test; the user that libvirtd insists on is in the host's own /etc/passwd. Everything that
was started inside ends with the namespace of processes, also where the test itself is killed.
Needs root, for mounts and namespaces. The machine is left as it was, but for empty folders to mount on.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from tests.lab.process import ServerFailed, ServerProcess

LONGEST_SOCKET_PATH = 107  # the kernel's
START_TIMEOUT_S = 60  # the first start asks every qemu what it can do

FIXED_PATHS = ("/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt")
"""Where libvirtd looks, whatever it is told."""

MISSING_USER = "libvirt-qemu:x:64055:{group}:libvirt's guests:/nonexistent:/usr/sbin/nologin\n"
"""libvirtd does not start without it, and Debian makes it with a package that starts a libvirtd."""

LIBVIRTD_CONF = """\
unix_sock_rw_perms = "0700"
auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "3:stderr"
"""

QEMU_CONF = """\
security_driver = "none"
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
cgroup_controllers = [ ]
namespaces = [ ]
stdio_handler = "file"
"""

# The first process of the host: it reaps guests whose parent has gone, or libvirtd would wait for them for ever.
INIT = """\
set -eu
here={here}
hostname {name}
mount -t tmpfs tmpfs /run
mkdir /run/libvirt
mount --bind "$here/run" /run/libvirt
mount --bind "$here/passwd" /etc/passwd
mount --bind "$here/group" /etc/group
for path in {paths}; do mount --bind "$here$path" "$path"; done
libvirtd --config "$here/libvirtd.conf" &
wait $!
"""


class LibvirtHost:
    """One compute host, from `start` to `stop`. directory: empty and ours alone; its path is short, for sockets."""

    def __init__(self, *, name: str, directory: Path) -> None:
        self.name = name
        self._directory = directory
        self._process: ServerProcess | None = None

    @property
    def uri(self) -> str:
        """The connection URI of its libvirt, for clients inside and outside of it."""
        return f"qemu+unix:///system?socket={self._socket}"

    def start(self) -> None:
        """Have its libvirtd accept connections. Raises ServerFailed."""
        if os.geteuid() != 0:
            raise ServerFailed("a libvirt host needs root, for it makes mounts and namespaces; run this as root")
        if len(str(self._socket)) > LONGEST_SOCKET_PATH:
            raise ServerFailed(f"{self._socket} is too long a path for a socket; set TMPDIR to a shorter one")
        self._lay_out()
        command = [
            "unshare", "--mount", "--uts", "--net", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc",
            "bash", "-c", self._init(),
        ]  # fmt: skip
        self._process = ServerProcess(
            name="libvirtd",
            command=command,
            environment={"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", "LANG": "C.UTF-8"},
            log=self._directory / "libvirtd.log",
        )
        self._process.wait_until(self._socket.exists, START_TIMEOUT_S)

    def inside(self, command: Sequence[str | Path]) -> list[str | Path]:
        """Return the command line that runs `command` on this host, but with the machine's network."""
        if self._process is None:
            raise ServerFailed("the libvirt host was not started")
        first = _only_child(self._process.pid)
        return ["nsenter", f"--target={first}", "--mount", "--uts", "--pid", "--", *command]

    def stop(self) -> None:
        """End libvirtd, the guests and everything else that was started inside."""
        if self._process is not None:
            self._process.kill()

    @property
    def _socket(self) -> Path:
        return self._directory / "run" / "libvirt-sock"

    def _lay_out(self) -> None:
        for path in FIXED_PATHS:
            Path(path).mkdir(parents=True, exist_ok=True)  # a folder to mount on, empty where there was none
            (self._directory / path[1:]).mkdir(parents=True)
        (self._directory / "run").mkdir()
        (self._directory / "libvirtd.conf").write_text(LIBVIRTD_CONF)
        (self._directory / "etc/libvirt/qemu.conf").write_text(QEMU_CONF)
        groups = Path("/etc/group").read_text()
        for group, number in (("kvm", 64054), ("libvirt-qemu", 64055)):
            if f"\n{group}:" not in groups:
                groups += f"{group}:x:{number}:\n"
        users = Path("/etc/passwd").read_text()
        if "\nlibvirt-qemu:" not in users:
            users += MISSING_USER.format(group=64055)
        (self._directory / "passwd").write_text(users)
        (self._directory / "group").write_text(groups)

    def _init(self) -> str:
        return INIT.format(here=shlex.quote(str(self._directory)), name=self.name, paths=" ".join(FIXED_PATHS))


def _only_child(pid: int) -> int:
    """Return the process that `unshare` started: the first one of the new namespaces."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
