"""One sentence out of what qemu-img prints."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.rules.qemu_errors import reason_of

SOURCE = "driver=raw,offset=0,size=6,file.driver=qcow2,file.file.driver=nbd,file.file.server.type=fd"


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        ("qemu-img: L1 size too big\n", "qemu-img: L1 size too big"),
        (
            f"qemu-img: Could not open '{SOURCE}': L1 size too big\n",
            "qemu-img: Could not open the image: L1 size too big",
        ),
        (
            f"qemu-img: Could not open '{SOURCE}': Could not open 'json:{{\"driver\": \"nbd\"}}': Invalid argument\n",
            "qemu-img: Could not open the image: Invalid argument",
        ),
        (
            "qemu-img: error while reading at byte 0: Invalid argument\n"
            "qemu-img: error while reading at byte 65536: Invalid argument\n",
            "qemu-img: error while reading at byte 0: Invalid argument",
        ),
        (
            "qemu-img: unrecognized option '--frob'\nTry 'qemu-img --help' for more information\n",
            "qemu-img: unrecognized option '--frob'",
        ),
        (
            "qemu-img: Failed to open /dev/null for OFD lock probing: Permission denied\n"
            f"qemu-img: Could not open '{SOURCE}': Could not open '/some/fifo': Permission denied\n",
            "qemu-img: Could not open the image: Could not open '/some/fifo': Permission denied",
        ),
        (
            "qemu-img: warning: the checksum is odd\nqemu-img: Could not read L1 table\n",
            "qemu-img: Could not read L1 table",
        ),
        (
            f"qemu-img: Could not open '{SOURCE}': VHDX image file 'x' opened read-only, but contains a log that "
            "needs to be replayed\nTo replay the log, run:\nqemu-img check -r all 'x'\n",
            "it was copied while it was in use: this VHDX has a log that must be replayed first; repair it with "
            "`qemu-img check -r all` and upload that",
        ),
        (
            "qcow2: Image is corrupt: L2 table offset 0x10200 unaligned (L1 index: 0); further non-fatal corruption "
            "events will be suppressed\nqemu-img: error while reading at byte 0: Input/output error\n",
            "qemu-img: qcow2: Image is corrupt: L2 table offset 0x10200 unaligned (L1 index: 0)",
        ),
        ("\n", None),
    ],
)
def test_reason_is_the_first_line_with_a_cause_without_precaches_options(errors, reason):
    assert reason_of(errors) == reason


@given(st.text())
def test_any_output_has_a_reason_of_one_line(errors):
    reason = reason_of(errors)

    assert (reason is None) == (not errors.strip())
    assert reason is None or len(reason.splitlines()) <= 1
