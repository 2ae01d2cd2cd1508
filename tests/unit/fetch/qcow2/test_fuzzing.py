"""A fuzzer that is guided by coverage, for ten minutes or as many seconds as FUZZING_SECONDS says."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.unit.fetch.qcow2.small_images import small_images

ROOT = Path(__file__).parents[4]
PYTHON = ROOT / "var/fuzzing/venv/bin/python"
SECONDS = int(os.environ.get("FUZZING_SECONDS", "600"))
LIMITS = (
    "-timeout=30",
    "-rss_limit_mb=1500",
    "-max_len=200000",
    "-len_control=0",
    "-verbosity=1",
    "-print_final_stats=1",
)


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 300)
@pytest.mark.skipif(not PYTHON.exists(), reason="no var/fuzzing/venv: `make setup-fuzzing` makes it")
def test_fuzzer_finds_no_image_that_becomes_another_disk(tmp_path):
    corpus, findings = tmp_path / "corpus", tmp_path / "findings"
    corpus.mkdir()
    findings.mkdir()
    for number, image in enumerate(small_images()):
        (corpus / f"{number:02}").write_bytes(bytes([number, number]) + image)
    command = [PYTHON, "-m", "tests.fuzzing.qcow2_fuzzer", corpus, *LIMITS, f"-max_total_time={SECONDS}"]

    result = subprocess.run(
        [*map(str, command), f"-artifact_prefix={findings}/"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}/src:{ROOT}"},
        capture_output=True,
        text=True,
        errors="replace",
    )

    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-8000:]
    executions = re.search(r"stat::number_of_executed_units:\s*(\d+)", result.stderr)
    print("executions:", executions and executions[1], "files:", len(list(corpus.iterdir())))
    assert executions
    assert int(executions[1]) > len(small_images())
