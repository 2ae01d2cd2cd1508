"""The build hook, in the environment that pip makes for a build: it has the dependencies, but no Precache."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tools.command_files.__main__ import FILES, write_files

ROOT = Path(__file__).parents[3]
BUILD_TIMEOUT_S = 60

# pip's own file of this name also removes all paths of the environment that pip runs in; an editable installation has
# added the sources to them.
_SITE_OF_PIP = f"""
import sys
sys.path[:] = [path for path in sys.path if path != {str(ROOT / "src")!r}]
"""


@pytest.fixture
def build_environment(tmp_path: Path) -> dict[str, str]:
    packages = tmp_path / "packages"
    packages.mkdir()
    for found in Path(sysconfig.get_path("purelib")).iterdir():
        if found.suffix != ".pth" and "precache" not in found.name:
            (packages / found.name).symlink_to(found)
    (packages / "sitecustomize.py").write_text(_SITE_OF_PIP)
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(packages)}


def test_a_wheel_is_built_from_the_checkout_where_precache_is_not_installed(
    build_environment: dict[str, str], tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv", with_pip=False)
    write_files(tmp_path / "expected")

    done = subprocess.run(
        [tmp_path / "venv" / "bin" / "python", "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist"],
        cwd=ROOT,
        env=build_environment,
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_S,
    )

    assert done.returncode == 0, done.stderr
    [wheel] = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        shared = {name.partition("/data/share/")[2]: name for name in content.namelist()}
        assert {name: content.read(shared[name]) for name in FILES} == {
            name: (tmp_path / "expected" / name).read_bytes() for name in FILES
        }
