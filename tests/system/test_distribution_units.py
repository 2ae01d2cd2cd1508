"""The systemd units, read by systemd's own checker; systemd itself need not run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.external]

DEPLOY = Path(__file__).parents[2] / "deploy"
INSTALLED_IN = "/opt/precache/bin"
TIMEOUT_S = 60


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The units, for the program where it is here."""
    made = []
    for unit in sorted((DEPLOY / "systemd").glob("*.service")):
        made.append(tmp_path / unit.name)
        made[-1].write_text(unit.read_text().replace(INSTALLED_IN, str(Path(sys.executable).parent)))
    return made


def test_systemd_has_nothing_to_say_against_the_units(units: list[Path]) -> None:
    done = run("systemd-analyze", "verify", "--man=no", *units)

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_unit_is_confined(units: list[Path]) -> None:
    for unit in units:
        # systemd's own measure, from 0 for confined to 10 for free.
        done = run("systemd-analyze", "security", "--offline=yes", "--threshold=25", unit)

        assert done.returncode == 0, done.stdout[-500:]


def test_the_user_of_the_controllers_can_be_made() -> None:
    done = run("systemd-sysusers", "--dry-run", DEPLOY / "sysusers.d" / "precache.conf")

    assert done.returncode == 0, done.stderr
    assert "Creating user 'precache'" in done.stdout + done.stderr or "precache" in Path("/etc/passwd").read_text()
