"""Builds a small bootable disk image from Debian's (or Ubuntu's) kernel and busybox.

    python -m tools.build_image [--output FILE] [--size MIB] [--payload MIB] [--compress]

Needs no root, loop device or mount: mke2fs fills the file system, and the two parts of GRUB are written to the places
where the BIOS and the first part expect them. The guest prints `PRECACHE-GUEST-UP` on its serial console. Without
--output the image is stored in var/images and built again only when the kernel package has a new version.
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.debian_packages import Apt, Kernel, PackageUnavailable, unpack

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "var" / "images"
APT_STATE = ROOT / "var" / "apt"
RECIPE = 1
"""Part of the stored image's name: increase it when this file changes the image's content."""

GREETING = "PRECACHE-GUEST-UP"
GRUB = Path("/usr/lib/grub/i386-pc")
GRUB_MODULES = ("biosdisk", "part_msdos", "ext2", "linux", "normal", "configfile", "serial", "terminal")
SECTOR = 512
PARTITION_START = 2048 * SECTOR
BOOT_CODE_BYTES = 440
"""The code at the start of the first sector; the partition table follows."""

# Named one by one: GRUB cannot read features that newer versions of mke2fs enable by default.
FILE_SYSTEM_FEATURES = "none,has_journal,ext_attr,dir_index,filetype,extent,sparse_super,large_file,extra_isize"

INIT = f"""#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs devtmpfs /dev
echo; echo "{GREETING} kernel $(uname -r), up for $(cut -d' ' -f1 /proc/uptime) s" >/dev/ttyS0
exec setsid sh -c 'exec sh </dev/ttyS0 >/dev/ttyS0 2>&1'
"""

MENU = """serial --unit=0 --speed=115200
terminal_output serial console
set timeout=0
menuentry linux {
  linux /boot/vmlinuz console=tty0 console=ttyS0 panic=5
  initrd /boot/initrd.img
}
"""


@dataclass(frozen=True, slots=True)
class Disk:
    """The properties of the image. payload: MiB of random data, for an image that takes a while to copy."""

    size_mib: int = 64
    payload_mib: int = 0
    compress: bool = False


def kept_image(disk: Disk = Disk(), say: Callable[[str], None] = print) -> Path:
    """Return the path of such an image in var/images; build it unless one with the newest kernel exists.

    `say` gets a line about each step that takes time. Raises PackageUnavailable.
    """
    apt = Apt(state=APT_STATE)
    kind = f"{disk.size_mib}m-{disk.payload_mib}m{'-compressed' if disk.compress else ''}-r{RECIPE}.qcow2"
    kept = sorted(KEPT.glob(f"precache-guest-*-{kind}"), key=lambda file: file.stat().st_mtime)
    # If no package list is newer than the image, there is no newer kernel; so skip apt, which may take seconds.
    if kept and kept[-1].stat().st_mtime >= apt.lists_changed_at():
        return kept[-1]
    try:
        path = KEPT / f"precache-guest-{apt.newest_kernel().version}-{kind}"
        if path.exists():
            path.touch()
            return path
    except PackageUnavailable:
        if kept:
            return kept[-1]
    with tempfile.TemporaryDirectory(prefix="precache-image-") as work:
        built, kernel = build(disk, Path(work), apt, say)
        path = KEPT / f"precache-guest-{kernel.version}-{kind}"
        publish(built, path)
    return path


def build(disk: Disk, work: Path, apt: Apt, say: Callable[[str], None]) -> tuple[Path, Kernel]:
    """Build the image in the empty folder `work`; return its path and its kernel. Raises PackageUnavailable."""
    say("fetching the kernel and busybox with apt")
    try:
        kernel = _fetch(apt, work / "debs")
    except PackageUnavailable:
        say("apt's package lists are missing or out of date; fetching them into var/apt")
        apt.refresh()
        kernel = _fetch(apt, work / "debs")
    files = work / "files"
    unpack(work / "debs", files)
    say(f"building the disk: kernel {kernel.version}, {disk.size_mib} MiB")
    _write_tree(files, work / "tree", disk)
    _write_disk(work / "tree", work / "disk.raw", disk)
    image = work / "disk.qcow2"
    compress = ["-c"] if disk.compress else []
    _run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", *compress, work / "disk.raw", image)
    return image, kernel


def publish(built: Path, path: Path) -> None:
    """Give the image its final name atomically, even if another process does the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as partial:
        partial.close()
        shutil.copyfile(built, partial.name)
    Path(partial.name).chmod(0o644)
    Path(partial.name).replace(path)


def _fetch(apt: Apt, debs: Path) -> Kernel:
    debs.mkdir(exist_ok=True)
    kernel = apt.newest_kernel()
    apt.download([kernel.package, "busybox-static"], debs)
    return kernel


def _write_tree(files: Path, tree: Path, disk: Disk) -> None:
    """Write the content of the file system: GRUB's menu, the kernel, the initial file system, the payload."""
    (tree / "boot" / "grub").mkdir(parents=True)
    (tree / "boot" / "grub" / "grub.cfg").write_text(MENU)
    next((files / "boot").glob("vmlinuz-*")).rename(tree / "boot" / "vmlinuz")
    # Ubuntu has merged /bin into /usr/bin, Debian 12 has not.
    busybox = next(place for place in (files / "bin/busybox", files / "usr/bin/busybox") if place.exists())
    (tree / "boot" / "initrd.img").write_bytes(_initramfs(busybox, files.parent / "initramfs"))
    with (tree / "payload").open("wb") as payload:
        for _ in range(disk.payload_mib):
            payload.write(os.urandom(1 << 20))


def _initramfs(busybox: Path, tree: Path) -> bytes:
    for folder in ("bin", "dev", "proc", "sys"):
        (tree / folder).mkdir(parents=True)
    busybox.rename(tree / "bin" / "busybox")
    (tree / "init").write_text(INIT)
    (tree / "init").chmod(0o755)
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    archive = subprocess.run(
        ["cpio", "--create", "--format=newc", "--owner=0:0", "--quiet"],
        cwd=tree, input=names.encode(), stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    return gzip.compress(archive.stdout)


def _write_disk(tree: Path, raw: Path, disk: Disk) -> None:
    """Write partition table, file system and boot loader into `raw`."""
    raw.touch()
    os.truncate(raw, disk.size_mib << 20)
    _run("sfdisk", "--quiet", raw, stdin="label: dos\nstart=2048, type=83, bootable\n")
    _run(
        "mke2fs", "-q", "-F", "-t", "ext4", "-O", FILE_SYSTEM_FEATURES, "-d", tree,
        "-E", f"offset={PARTITION_START},root_owner=0:0", raw, f"{disk.size_mib - 1}M",
    )  # fmt: skip
    core = raw.with_name("core.img")
    _run("grub-mkimage", "-O", "i386-pc", "-p", "(hd0,msdos1)/boot/grub", "-o", core, *GRUB_MODULES)
    if core.stat().st_size > PARTITION_START - SECTOR:
        raise ValueError(f"GRUB's core is {core.stat().st_size} bytes and does not fit before the partition")
    with raw.open("r+b") as out:
        out.write((GRUB / "boot.img").read_bytes()[:BOOT_CODE_BYTES])
        out.seek(SECTOR)
        out.write(core.read_bytes())


def _run(*command: str | Path, stdin: str = "") -> None:
    # On Debian mke2fs and sfdisk are only on root's PATH.
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    environment = {**os.environ, "PATH": path, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, input=stdin, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.build_image", description="Build a bootable disk image.")
    parser.add_argument("--output", type=Path, help="where to write it; default: a name of its own in var/images")
    parser.add_argument("--size", type=int, metavar="MIB", help="size of the disk; default: 64 and the payload")
    parser.add_argument("--payload", type=int, default=0, metavar="MIB", help="add that much random data")
    parser.add_argument("--compress", action="store_true", help="compress the clusters of the qcow2 file")
    wanted = parser.parse_args()
    disk = Disk(wanted.size or 64 + wanted.payload * 9 // 8, wanted.payload, wanted.compress)
    try:
        kept = kept_image(disk)
        if wanted.output:
            publish(kept, wanted.output)
    except (PackageUnavailable, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    print(wanted.output or kept)
    return 0


if __name__ == "__main__":
    sys.exit(main())
