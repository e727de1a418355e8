"""DATABASE_URL as services and other libraries give it."""

import psycopg
import pytest

from chatbackend.postgres_url import Unusable, database_settings


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@h:5433/db", {"USER": "u", "PASSWORD": "p", "HOST": "h", "PORT": "5433"}),
        ("postgres://u@h/db", {"USER": "u", "PASSWORD": "", "NAME": "db"}),
        ("postgresql+asyncpg://u:p@h/db", {"USER": "u", "HOST": "h"}),
        ("postgresql://u:p%40ss@h/db", {"PASSWORD": "p@ss"}),
        ("postgresql://u:p@ss/w?rd#%1+x@h/db", {"PASSWORD": "p@ss/w?rd#%1+x", "HOST": "h"}),
        ("postgresql://u%40srv:p@h/db", {"USER": "u@srv"}),
        ("postgresql://:p@h/db", {"USER": "", "PASSWORD": "p"}),
        ("postgresql://u@%2Fvar%2Frun%2Fpostgresql/db", {"HOST": "/var/run/postgresql"}),
        ("postgresql:///db?host=/var/run/postgresql", {"HOST": "/var/run/postgresql"}),
        ("postgres://u:p@//cloudsql/a:b:c/db", {"HOST": "/cloudsql/a:b:c", "NAME": "db"}),
        ("postgresql://u@[2001:db8::1]:5433/db", {"HOST": "2001:db8::1", "PORT": "5433"}),
        ("postgresql://u@a:1,b:2/db", {"HOST": "a,b", "PORT": "1,2"}),
        ("postgresql://u@h/b%C3%BCcher", {"NAME": "bücher"}),
        ("postgresql://u:p@h/db?application_name=a@b", {"PASSWORD": "p", "HOST": "h"}),
    ],
)
def test_an_address_is_read_as_libpq_reads_it(url, expected):
    found, left_out = database_settings(url)

    assert found == found | expected
    assert left_out == []


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("sslmode=require&channel_binding=require", {"sslmode": "require"}),
        ("ssl=true", {"sslmode": "require"}),
        ("ssl=verify-full", {"sslmode": "verify-full"}),
        ("ssl=false&sslmode=require", {"sslmode": "require"}),
        ("options=endpoint%3Dep-x", {"options": "endpoint=ep-x"}),
        ("schema=book", {"options": "-c search_path=book"}),
        ("currentSchema=a,b", {"options": "-c search_path=a,b"}),
        ("schema=my%20book&options=-c%20x.y=1", {"options": r"-c x.y=1 -c search_path=my\ book"}),
        ("connect_timeout=15", {"connect_timeout": "15"}),
    ],
)
def test_an_option_is_libpqs_or_becomes_one(query, options):
    found, left_out = database_settings(f"postgresql://u:p@h/db?{query}")

    assert found["OPTIONS"] == found["OPTIONS"] | options
    assert left_out == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("pgbouncer=true&connection_limit=1", ["connection_limit", "pgbouncer"]),
        ("pool_timeout=10&sslmode=require", ["pool_timeout"]),
        ("conn_max_age=600&CONN_MAX_AGE=600", ["CONN_MAX_AGE", "conn_max_age"]),
        ("statement_cache_size=0&", ["statement_cache_size"]),
        ("client_encoding=latin1", ["client_encoding"]),
        ("replication=database", ["replication"]),
        ("pgbouncer", ["pgbouncer"]),
        ("schema=public", []),
    ],
)
def test_options_of_other_libraries_are_left_out_by_name(query, expected):
    found, left_out = database_settings(f"postgresql://u:p@h/db?{query}")

    assert left_out == expected
    psycopg.conninfo.make_conninfo("", **found["OPTIONS"])  # raises for what libpq does not know


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nonsense", "does not look like"),
        ("mysql://u:hunter2@h/db", "does not look like"),
        ("jdbc:postgresql://h/db?user=u&password=hunter2", "does not look like"),
        ("postgresql://u:hunter2@h", "names no database"),
        ("postgresql://u:hunter2@h/", "names no database"),
        ("postgresql://u:hunter2@h/a%00b", "does not look like"),
        ("postgresql://u:hunter2@h x/db", "does not look like"),
        ("postgresql://u:hunter2@h/" + "d" * 64, "more than 63 bytes"),
        ("postgresql://u:hunter2/db", "port"),
        ("postgresql://u:hunter2@h:70000/db", "port"),
        ("postgresql://u:hunter2@h/db?sslmode=no-verify", "sslmode"),
        ("postgresql://u:hunter2@h/db?sslmode=", "sslmode"),
        ("postgresql://u:hunter2@h/db?ssl=hunter2", "sslmode"),
        ("postgresql://u:hunter2@h/db?channel_binding=maybe", "channel_binding"),
        ("postgresql://u:hunter2@h/db?target_session_attrs=best", "target_session_attrs"),
        ("postgresql://u:hunter2@h/db?connect_timeout=soon", "connect_timeout"),
        ("postgresql://u:hunter2@h/db?keepalives=yes", "keepalives"),
        ("postgresql://u:hunter2@h/db?sslrootcert=system&sslmode=require", "sslrootcert"),
        ("postgresql://u:hunter2@a:1,b:2,c/db?port=1,2", "port"),
        ("postgresql://u:hunter2@h/db?service=nowhere", "service"),
    ],
)
def test_what_cannot_work_is_refused_without_a_secret(url, reason):
    with pytest.raises(Unusable, match=reason) as refused:
        database_settings(url)

    assert "hunter2" not in str(refused.value)


def test_a_schema_is_where_statements_look_for_tables(environment):
    url = environment["DATABASE_URL"]
    found, _ = database_settings(f"{url}{'&' if '?' in url else '?'}schema=pg_catalog")

    names = {"dbname": "NAME", "user": "USER", "host": "HOST", "port": "PORT"}
    params = {name: found[django_name] for name, django_name in names.items()}
    with psycopg.connect(**params, **found["OPTIONS"]) as connection:
        assert connection.execute("SHOW search_path").fetchone() == ("pg_catalog",)
