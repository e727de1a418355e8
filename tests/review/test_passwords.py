"""Passwords are hashed one at a time, whichever worker hashes them."""

import multiprocessing
import sys
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import contextmanager

import pytest
from django.contrib.auth.hashers import check_password, make_password

from review.passwords import only_one

FORK = multiprocessing.get_context("fork")


def hold(held, over):
    with only_one():
        held.set()
        over.wait(20)


@contextmanager
def another_worker_within():
    """Its process, and the event that lets it go on."""
    held, over = FORK.Event(), FORK.Event()
    other = FORK.Process(target=hold, args=(held, over))
    other.start()
    assert held.wait(20)
    yield other, over
    other.join()


@pytest.mark.skipif(sys.platform != "linux", reason="each process for itself there")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_hash_waits_for_that_of_another_worker():
    with another_worker_within() as (_, over), ThreadPoolExecutor(1) as thread:
        hashing = thread.submit(make_password, "hunter2")
        assert not wait_for([hashing], 0.2).done
        over.set()

        assert check_password("hunter2", hashing.result(20))


@pytest.mark.skipif(sys.platform != "linux", reason="each process for itself there")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_worker_that_is_killed_keeps_nobody_waiting():
    with another_worker_within() as (other, _):
        other.kill()

        assert check_password("hunter2", make_password("hunter2"))
