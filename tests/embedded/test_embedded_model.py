"""The embedded model: on this machine alone, for its key alone, as long as it is used."""

import json
import signal
import urllib.error
import urllib.request

import psutil
import pytest

from embedded import chat_model
from tests.embedded.test_embedded_service import gone, keeper_of, state_of, using


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("model") / ".embedded"


@pytest.fixture
def endpoint(folder):
    yield chat_model.start(folder)
    chat_model.stop(folder)


def complete(endpoint, key):
    body = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 5}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    address = f"{endpoint.base_url}/chat/completions"
    request = urllib.request.Request(address, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def test_it_answers_who_has_the_key_and_refuses_others(endpoint):
    answer = complete(endpoint, endpoint.api_key)
    assert answer["choices"][0]["message"]["content"]
    assert answer["model"] == endpoint.model == "SmolLM2-135M-Instruct"

    with pytest.raises(urllib.error.HTTPError) as refusal:
        complete(endpoint, "guessed")
    refusal.value.close()
    assert refusal.value.code == 401


def test_it_listens_on_this_machine_alone(endpoint, folder):
    pid = json.loads((folder / "chat_model.json").read_text())["pid"]
    listening = psutil.Process(pid).net_connections("tcp")
    assert {each.laddr.ip for each in listening} == {"127.0.0.1"}


def test_its_key_is_on_no_command_line(endpoint, folder):
    pid = json.loads((folder / "chat_model.json").read_text())["pid"]
    for process in (pid, keeper_of(pid)):
        assert endpoint.api_key not in " ".join(psutil.Process(process).cmdline())


def test_a_second_start_gives_the_same_endpoint(endpoint, folder):
    assert chat_model.start(folder) == endpoint


def test_it_is_gone_when_its_user_ends(folder):
    with using(folder, "chat_model") as user:
        pid = state_of(user)["pid"]
        user.stdin.close()
        assert user.wait(20) == 0
        assert gone(pid, 0)


@pytest.mark.parametrize("victim", ["user", "keeper"])
def test_it_is_gone_when_its_user_or_keeper_is_killed(folder, victim):
    with using(folder, "chat_model") as user:
        pid = state_of(user)["pid"]
        keeper = keeper_of(pid)
        psutil.Process(keeper if victim == "keeper" else user.pid).send_signal(signal.SIGKILL)
        assert gone(pid)
        assert gone(keeper)
