"""How long a model's first word is on its way to the screen, with 20 readers (the aim: 100 ms).

From the moment the scripted model sends it to the frame after the one in which Chromium has drawn
it: through gunicorn as users start it, 19 others reading answers of 33 words a second.

    python -m benchmarks.first_token --readers 20 --rounds 40
"""

import benchmarks.environment  # noqa: F401 - first: it makes the database

# isort: split
import argparse
import os
import platform
import tempfile
from pathlib import Path
from statistics import median, quantiles

from django.core.management import call_command
from playwright.sync_api import sync_playwright

from chat.tests.browser import CHROMIUM, OPTIONS
from chat.tests.first_token import milliseconds, reading_along
from chat.tests.reader import ready
from chat.tests.scripted_model import scripted_model
from chat.tests.server import running_server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readers", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    call_command("migrate", verbosity=0)
    with tempfile.TemporaryDirectory() as folder, scripted_model() as model:
        settings = {"OPENAI_BASE_URL": model.base_url, "OPENAI_MODEL": "scripted", "CHAT_RATE": ""}
        with (
            running_server(Path(folder) / "log", **settings) as server,
            sync_playwright() as playwright,
            playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS) as browser,
        ):
            page = browser.new_page(base_url=server.base_url)
            page.goto("/")
            ready(page)
            with reading_along(server.base_url, model, options.readers - 1):
                times = milliseconds(page, model, options.rounds)
    print(
        f"{options.readers} readers, {os.cpu_count()} cores, Python {platform.python_version()}\n"
    )
    print("| first word on screen after | milliseconds |\n|---|---|")
    print(f"| median of {options.rounds} | {median(times):.0f} |")
    print(f"| 95 % within | {quantiles(times, n=20)[-1]:.0f} |")
    print(f"| worst | {max(times):.0f} |")


if __name__ == "__main__":
    main()
