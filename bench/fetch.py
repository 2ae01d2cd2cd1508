"""Measures what it costs to cache an image: with Precache, in both of its ways, with Nova, and each stage alone.

    make bench-fetch [SIZE_MIB=1024] [ROUNDS=5] [KEEP=1]

`README.md` has the method. A run of full size writes its results to `results/` and into `README.md`, a smaller one to
`var/bench/`.
The last line printed is JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import stages
from bench.images import IMAGES, TestImage
from bench.machine import describe_machine
from bench.meter import MeasuredProcess
from bench.report import SIDES, aims, figures, markdown

ROOT = Path(__file__).resolve().parent.parent
SCRATCH = ROOT / "var" / "bench"
RESULTS = ROOT / "bench" / "results"
NOVA_PYTHON = SCRATCH / "venv" / "bin" / "python"

FULL_SIZE_MIB = 1024
FULL_ROUNDS = 5
QEMU_IMG_ROUNDS = 3
"""Precache with qemu-img takes part in the first rounds only: its figures have no aims."""

EXISTING_CALLS = 20
DISK_PER_DATA = 12
"""Free space needed, as a multiple of the data in one image: the images, Nova's two copies, and a reserve."""

QEMU_IMG_ALONE = "OS_IMAGE_CACHE__DECODE_WHILE_STREAMING=false"
"""The setting by which Precache stores the download, and has qemu-img convert it."""

README = ROOT / "bench" / "README.md"
README_TABLE = ("<!-- the table of the last full run begins -->\n", "<!-- it ends -->\n")


@dataclass(frozen=True, slots=True)
class Served:
    """One image and its URL in the image service."""

    image: TestImage
    path: Path
    url: str
    id: str


@dataclass(slots=True)
class Bench:
    """One run. results: by image and side, a list with one item per round."""

    size_mib: int
    rounds: int
    folder: Path
    results: dict[str, dict[str, list[Any]]] = field(default_factory=dict)

    def run(self, served: list[Served]) -> None:
        for number in range(self.rounds):
            for one in served:
                for side in _in_turn(one, number):
                    self._note(one, side, self._cache_image(one, side, is_first=number == 0))
                self._note(one, "stages", self._stages(one))

    def _note(self, one: Served, what: str, measured: dict[str, Any]) -> None:
        self.results.setdefault(one.image.name, {}).setdefault(what, []).append(measured)
        seconds = ", ".join(f"{name} {value:.2f} s" for name, value in measured.items() if isinstance(value, float))
        print(f"  {one.image.name:18} {what:7} {seconds}", flush=True)

    def _cache_image(self, one: Served, side: str, *, is_first: bool) -> dict[str, Any]:
        """Let one side cache the image into an empty cache in a new process; return and print the cost."""
        with self._empty_folder() as folder, MeasuredProcess(_command(side, folder, one), ROOT) as process:
            call = process.call()
            result = _only_file(folder / "instances" / "_base")
            measured: dict[str, Any] = {
                "seconds": call.seconds,
                "cpu_s": call.cpu_s,
                "written_bytes": call.written_bytes,
                "peak_bytes": call.peak_bytes,
                "result_bytes": result.stat().st_blocks * 512,
            }
            if not call.fetched:
                raise RuntimeError(f"{side} found {one.image.name} in an empty cache")
            if call.decoded_by != _expected_decoder(one, side):
                raise RuntimeError(f"{side}: {one.image.name} was decoded by {call.decoded_by or 'nothing'}")
            if is_first:
                measured["existing_ms"] = [process.call().seconds * 1000 for _ in range(EXISTING_CALLS)]
                _check_content(result, one)
        return measured

    def _stages(self, one: Served) -> dict[str, float]:
        with self._empty_folder() as folder:
            seconds = {
                "download": stages.download(f"{one.url}/v2/images/{one.id}/file", folder / "download"),
                "sha512": stages.digest(folder / "download"),
            }
            if one.image.disk_format != "raw":
                seconds["convert"] = stages.convert(folder / "download", folder / "converted")
        return seconds

    @contextmanager
    def _empty_folder(self) -> Iterator[Path]:
        """Return an empty folder, after all earlier writes are on the disk; remove it at the end."""
        folder = self.folder / "run"
        folder.mkdir()
        os.sync()
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


def _in_turn(one: Served, number: int) -> list[str]:
    """Return the sides in the order of this round: they take turns in being the first one.

    A raw image is not decoded, so that both ways of Precache are the same.
    """
    with_qemu_img = one.image.disk_format != "raw" and number < QEMU_IMG_ROUNDS
    sides = [side for side in SIDES if side != "qemu" or with_qemu_img]
    first = number % len(sides)
    return sides[first:] + sides[:first]


def _expected_decoder(one: Served, side: str) -> str:
    """Return what must have decoded the image: else the figures are not of what they are said to be."""
    if side == "nova" or one.image.disk_format == "raw":
        return ""
    return {"ours": "stream", "qemu": "qemu-img"}[side]


def _command(side: str, folder: Path, one: Served) -> list[str | Path]:
    ours: list[str | Path] = [sys.executable, "-m", "bench.ours"]
    commands: dict[str, list[str | Path]] = {
        "ours": ours,
        "qemu": ["env", QEMU_IMG_ALONE, *ours],
        # -P keeps this folder's modules out, and -W the deprecation warnings of Nova's libraries.
        "nova": [NOVA_PYTHON, "-P", "-W", "ignore", ROOT / "bench" / "novas.py"],
    }
    return [*commands[side], folder, one.url, one.id]


def _only_file(cache: Path) -> Path:
    files = [file for file in cache.iterdir() if "." not in file.name]  # without Precache's own
    if len(files) != 1:
        raise RuntimeError(f"{cache} should hold the image alone, but holds {[file.name for file in files]}")
    return files[0]


def _check_content(result: Path, one: Served) -> None:
    """Stop if the cached disk differs from the image: a fast but wrong result is worthless."""
    command: list[str | Path] = [
        "qemu-img",
        "compare",
        "-q",
        "-f",
        "raw",
        "-F",
        one.image.disk_format,
        result,
        one.path,
    ]
    subprocess.run(command, check=True)


@contextmanager
def image_service(images: Path, index: Path) -> Iterator[dict[str, Any]]:
    """Serve the folder; return `url`, and `ids` by file name."""
    command: list[str | Path] = [sys.executable, "-m", "bench.image_server", images, index]
    server = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        if not line:
            sys.exit("the image service did not start; see its output above")
        yield json.loads(line)
    finally:
        server.communicate()


def _make_images(folder: Path, size_mib: int) -> dict[str, Path]:
    """Make the images that do not exist from an earlier run."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for image in IMAGES:
        paths[image.name] = folder / image.file_name
        if not paths[image.name].exists():
            print(f"making the image: {image.name}", flush=True)
            image.make(folder, size_mib)
    return paths


def _require_space(size_mib: int) -> None:
    needed, free = size_mib * DISK_PER_DATA << 20, shutil.disk_usage(ROOT).free
    if free < needed:
        sys.exit(f"{needed / 1e9:.0f} GB of disk are needed, {free / 1e9:.1f} GB are free; SIZE_MIB=256 needs less")


def _write(results: dict[str, Any], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fetch.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / "fetch.md").write_text(markdown(results))
    plot: list[str | Path] = [
        NOVA_PYTHON,
        "-P",
        ROOT / "bench" / "plot.py",
        folder / "fetch.json",
        folder / "fetch.svg",
    ]
    subprocess.run(plot, check=True)


def _fill_readme(results: dict[str, Any]) -> None:
    begin, end = README_TABLE
    before, _, rest = README.read_text().partition(begin)
    _, _, after = rest.partition(end)
    README.write_text(f"{before}{begin}\n{aims(results)}\n{end}{after}")


def main() -> None:
    size_mib, rounds = int(os.environ.get("SIZE_MIB", FULL_SIZE_MIB)), int(os.environ.get("ROUNDS", FULL_ROUNDS))
    is_full = size_mib >= FULL_SIZE_MIB and rounds >= FULL_ROUNDS
    work = SCRATCH / "fetch"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    images = SCRATCH / f"images-{size_mib}m"
    try:
        _require_space(size_mib)
        paths = _make_images(images, size_mib)
        print("starting the image service; it hashes every image", flush=True)
        with image_service(images, work / "index") as service:
            served = [
                Served(image, paths[image.name], service["url"], service["ids"][image.file_name]) for image in IMAGES
            ]
            bench = Bench(size_mib=size_mib, rounds=rounds, folder=work)
            bench.run(served)
        results: dict[str, Any] = {
            "machine": describe_machine(work),
            "settings": {"size_mib": size_mib, "rounds": rounds},
            "image_bytes": {name: path.stat().st_size for name, path in paths.items()},
            "in_means": [image.name for image in IMAGES if image.is_in_means],
            "measured": bench.results,
        }
        folder = RESULTS if is_full else SCRATCH / "results"
        _write(results, folder)
        if is_full:
            _fill_readme(results)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if not os.environ.get("KEEP"):
            shutil.rmtree(images, ignore_errors=True)
    print(f"\n{markdown(results)}\nwritten to {folder}")
    print(json.dumps(figures(results)))


if __name__ == "__main__":
    main()
