"""What keeps a compute from starting."""

import pytest

from precache.config.load import load_config
from precache.core.errors import CacheUnusable
from precache.wiring.compute_process import ComputeProcess


@pytest.mark.parametrize("kind", ["missing", "a file"])
def test_a_compute_makes_no_instances_path_of_its_own(tmp_path, kind):
    path = tmp_path / "typo" / "instances" if kind == "missing" else tmp_path / "file"
    (tmp_path / "file").touch()
    file = tmp_path / "precache.conf"
    file.write_text(f"[DEFAULT]\nhost = cmp-1\ninstances_path = {path}\ntransport_url = rabbit://127.0.0.1:1/cell1\n")
    process = ComputeProcess(config=load_config([file]))

    with pytest.raises(
        CacheUnusable,
        match=f"{path} cannot be used: .* instances_path is not a directory; set it to that of nova-compute",
    ):
        process.start()

    process.stop()
    assert not (tmp_path / "typo").exists()
