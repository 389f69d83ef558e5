"""Whether the library of the Standard Webhooks takes a message: JSON {secret, body, headers} on the
input, {"data": …} or {"error": …} on the output."""

import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

given = json.load(sys.stdin)
try:
    found = {"data": Webhook(given["secret"]).verify(given["body"], given["headers"])}
except WebhookVerificationError as error:
    found = {"error": str(error)}
json.dump(found, sys.stdout)
