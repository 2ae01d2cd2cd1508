"""The API asks the conductors over a real bus what hosts hold."""

from datetime import timedelta

import pytest

from precache.adapters.bus_oslo import BusSurvey, SurveyListener
from precache.core.cache_cleaning import CleanedEntry, CleanRequest, CleanResult
from precache.core.cache_contents import CacheContents, ImageSize
from precache.core.errors import CleanRefused, ConductorUnavailable, HostNotReached, StoreUnavailable
from precache.core.host_survey import HostReport, HostStanding, Survey
from precache.core.images import parse_image_id
from tests.contract.buses import PATIENCE, BusWorld

pytestmark = pytest.mark.external

IMAGES = tuple(ImageSize(parse_image_id(f"{number:032x}"), 100 + number, None, "raw") for number in range(300))


@pytest.fixture
def world(cell_url):
    made = BusWorld(cell_url)
    yield made
    made.close()


class Conductor:
    """The ports `CacheSurvey` and `CacheCleaning`: every host holds the first image, and has one entry to remove.

    Keeps the numbers of hosts that it was asked for.
    """

    def __init__(self, error=None):
        self.asked, self.error = [], error

    def ask(self, hosts, images):
        self.asked.append(len(hosts))
        if self.error is not None:
            raise self.error
        contents = CacheContents(frozenset({images[0].image}), 5, 9)
        return Survey(
            {host: HostReport(HostStanding.ANSWERED, "cell1", contents=contents, cache_id="0a1b") for host in hosts}, 50
        )

    def clean(self, host, request):
        if self.error is not None:
            raise self.error
        return CleanResult("lru", (CleanedEntry("1" * 40, None, 7, None, f"{host}: {request.keep_days} days"),))


@pytest.fixture
def listening(world, request):
    """Start a conductor that answers with this survey."""

    def start(survey, name="conductor-1"):
        listener = SurveyListener(bus=world.bus(), name=name, survey=survey, cleaning=survey)
        listener.start()
        request.addfinalizer(lambda: listener.stop(PATIENCE))
        assert listener.wait_until_listening(timedelta(seconds=20))
        return survey

    return start


def test_one_of_several_conductors_answers_each_question(world, listening):
    conductors = [listening(Conductor(), "conductor-1"), listening(Conductor(), "conductor-2")]

    survey = BusSurvey(bus=world.bus()).ask(["cmp-2", "cmp-1"], IMAGES[:2])

    assert list(survey.reports) == ["cmp-2", "cmp-1"]
    assert survey.reports["cmp-1"].contents == CacheContents(frozenset({IMAGES[0].image}), 5, 9)
    assert survey.hosts_at_once == 50
    assert sorted(len(each.asked) for each in conductors) == [0, 1]


def test_many_hosts_and_images_are_asked_for_in_parts(world, listening):
    conductor = listening(Conductor())
    hosts = [f"cmp-{number}" for number in range(1500)]

    survey = BusSurvey(bus=world.bus()).ask(hosts, IMAGES)

    assert list(survey.reports) == hosts
    assert len(conductor.asked) > 1
    assert max(conductor.asked) * len(IMAGES) <= 200_000


def test_without_a_conductor_the_error_says_so_at_once(world):
    with pytest.raises(ConductorUnavailable, match="No conductor can ask the hosts: none"):
        BusSurvey(bus=world.bus()).ask(["cmp-1"], IMAGES[:1])


def test_a_conductor_that_fails_says_why(world, listening):
    listening(Conductor(StoreUnavailable("it is full")))

    with pytest.raises(ConductorUnavailable, match="The database is not available: it is full"):
        BusSurvey(bus=world.bus()).ask(["cmp-1"], IMAGES[:1])


def test_a_conductor_has_a_host_clean_its_cache(world, listening):
    listening(Conductor())

    result = BusSurvey(bus=world.bus()).clean("cmp-1", CleanRequest(keep_days=9))

    assert result == CleanResult("lru", (CleanedEntry("1" * 40, None, 7, None, "cmp-1: 9 days"),))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (CleanRefused("cmp-1", "nova-compute owns this cache"), CleanRefused),
        (HostNotReached("cmp-1", "it is down"), HostNotReached),
        (HostNotReached("cmp-1", "it did not answer", was_asked=True), HostNotReached),
        (StoreUnavailable("it is full"), ConductorUnavailable),
    ],
)
def test_why_a_host_was_not_cleaned_comes_back(world, listening, error, kind):
    listening(Conductor(error))

    with pytest.raises(kind) as raised:
        BusSurvey(bus=world.bus()).clean("cmp-1", CleanRequest())

    assert str(error) in str(raised.value)


def test_without_a_conductor_nothing_is_cleaned_and_the_error_says_so(world):
    with pytest.raises(ConductorUnavailable, match="No conductor can ask the hosts: none"):
        BusSurvey(bus=world.bus()).clean("cmp-1", CleanRequest())
