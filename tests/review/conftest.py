import pytest
from django.contrib.auth.models import User
from django.test import Client


@pytest.fixture
def staff(db):
    """A superuser's client."""
    client = Client()
    client.force_login(User.objects.create_superuser("ann", password=None))
    return client
