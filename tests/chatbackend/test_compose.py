"""compose.yaml: what its files need, and that what stands in several places is the same."""

import re

from tests.helpers.server import CHECKOUT

SCALED = CHECKOUT / "examples" / "scaled"
NAME = re.compile(r"\$\{([A-Z_]+)\}")


def test_every_name_in_the_balancers_and_the_poolers_file_is_filled_in():
    dockerfile = (SCALED / "Dockerfile").read_text()
    filled = set(re.findall(r"\b([A-Z_]+)=", dockerfile)) | {"FOLDER"}

    for file in ("nginx.conf", "pgbouncer.ini"):
        names = set(NAME.findall((SCALED / file).read_text()))
        assert names
        assert names <= filled


def test_every_setting_of_the_model_and_the_chat_is_handed_on():
    compose = (CHECKOUT / "compose.yaml").read_text()
    settings = re.findall(r"^([A-Z_]+)=", (CHECKOUT / ".env.example").read_text(), re.MULTILINE)
    decided_there = {"EMBEDDED", "DEBUG", "HOST", "PORT", "LOG_FORMAT"}

    assert set(settings) - decided_there <= set(
        re.findall(r"^    ([A-Z_]+):", compose, re.MULTILINE)
    )


def test_what_the_image_is_built_of_is_sent_to_the_builder():
    dockerfile = (CHECKOUT / "Dockerfile").read_text()
    wanted = re.findall(r"^COPY (?!--from)(\S+) ", dockerfile, re.MULTILINE)
    for_each = {"requirements/${REQUIREMENTS}.txt": ["production", "telemetry"]}
    files = {path for path in wanted if path not in for_each}
    files |= {f"requirements/{name}.txt" for name in for_each["requirements/${REQUIREMENTS}.txt"]}

    sent = re.findall(r"^!(.+)$", (CHECKOUT / ".dockerignore").read_text(), re.MULTILINE)

    assert len(wanted) > 5
    assert files == set(sent)
    assert all((CHECKOUT / path).exists() for path in files)
