"""Paged lists, as in Nova: `limit` and `marker` in the query, a link to the next page in the response."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from precache.api.calls import Answer, Call

T = TypeVar("T")

MOST_ITEMS = 1000
"""Most items on a page, and the default; the OpenAPI document has the same number."""


def page(
    call: Call,
    member: str,
    path: str,
    *,
    items: Callable[[int], Sequence[T]],
    view: Callable[[T], dict[str, Any]],
    marker: Callable[[T], str],
) -> Answer:
    """Return one page of a list under the key `member`.

    path: of the list, below the base address. items: returns up to so many, after the marker of the request.
    marker: names an item in the address of the page that begins after it.
    There is a link to the next page, under `member`_links, only if that is not empty.
    """
    limit: int = call.query.get("limit", MOST_ITEMS)
    found = items(limit + 1)
    shown = found[:limit]
    content: dict[str, Any] = {member: [view(item) for item in shown]}
    if len(found) > limit:
        query = urlencode({**_as_sent(call.query), "marker": marker(shown[-1])}, doseq=True, quote_via=quote)
        content[f"{member}_links"] = [{"rel": "next", "href": f"{call.base_url}{path}?{query}"}]
    return Answer(content)


def _as_sent(query: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters in the spelling of a query."""
    return {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()}
