"""A few results in this process's memory: those used last."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field


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
