"""A decoding goes on from its two files, at any byte."""

from __future__ import annotations

import errno
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precache.fetch.growing_file import Abandoned
from tests.unit.fetch.decoding.decoding_run import MIB, PLANS, Run, make_plan
from tests.unit.fetch.decoding.plan_reader import PlanReader


@given(seed=PLANS["seed"], cluster=PLANS["clusters"], cuts=st.lists(st.floats(0, 1), min_size=1, max_size=3))
@settings(max_examples=12, deadline=None)
def test_settled_files_go_on_at_any_byte(tmp_path_factory, seed, cluster, cuts):
    def plan():
        rng = random.Random(seed)
        return make_plan(rng, cluster, rng.randint(1, min(100, 5 * MIB // cluster)), 0)

    path, (reader, disk) = tmp_path_factory.mktemp("plan"), plan()
    image, fed = reader.image, 0
    for cut in sorted(cuts):
        end = int(cut * len(image))
        with Run(path, plan()[0].reading, fed_bytes=fed).ending() as run:
            run.feed(image[:end], fed, block_bytes=300_000)
            assert not run.decoder.is_settled or end == fed
            run.decoder.settle()
            assert run.decoder.is_settled
            assert run.decoder.arrived_bytes == end
        if not end:
            run.target.unlink()
        fed = end
    with Run(path, plan()[0].reading, fed_bytes=fed).ending() as run:
        run.feed(image, fed)
        run.decoder.finish()

    assert run.target.read_bytes() == disk


class InterruptedReader(PlanReader):
    """Has the decoder interrupted before one of its actions."""

    def begin(self, decoder, actions):
        self._decoder, self._left = decoder, actions

    def feed(self, data):
        return self._counted(super().feed(data))

    def finish(self):
        return self._counted(super().finish())

    def _counted(self, actions):
        for action in actions:
            if not self._left:
                self._decoder.interrupt()
            self._left -= 1
            yield action


@given(seed=PLANS["seed"], cluster=PLANS["clusters"], interrupts=st.lists(st.integers(0, 120), max_size=3))
@settings(max_examples=12, deadline=None)
def test_interrupted_decoder_goes_on_behind_the_block_that_it_ended(tmp_path_factory, seed, cluster, interrupts):
    rng = random.Random(seed)
    plan, disk = make_plan(rng, cluster, rng.randint(1, min(100, 5 * MIB // cluster)), 0)
    path, image, fed = tmp_path_factory.mktemp("plan"), plan.image, 0
    for actions in [*interrupts, -1]:
        reader = InterruptedReader(plan.pieces, plan.disk_bytes, plan.unit_bytes)
        with Run(path, reader.reading, fed_bytes=fed).ending() as run:
            reader.begin(run.decoder, actions)
            try:
                run.feed(image, fed, block_bytes=300_000)
                run.decoder.finish()
            except Abandoned:
                run.decoder.settle()
            assert run.decoder.arrived_bytes in (*range(fed, len(image), 300_000), len(image))
        fed = run.decoder.arrived_bytes
        if run.decoder.is_complete:
            break
        if not fed:
            run.target.unlink()
            run.side.unlink(missing_ok=True)

    assert run.target.read_bytes() == disk


def test_block_that_was_decoded_in_part_leaves_nothing_that_can_go_on(tmp_path):
    plan, _ = make_plan(random.Random(3), 64 << 10, 40, 0)

    def admit(_total_bytes):
        raise OSError(errno.ENOSPC, "full")

    with Run(tmp_path, plan.reading, admit=admit).ending() as run:
        with pytest.raises(OSError, match="full"):
            run.feed(plan.image)

        with pytest.raises(Abandoned):
            run.decoder.settle()
