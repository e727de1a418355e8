"""Passwords are hashed one at a time, whichever worker hashes them."""

import multiprocessing
import sys
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for

import pytest
from django.contrib.auth.hashers import check_password, make_password

from review.passwords import only_one

FORK = multiprocessing.get_context("fork")


def hold(held, over):
    with only_one():
        held.set()
        over.wait(20)


@pytest.mark.skipif(sys.platform != "linux", reason="each process for itself there")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_hash_waits_for_that_of_another_worker():
    held, over = FORK.Event(), FORK.Event()
    other = FORK.Process(target=hold, args=(held, over))
    other.start()
    assert held.wait(20)
    with ThreadPoolExecutor(1) as thread:
        hashing = thread.submit(make_password, "hunter2")
        assert not wait_for([hashing], 0.2).done
        over.set()

        assert check_password("hunter2", hashing.result(20))
    other.join()


@pytest.mark.skipif(sys.platform != "linux", reason="each process for itself there")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_worker_that_is_killed_keeps_nobody_waiting():
    held, over = FORK.Event(), FORK.Event()
    other = FORK.Process(target=hold, args=(held, over))
    other.start()
    assert held.wait(20)

    other.kill()

    assert check_password("hunter2", make_password("hunter2"))
    other.join()
