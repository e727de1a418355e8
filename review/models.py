"""The rows of this app: failed log-ins."""

from django.db import models


class LogInFailures(models.Model):
    """How many log-ins have failed since the window began; see `review.login_limits`."""

    key = models.CharField(
        max_length=64,
        primary_key=True,
        help_text="A digest of a client, or of a client and a user name; never an address.",
    )
    began_at = models.DateTimeField()
    failures = models.PositiveIntegerField()

    class Meta:
        db_table = "review_login_failures"
        default_permissions = ()
        indexes = [models.Index(fields=["began_at"], name="review_login_failures_age")]

    def __str__(self) -> str:
        return f"{self.key[:8]}…: {self.failures}"
