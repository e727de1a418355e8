"""What the tests share: servers, a scripted model, browsers, streams, waiting."""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
