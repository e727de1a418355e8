"""Many turns, plain and streamed: memory and descriptors stay what they were."""

import sys
import time

from benchmarks.attack.beside import descriptors, megabytes
from benchmarks.environment import DATABASE
from benchmarks.load import Load
from benchmarks.measured import run
from benchmarks.model import Speech
from benchmarks.sides import US

PART = 1000
READERS = 32
CHUNKS = 40
MOST_LARGER, MOST_DESCRIPTORS = 1.2, 20
IDLE_SECONDS = 6  # after which idle connections to the model are closed


def many_turns(turns: int, model: int) -> list[str]:
    """What is amiss after so many. The first tenth of them warms the server up."""
    amiss: list[str] = []
    with US.serving(DATABASE, Speech(chunks=CHUNKS).name, model, 2) as (server, port):
        before = (0.0, 0)
        for number in range(-(-turns // PART)):
            chunks = CHUNKS * (number % 2)
            result = run(Load(port, READERS, PART, chunks))
            amiss += [f"{count} times {error}" for error, count in result.errors.items()]
            if number == turns // PART // 10:
                time.sleep(IDLE_SECONDS)
                before = megabytes(server), descriptors(server)
            print(
                f"{(number + 1) * PART:,} turns: {megabytes(server):.0f} MB, "
                f"{descriptors(server)} descriptors",
                file=sys.stderr,
            )
        time.sleep(IDLE_SECONDS)
        after = megabytes(server), descriptors(server)
    print(
        f"{turns:,} turns: from {before[0]:.0f} MB and {before[1]} descriptors "
        f"to {after[0]:.0f} MB and {after[1]}"
    )
    if after[0] > MOST_LARGER * before[0] or after[1] > before[1] + MOST_DESCRIPTORS:
        amiss.append("the server keeps memory or descriptors")
    return amiss
