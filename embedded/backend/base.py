"""Django's PostgreSQL backend, whose server starts with the first connection."""

from functools import cache
from pathlib import Path
from typing import Any

from django.db.backends.postgresql import base
from django.db.utils import OperationalError

from embedded.postgres import Cluster
from embedded.service import NotStarted

cluster = cache(Cluster)  # one for all connections of a process


class DatabaseWrapper(base.DatabaseWrapper):
    """Reads `EMBEDDED_FOLDER`, which `postgres.database_settings` writes."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        try:
            cluster(Path(self.settings_dict["EMBEDDED_FOLDER"])).start()
        except NotStarted as error:
            raise OperationalError(str(error)) from error
        return super().get_new_connection(conn_params)
