"""The second factor of staff: off, optional or required."""

import io
import re

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice

pytestmark = pytest.mark.django_db
LOGIN, PAGE, INDEX = "/admin/login/", "/admin/second-factor/", "/admin/"
PASSWORD = "a long pass phrase"


@pytest.fixture(autouse=True)
def ada(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return User.objects.create_superuser("ada", password=PASSWORD)


@pytest.fixture(params=["optional", "required"])
def mode(request, settings):
    settings.STAFF_SECOND_FACTOR = request.param
    return request.param


@pytest.fixture
def optional(settings):
    settings.STAFF_SECOND_FACTOR = "optional"


def logged_in(code="", **form):
    client = Client()
    form = {"username": "ada", "password": PASSWORD, "code": code, "next": INDEX} | form
    client.last = client.post(LOGIN, form)
    return client


def code_of(key, steps=0):
    return f"{totp(bytes.fromhex(key), drift=steps):06d}"


def set_up(client):
    """By its page; returns the key."""
    client.get(PAGE)
    key = client.session["second_factor_key"]
    client.last = client.post(PAGE, {"code": code_of(key, steps=-1)})
    return key


def is_in(client):
    return client.get(INDEX).status_code == 200


def test_it_is_off_by_default(ada):
    TOTPDevice.objects.create(user=ada, name="An old one")

    client = logged_in()

    assert is_in(client)
    assert client.get(PAGE).status_code == 404
    assert "Second factor" not in client.get(INDEX).content.decode()
    assert 'name="code"' not in Client().get(LOGIN).content.decode()


def test_who_has_set_it_up_needs_the_code_from_then_on(mode):
    client = logged_in()
    key = set_up(client)
    assert is_in(client)  # the session that set it up goes on

    for code in ("", "abcdefgh", code_of(key, steps=-9), "\u0661" * 6):
        refused = logged_in(code)
        assert refused.last.status_code == 200
        assert "and, if you have set up a second factor" in refused.last.content.decode()
        assert not is_in(refused)
    TOTPDevice.objects.update(throttling_failure_count=0)
    assert is_in(logged_in(code_of(key)))


def test_a_code_works_once(optional):
    code = code_of(set_up(logged_in()))

    assert is_in(logged_in(code))
    assert not is_in(logged_in(code))


def test_a_right_password_is_not_confirmed_without_the_code(optional):
    set_up(logged_in())

    with_wrong_password = logged_in(password="a guess").last.content.decode()
    with_right_password = logged_in().last.content.decode()

    def sentences(page):
        return re.findall('<p class="errornote">(.*?)</p>', page, re.DOTALL)

    assert sentences(with_wrong_password) == sentences(with_right_password) != []


def test_other_sessions_of_the_user_end_when_it_is_set_up(optional):
    stolen = logged_in()
    assert is_in(stolen)

    set_up(logged_in())

    assert not is_in(stolen)
    assert stolen.get(PAGE).status_code == 302
    assert stolen.get(PAGE).url.startswith(LOGIN)


def test_optional_is_optional(optional):
    assert is_in(logged_in())


def test_required_leads_everyone_without_one_to_set_it_up(settings):
    settings.STAFF_SECOND_FACTOR = "required"
    client = logged_in()

    assert not is_in(client)
    assert client.get(INDEX, follow=True).redirect_chain[-1][0] == PAGE
    assert client.get("/admin/chat/chatsession/").status_code == 302
    assert client.get("/admin/insights/").status_code == 302

    set_up(client)

    assert is_in(client)


def test_a_wrong_code_sets_nothing_up(mode):
    client = logged_in()
    client.get(PAGE)

    answer = client.post(PAGE, {"code": "000000"})

    assert "This is not the current code." in answer.content.decode()
    assert not TOTPDevice.objects.exists()


def test_the_page_shows_a_picture_and_the_key_for_the_app(optional, settings):
    settings.OTP_TOTP_ISSUER = "A Book: of robots"
    page = logged_in().get(PAGE).content.decode()

    assert "<svg" in page
    assert re.search(r"<code>([A-Z2-7]{4} ){7}[A-Z2-7]{4}</code>", page)


def test_it_is_removed_with_a_code_and_not_without(optional, ada):
    client = logged_in()
    key = set_up(client)
    assert "Remove the second factor" in client.get(PAGE).content.decode()

    client.post(PAGE, {"code": "000000"})
    assert TOTPDevice.objects.exists()
    TOTPDevice.objects.update(throttling_failure_count=0)
    client.post(PAGE, {"code": code_of(key)})

    assert not TOTPDevice.objects.exists()
    assert is_in(logged_in())


def test_a_backup_code_of_the_command_works_once_in_the_app_s_place(optional, capsys):
    set_up(logged_in())
    call_command("addstatictoken", "ada")
    code = capsys.readouterr().out.strip()

    assert is_in(logged_in(code.upper()))
    assert not is_in(logged_in(code))
    assert TOTPDevice.objects.get().throttling_failure_count == 0


def test_the_code_of_somebody_else_does_not_count(optional):
    bob = User.objects.create_superuser("bob", password=PASSWORD)
    set_up(logged_in())
    other = TOTPDevice.objects.create(user=bob, name="Bob's")

    assert not is_in(logged_in(code_of(other.key)))


def test_visitors_and_readers_see_no_page_to_set_it_up(mode):
    assert Client().get(PAGE).url.startswith(LOGIN)
    reader = Client()
    reader.force_login(User.objects.create_user("reader"))
    assert reader.get(PAGE).url.startswith(LOGIN)
    assert reader.post(PAGE, {"code": "1"}).url.startswith(LOGIN)


def test_wrong_codes_count_as_failed_log_ins(optional):
    set_up(logged_in())

    statuses = [logged_in("000000").last.status_code for _ in range(6)]

    assert statuses == [200] * 5 + [429]


def backup_code():
    call_command("addstatictoken", "ada", token="abcdefgh", stdout=io.StringIO())
    return "abcdefgh"


def test_backup_codes_alone_are_no_second_factor(optional):
    backup_code()

    assert is_in(logged_in())


def test_whoever_lost_the_app_removes_it_with_one_backup_code(mode):
    set_up(logged_in())
    client = logged_in(backup_code())
    assert is_in(client)

    client.post(PAGE, {})

    assert not TOTPDevice.objects.exists()
    assert set_up(logged_in())
    assert not is_in(logged_in("abcdefgh"))


def test_once_a_superuser_has_removed_it_the_password_is_enough(optional):
    set_up(logged_in())
    backup_code()

    TOTPDevice.objects.all().delete()

    assert is_in(logged_in())
