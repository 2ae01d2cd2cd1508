"""The file of pieces of one host: what counts as there when its hashes are in doubt."""

from __future__ import annotations

from contextlib import suppress

from precache.adapters.clock_system import SystemClock
from precache.core.errors import PieceRefused
from precache.core.relays import Form
from precache.fetch.space import PIECES
from precache.imagecache.staging import Staging
from precache.swarm.host_pieces import HostPieces
from precache.swarm.relay_file import RelayFile
from tests.swarm_files import RELAY, batch_of, image_content, pieces_of
from tests.swarm_hosts import SwarmHosts
from tests.unit.fetch.world import record_of

SEEDER = SwarmHosts().host("seeder")
KEPT, OTHER = image_content("ab"), image_content("ac")


class LateWrite(RelayFile):
    """A stream that was stopped still writes its last piece after the file was asked what is there."""

    def local_digest(self, index):
        digest = super().local_digest(index)
        with suppress(OSError, PieceRefused):
            self.add_piece(index, pieces_of(OTHER)[index])
        return digest


def test_a_late_write_of_a_stream_changes_nothing_that_counts_after_the_hashes_were_in_doubt(tmp_path):
    staging = Staging(tmp_path, "entry")
    staging.path(PIECES).write_bytes(KEPT)
    pieces = HostPieces(
        image=record_of(KEPT),
        form=Form.AS_IS,
        staging=staging,
        relay=RELAY,
        trust=SEEDER,
        clock=SystemClock(),
        reserves_whole_disk=False,
        open_file=LateWrite,
    )
    pieces.open(lambda: None).add_hashes(batch_of(OTHER, seeder=SEEDER))

    file = pieces.reopen()
    file.add_hashes(batch_of(KEPT, seeder=SEEDER))

    assert file.is_whole
    assert file.path.read_bytes() == KEPT
    pieces.close()
