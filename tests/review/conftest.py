import pytest
from django.contrib.auth.models import User
from django.test import Client

from chat.models import ChatSession


@pytest.fixture
def only_ours(db):
    """No sessions but those that the test makes."""
    ChatSession.objects.all().delete()


@pytest.fixture
def staff(db):
    """A superuser's client."""
    client = Client()
    client.force_login(User.objects.create_superuser("ann", password=None))
    return client
