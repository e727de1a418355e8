"""What readers do at once, and how the model speaks meanwhile."""

from dataclasses import dataclass, replace

from benchmarks.model import Speech

QUICK = 5  # so many times fewer turns


@dataclass(frozen=True, slots=True)
class Workload:
    name: str
    told: str
    readers: int
    turns: int
    speech: Speech
    is_stream: bool = False
    ramp: float = 0  # the seconds in which the readers come
    all_differ: bool = False  # no question is asked twice
    all_open: bool = False  # each reader asks once, and all of them wait at the same time
    workers: int = 1
    in_full_database: bool = False
    against: str = ""  # the workload that its requests/s are compared with

    @property
    def chunks(self) -> int:
        return self.speech.chunks if self.is_stream else 0

    @property
    def model_seconds(self) -> float:
        """What the model itself takes for an answer."""
        pauses = (self.speech.chunks - 1) * self.speech.gap if self.is_stream else 0
        return self.speech.delay + pauses

    def quick(self) -> "Workload":
        return replace(self, turns=max(self.turns // QUICK, self.readers))


INSTANT = Workload("instant", "32 readers; the model answers at once", 32, 3000, Speech())
# Those that are compared with another one come right after it.
WORKLOADS = (
    INSTANT,
    replace(
        INSTANT,
        name="full",
        told="as `instant`, in a database with {messages:,} messages; a third of the turns go on "
        "in one of its sessions",
        in_full_database=True,
        against="instant",
    ),
    replace(
        INSTANT,
        name="two-workers",
        told="as `instant`, with two workers; it says something only where two cores are free "
        "beside those that PostgreSQL, the model and the readers need",
        workers=2,
        against="instant",
    ),
    Workload(
        "slow", "400 readers wait for a model that takes a second", 400, 1200, Speech(1), ramp=1
    ),
    Workload(
        "stream",
        "200 streams at once, of 40 chunks, 25 ms apart, the first after 300 ms",
        200,
        600,
        Speech(0.3, 40, 0.025),
        is_stream=True,
        ramp=1,
    ),
    Workload(
        "open-streams",
        "1,000 streams, all open at once, of 40 chunks, half a second apart",
        1000,
        1000,
        Speech(0.3, 40, 0.5),
        is_stream=True,
        ramp=5,
        all_open=True,
    ),
)


def chosen(only: list[str], is_full: bool, quick: bool) -> list[Workload]:
    """In their order, with those that they are compared with."""
    wanted = set(only or [each.name for each in WORKLOADS])
    wanted |= {each.against for each in WORKLOADS if each.name in wanted}
    found = [each for each in WORKLOADS if each.name in wanted]
    return [
        each.quick() if quick else each for each in found if is_full or not each.in_full_database
    ]
