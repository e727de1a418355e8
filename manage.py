#!/usr/bin/env python
"""What operators run: `python manage.py COMMAND`."""

import os
import sys

INTERRUPTED = 130

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatbackend.settings")
    try:
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
