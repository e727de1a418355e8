"""README, .env.example and the settings tell the same."""

import json
import re
import shutil
import subprocess

import pytest

from tests.helpers.environment import CHECKOUT, SETTINGS
from tests.helpers.scripted_model import Reply

NODE = shutil.which("node")
README = (CHECKOUT / "README.md").read_text()
MAKEFILE = (CHECKOUT / "Makefile").read_text()
READ = set(
    re.findall(
        r"\b(?:text|switch|whole_number|seconds|one_of|host_names|web_address|origins|rate|prices|database_url)"
        r'\(\s*"([A-Z_]+)"',
        (CHECKOUT / "chatbackend" / "settings.py").read_text(),
    )
)

# A list, a word for a truth value, and what the tests themselves set.
NOT_COMPARED = ("ALLOWED_HOSTS", "CHAT_RATE", "DEBUG", "WEB_CONCURRENCY")


def test_every_setting_is_in_the_readme_and_in_the_example():
    table = README.partition("## Settings")[2].partition("\n## ")[0]
    told = set(re.findall(r"^\| `([A-Z_]+)`", table, re.MULTILINE))

    assert told == READ
    assert set(SETTINGS) == READ


def test_defaults_in_the_example_are_the_real_ones(settings):
    for line in (CHECKOUT / ".env.example").read_text().splitlines():
        name, _, value = line.partition("=")
        if value and not line.startswith("#") and name not in NOT_COMPARED:
            assert str(getattr(settings, name)).removesuffix(".0") == value, name


def test_every_make_target_is_told_and_exists():
    targets = set(re.findall(r"^([a-z-]+):.*##", MAKEFILE, re.MULTILINE))
    told = set(re.findall(r"`make ([a-z-]+)`", README))

    assert told == targets - {"help"}


def test_every_command_in_the_readme_exists():
    from django.core.management import get_commands

    told = set(re.findall(r"manage\.py ([a-z_]+)", README))

    assert told
    assert told <= get_commands().keys()


def test_every_dependency_has_its_line():
    import tomllib

    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    wanted = project["project"]["dependencies"]
    wanted = wanted + project["project"]["optional-dependencies"]["embedded"]
    wanted = wanted + project["dependency-groups"]["dev"]

    for requirement in wanted:
        name = re.match(r"[\w-]+", requirement).group()
        assert f"`{name}`" in README, name


def test_nothing_names_an_address_to_download_from():
    for file in (CHECKOUT / "requirements").iterdir():
        assert "://" not in file.read_text()
    assert '"resolved"' not in (CHECKOUT / "package-lock.json").read_text()


@pytest.mark.skipif(not NODE, reason="node is missing")
def test_the_example_of_a_page_that_reads_a_stream_works(server, model):
    model.says(Reply("One two three."), Reply("One two.", cut=1))
    (example,) = re.findall(r"```js\n(async function\* stream.*?)```", README, re.DOTALL)
    script = f"""
        const API = {json.dumps(server.base_url)};
        {example}
        for await (const words of stream("What?")) console.log(words);
        try {{ for await (const words of stream("And?")) console.log(words); }}
        catch (error) {{ console.log(error.message); }}
        try {{ for await (const words of stream("")) console.log(words); }}
        catch (error) {{ console.log(error.message); }}
    """

    run = subprocess.run(
        [NODE, "--input-type=module", "--eval", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    *said, failed, refused = run.stdout.splitlines()
    assert "".join(said) == "One two three.One "
    assert failed == "The language model could not answer just now; please try again."
    assert refused == "Your question must not be empty."
