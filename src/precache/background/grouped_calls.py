"""One call for all callers that came while the one before it ran, as databases commit transactions in groups."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class _Caller(Generic[Item, Result]):
    """A caller that waits: for its result, for an error, or until it is to make the next call itself."""

    item: Item
    is_next: bool = False
    results: list[Result] = field(default_factory=list)
    error: BaseException | None = None
    woken: threading.Event = field(default_factory=threading.Event)


class GroupedCalls(Generic[Key, Item, Result]):
    """Makes one call at a time for each key, in the thread of one of those that wait for it. Thread-safe.

    call: gets the key and the items of all callers, in the order in which they came; returns a result for each. What it
        raises is raised in all of them. It must end by itself, because no caller waits with a time limit.
    """

    def __init__(self, call: Callable[[Key, Sequence[Item]], Sequence[Result]]) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._waiting: dict[Key, list[_Caller[Item, Result]]] = {}

    def __call__(self, key: Key, item: Item) -> Result:
        """Return the result for this item."""
        caller: _Caller[Item, Result] = _Caller(item)
        with self._lock:
            is_free = key not in self._waiting
            self._waiting.setdefault(key, []).append(caller)
        if not is_free:
            caller.woken.wait()
        if is_free or caller.is_next:
            self._call_for_all(key)
        if caller.error is not None:
            raise caller.error
        return caller.results[0]

    def _call_for_all(self, key: Key) -> None:
        with self._lock:
            callers, self._waiting[key] = self._waiting[key], []
        try:
            for each, result in zip(callers, self._call(key, [each.item for each in callers]), strict=True):
                each.results.append(result)
        except BaseException as error:  # noqa: BLE001  raised in each caller
            for each in callers:
                each.error = error
        finally:
            with self._lock:
                if following := self._waiting[key][:1]:
                    following[0].is_next = True
                else:
                    del self._waiting[key]
            for each in [*callers, *following]:
                each.woken.set()
