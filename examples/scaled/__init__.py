"""Many machines, tried out on one: `python -m examples.scaled` (see docs/scaling.md)."""
