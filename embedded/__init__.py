"""Stand-ins for a bare machine: PostgreSQL and a small chat model from Python wheels.

Each of the two is a service that the processes of a checkout share. It starts with the first of
them and ends with the last, however that ends: see `service` for the users' side and `keeper` for
the process that supervises it. The rest of the project calls `postgres` and `chat_model`. Never
imported in production.
"""
