"""The server's settings: one frozen object, read once from the environment.

Every name starts with XQUEUE_. A name that is not known is refused, because a misspelt setting
that is silently ignored shows only when it hurts.

model        what the server uses: `Settings` and its parts
names        every name and what it is for
reading      one value as a number, an address, a secret
secret_key   the key that signs sessions
people       how people sign in to the admin pages
s3           the bucket that uploads are kept in
origins      `scheme://host[:port]`
loading      all of it together
"""

from xqueue_server.settings.loading import MB, load
from xqueue_server.settings.model import (
    LmsOauthSettings,
    MailSecurity,
    MailSettings,
    Mode,
    Network,
    OidcSettings,
    PingOutage,
    S3Settings,
    Settings,
    WorkerSettings,
)
from xqueue_server.settings.names import INJECTED_BY_KUBERNETES, SETTINGS
from xqueue_server.settings.origins import ANY_HTTPS, origin_of

__all__ = [
    "ANY_HTTPS",
    "INJECTED_BY_KUBERNETES",
    "MB",
    "SETTINGS",
    "LmsOauthSettings",
    "MailSecurity",
    "MailSettings",
    "Mode",
    "Network",
    "OidcSettings",
    "PingOutage",
    "S3Settings",
    "Settings",
    "WorkerSettings",
    "load",
    "origin_of",
]
