"""PostgreSQL and a small language model out of Python wheels: all that a first try needs.

Each of the two is a service that the processes of a checkout share. It starts with the first of
them and ends with the last, however that ends: see `service` for the users' side and `keeper` for
the process that looks after it. `postgres` and `model` are what the rest of the project calls.
"""
