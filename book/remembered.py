"""Results in this process's memory: a few that were used last, and those that are being found."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary


@dataclass(slots=True)
class Remembered[Key, Value]:
    """At most so many values; the one that was not used for longest makes room."""

    most: int
    _values: OrderedDict[Key, Value] = field(default_factory=OrderedDict, init=False)

    def get(self, key: Key) -> Value | None:
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key]

    def put(self, key: Key, value: Value) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self.most:
            self._values.popitem(last=False)

    def forget(self, is_meant: Callable[[Value], bool]) -> None:
        for key in [key for key, value in self._values.items() if is_meant(value)]:
            del self._values[key]

    def clear(self) -> None:
        self._values.clear()


class Shared[Key, Value]:
    """What is being found: once, for all who want the same meanwhile on the same event loop."""

    def __init__(self) -> None:
        self._tasks: WeakKeyDictionary[
            asyncio.AbstractEventLoop, dict[Key, asyncio.Task[Value]]
        ] = WeakKeyDictionary()

    async def get(self, key: Key, find: Callable[[], Coroutine[None, None, Value]]) -> Value:
        """What `find` returns or raises; it goes on where one who waits is cancelled."""
        tasks = self._tasks.setdefault(asyncio.get_running_loop(), {})
        if key not in tasks:
            tasks[key] = asyncio.create_task(find())
            tasks[key].add_done_callback(lambda task: _end(tasks, key, task))
        return await asyncio.shield(tasks[key])


def _end[Key, Value](
    tasks: dict[Key, asyncio.Task[Value]], key: Key, task: asyncio.Task[Value]
) -> None:
    del tasks[key]
    if not task.cancelled():
        task.exception()  # retrieved also where nobody waits any more
