"""The question of the API and the conductor's answer, as they go over the bus and come back."""

import json
from dataclasses import replace

import pytest

from precache.adapters.bus_oslo.fields import Malformed
from precache.adapters.bus_oslo.survey_messages import (
    read_reports,
    read_survey_request,
    reports_message,
    survey_message,
)
from precache.core.cache_contents import CacheContents, ImageSize
from precache.core.host_survey import HostReport, HostStanding, Survey
from precache.core.images import parse_image_id
from precache.core.job_options import Transfer
from precache.core.transfer_rules import TransferRules

IMAGE = parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b")
OTHER = parse_image_id("155d900f-4e14-4e4c-a73d-069cbf4541e6")
SIZES = (ImageSize(IMAGE, 100, 700, "qcow2"), ImageSize(OTHER))
SURVEY = Survey(
    {
        "a": HostReport(
            HostStanding.ANSWERED, "cell1", "paris", CacheContents(frozenset({OTHER}), 800, 2**40, "", 7, 9)
        ),
        "b": HostReport(HostStanding.ANSWERED, "cell1", contents=CacheContents(unsupported="no cache")),
        "e": HostReport(
            HostStanding.ANSWERED, "cell1", "", CacheContents(frozenset({IMAGE, OTHER}), held_bytes={OTHER: 7})
        ),
        "f": HostReport(HostStanding.ANSWERED, "cell1", "paris", cache_id="nfs", can_swarm=True),
        "c": HostReport(HostStanding.DOWN, "cell2"),
        "d": HostReport(HostStanding.UNKNOWN, reason="too old"),
    },
    hosts_at_once=50,
    hosts_per_cell=20,
    host_bytes_per_s=10**6,
    swarm=TransferRules(
        Transfer.SWARM, {"paris": Transfer.DIRECT}, min_hosts=4, attestations=2, site_parents={"shop": "paris"}
    ),
    swarm_hosts_at_once=500,
)


def over_the_bus(message):
    return json.loads(json.dumps(message)) | {"of_a_newer_release": 1}


def test_the_question_is_read_as_it_was_written():
    assert read_survey_request(over_the_bus(survey_message(["a", "b"], SIZES))) == (("a", "b"), SIZES)


def test_the_answer_is_read_as_it_was_written():
    assert read_reports(over_the_bus(reports_message(SURVEY, SIZES)), SIZES) == SURVEY


def test_a_conductor_without_swarms_says_none():
    without = replace(SURVEY, swarm=None, swarm_hosts_at_once=0)

    assert read_reports(over_the_bus(reports_message(without, SIZES)), SIZES) == without


@pytest.mark.parametrize("change", [{"transfer": "torrent"}, {"by_site": {"paris": "no"}}, {"min_hosts": -1}])
def test_rules_that_make_no_sense_are_refused(change):
    answer = reports_message(SURVEY, SIZES)

    with pytest.raises(Malformed):
        read_reports(answer | {"swarm": answer["swarm"] | change}, SIZES)


@pytest.mark.parametrize("change", [{"hosts": None}, {"hosts": ["a", "b c"]}, {"hosts": [7]}, {"images": "all"}])
def test_a_question_that_makes_no_sense_is_refused(change):
    with pytest.raises(Malformed):
        read_survey_request(survey_message(["a"], SIZES) | change)


@pytest.mark.parametrize(
    "change",
    [
        {"held": [2]},
        {"held": [-1]},
        {"held": [True]},
        {"held": 1},
        {"held_bytes": [7, 7]},
        {"held_bytes": ["big"]},
        {"standing": "asleep"},
        {"cell": "a b"},
        {"host": 7},
    ],
)
def test_a_report_that_makes_no_sense_is_dropped_alone(change):
    message = reports_message(SURVEY, SIZES)
    message["hosts"][0] |= change

    assert set(read_reports(message, SIZES).reports) == {"b", "c", "d", "e", "f"}


@pytest.mark.parametrize("change", [{"hosts": None}, {"hosts_at_once": "many"}])
def test_an_answer_that_makes_no_sense_is_malformed(change):
    with pytest.raises(Malformed):
        read_reports(reports_message(SURVEY, SIZES) | change, SIZES)
