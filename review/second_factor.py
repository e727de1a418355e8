"""A second factor for staff: the codes of an authenticator app (TOTP), by django-otp.

STAFF_SECOND_FACTOR says whether it is `off`, `optional` (whoever has set it up needs it) or
`required` (staff without one can only set it up).
"""

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.db import transaction
from django.http import HttpRequest
from django_otp import DEVICE_ID_SESSION_KEY
from django_otp.models import Device
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from django_otp.util import random_hex

type AnyUser = User | AnonymousUser

KEY = "second_factor_key"  # of the session, while it is being set up
VERIFIED = "_second_factor_device"  # of the request


def is_on() -> bool:
    return settings.STAFF_SECOND_FACTOR != "off"


def has_device(user: AnyUser) -> bool:
    """Whether an authenticator app was set up. Backup codes alone are no second factor."""
    if not user.is_authenticated:
        return False
    return bool(TOTPDevice.objects.devices_for_user(user, confirmed=True).exists())


def is_satisfied(request: HttpRequest) -> bool:
    """Whether the session may go on without a code."""
    if not is_on() or is_verified(request):
        return True
    return settings.STAFF_SECOND_FACTOR == "optional" and not has_device(request.user)


def must_be_set_up(request: HttpRequest) -> bool:
    """Whether the user has no second factor but needs one."""
    return (
        settings.STAFF_SECOND_FACTOR == "required"
        and request.user.is_active
        and request.user.is_staff
        and not has_device(request.user)
    )


def is_verified(request: HttpRequest) -> bool:
    """Whether a code was entered in this session, of a device that its user still has."""
    return _verified_device(request) is not None


def came_with_backup_code(request: HttpRequest) -> bool:
    """Whether this session's code was a backup code: its user may have lost the app."""
    return isinstance(_verified_device(request), StaticDevice)


def _verified_device(request: HttpRequest) -> Device | None:
    """Looked up once for each request."""
    if not hasattr(request, VERIFIED):
        device = Device.from_persistent_id(request.session.get(DEVICE_ID_SESSION_KEY) or "/")
        is_ours = device is not None and device.user_id == request.user.pk and device.confirmed
        setattr(request, VERIFIED, device if is_ours else None)
    found: Device | None = getattr(request, VERIFIED)
    return found


def verify(user: AnyUser, code: str) -> Device | None:
    """The user's device that this code is of. Six digits are the app's, anything else is a backup
    code; so a failed attempt counts for one device only.
    """
    code = code.replace(" ", "").lower()
    is_of_app = len(code) == 6 and code.isascii() and code.isdigit()
    devices = TOTPDevice.objects if is_of_app else StaticDevice.objects
    with transaction.atomic():
        for device in devices.devices_for_user(user, confirmed=True).select_for_update():
            if device.verify_token(code):
                return device
    return None


def new_device(request: HttpRequest) -> TOTPDevice:
    """A device to be set up, not stored yet; its key stays the same for the session."""
    key = request.session.setdefault(KEY, random_hex(20))
    return TOTPDevice(user=request.user, name="Authenticator app", key=key)


def set_up(request: HttpRequest, code: str) -> bool:
    """Store the device if the code is its; the session then counts as verified."""
    device = new_device(request)
    with transaction.atomic():
        device.save()
        if not (code.isascii() and device.verify_token(code.replace(" ", ""))):
            transaction.set_rollback(True)
            return False
        # Backup codes made for an earlier device end with it.
        StaticDevice.objects.devices_for_user(request.user).delete()
    del request.session[KEY]
    request.session[DEVICE_ID_SESSION_KEY] = device.persistent_id
    request.session.cycle_key()
    return True


def remove(user: AnyUser) -> None:
    TOTPDevice.objects.devices_for_user(user).delete()
    StaticDevice.objects.devices_for_user(user).delete()
