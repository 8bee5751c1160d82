"""Writes the event names and API versions that the official SDK knows, as the data of the Stripe server.

    python generate_stripe_names.py ../src/stripe
"""

import pathlib
import sys
from typing import get_args

from stripe.params import WebhookEndpointCreateParams


def literals(hint):
    """All literal strings inside a type, in their order."""
    inner = get_args(hint)
    found = [item for item in inner if isinstance(item, str)]
    return found + [name for item in inner if not isinstance(item, str) for name in literals(item)]


def main(folder):
    hints = WebhookEndpointCreateParams.__annotations__
    names = {"event_names.txt": "enabled_events", "api_versions.txt": "api_version"}
    for file, parameter in names.items():
        (folder / file).write_text("\n".join(literals(hints[parameter])) + "\n")


main(pathlib.Path(sys.argv[1]))
