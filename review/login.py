"""The log-in of staff: guesses are limited and logged, and it may ask for a second factor."""

from typing import Any

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from loguru import logger

from chat.api.client import address_of_request, client_of_request
from review import login_limits, second_factor

# The same for each reason, so that nobody learns that a password was right.
SENTENCE = (
    "Please enter the correct username and password for a staff account and, if you have set up a "
    "second factor, its current code. Username and password may be case-sensitive."
)


class LogInForm(AdminAuthenticationForm):
    code = forms.CharField(
        required=False,
        max_length=20,
        help_text="Of your authenticator app. Leave it empty if you have set up no second factor.",
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code"}),
    )
    request: HttpRequest
    retry_after: int | None = None  # seconds, after too many failures

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if second_factor.is_on():
            self.error_messages = self.error_messages | {"invalid_login": SENTENCE}
        else:
            del self.fields["code"]

    def clean(self) -> dict[str, Any]:
        username = self.cleaned_data.get("username")
        if not (username and self.cleaned_data.get("password")):
            return super().clean()
        client = client_of_request(self.request)
        self.retry_after = login_limits.retry_after(client, username)
        if self.retry_after:
            self.log("refused", username)
            minutes = -(-self.retry_after // 60)
            plural = "s" if minutes > 1 else ""
            raise ValidationError(
                f"Too many log-ins have failed. Please try again in {minutes} minute{plural}."
            )
        try:
            cleaned = super().clean()
            self.verify_code()
        except ValidationError:
            login_limits.count_failure(client, username)
            self.log("failed", username)
            raise
        login_limits.forget_failures(client, username)
        return cleaned

    def verify_code(self) -> None:
        user = self.get_user()
        if user is None or not (second_factor.is_on() and second_factor.has_device(user)):
            return
        device = second_factor.verify(user, self.cleaned_data["code"])
        if device is None:
            raise self.get_invalid_login_error()
        setattr(user, "otp_device", device)  # noqa: B010 - django-otp finds it there at the log-in

    def log(self, outcome: str, username: str) -> None:
        """A line for fail2ban (docs/deploy.md). It has only names that exist: people enter their
        password in the wrong field.
        """
        known = User.objects.filter(username=username).exists()
        address = address_of_request(self.request) or "an unknown address"
        logger.bind(account=username if known else None).warning(f"Log-in {outcome} from {address}")
