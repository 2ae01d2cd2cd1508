"""Lists that the service returns in pages, each with a link to the next one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from urllib.parse import urlsplit

from precache.cli.client.session import JsonObject, Query, Session, objects
from precache.cli.errors import AnswerNotUnderstood

PAGE = 1000
"""Items on a page: the most that the service allows."""


def read_pages(session: Session, url: str, member: str, *, query: Query, limit: int = 0) -> list[JsonObject]:
    """Return up to `limit` items of the list under the key `member`, in their order; 0 means all."""
    first = session.whole("GET", url, query={**query, "limit": min(limit, PAGE) if limit else None})
    return list(islice(items_of_pages(session, url, member, first, _next), limit or None))


def read_with_pages(session: Session, url: str, member: str, *, query: Query) -> tuple[JsonObject, list[JsonObject]]:
    """Return the first page, and all items of the list under the key `member`."""
    first = session.whole("GET", url, query=query)
    return first, list(items_of_pages(session, url, member, first, _next))


def items_of_pages(
    session: Session, url: str, member: str, first: JsonObject, next_of: Callable[[JsonObject, str], str]
) -> Iterator[JsonObject]:
    """Return the items under the key `member` of the first page and of all that follow.

    next_of: returns the address of the page after a page; empty if it is the last one.
    """
    document, seen = first, set[str]()
    while True:
        yield from objects(document, member, f"GET {url}")
        following = next_of(document, member)
        if not following:
            return
        if following in seen:
            raise AnswerNotUnderstood(f"GET {url}", f"its pages go round in a circle at {following}")
        seen.add(following)
        # The link may be a URL behind a proxy, so that only its query can be used here.
        document = session.whole("GET", f"{url}?{urlsplit(following).query}")


def _next(document: JsonObject, member: str) -> str:
    """Return the address of the next page; empty if there is none, or the service has no pages."""
    links = document.get(f"{member}_links")
    found = [link for link in links if isinstance(link, dict)] if isinstance(links, list) else []
    return next((str(link["href"]) for link in found if link.get("rel") == "next" and link.get("href")), "")
