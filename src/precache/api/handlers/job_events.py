"""Sends the events of a job."""

from __future__ import annotations

from precache.api.calls import Answer, Call, Streaming
from precache.api.events.feed import JobFeed
from precache.api.handlers.job_ids import parse_job_id
from precache.api.refusals import EventsNotServed

_HEADERS = {
    "Cache-Control": "no-store",
    # nginx would otherwise collect events before it passes them on.
    "X-Accel-Buffering": "no",
}


class JobEvents:
    """One method per operation."""

    def __init__(self, *, feed: JobFeed) -> None:
        self._feed = feed

    def follow(self, call: Call) -> Answer:
        """Send what changes in a job, until it has ended. A client that has it all gets 204, so that it stops."""
        if call.streaming is Streaming.THE_ONLY_THREAD:
            raise EventsNotServed
        events = self._feed.open(
            parse_job_id(call.params["job_id"]),
            last_event_id=call.last_event_id,
            in_thread=call.streaming is Streaming.A_THREAD,
        )
        return Answer(status=204) if events is None else Answer(events=events, headers=_HEADERS)
