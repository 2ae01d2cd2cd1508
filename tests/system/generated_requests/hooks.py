"""What schemathesis has to be told of our document."""

from typing import Any

import schemathesis
from hypothesis import strategies as st

_TEXT = st.text(st.characters(codec="utf-8", categories=("L", "M", "N", "P", "S")), min_size=1, max_size=255)

schemathesis.openapi.format("name", _TEXT)
schemathesis.openapi.format("name_with_spaces", _TEXT)
schemathesis.openapi.format("hour_and_minute", st.times().map(lambda at: at.strftime("%H:%M")))
schemathesis.openapi.format("time_zone", st.sampled_from(["UTC", "Europe/Paris", "Asia/Kathmandu"]))
schemathesis.openapi.format("zone_name", _TEXT.filter(lambda text: ":" not in text))


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Send one of the two headers for the microversion: the older one is not looked at beside the other."""
    if case.headers and "X-OpenStack-Nova-API-Version" in case.headers:
        case.headers.pop("OpenStack-API-Version", None)
