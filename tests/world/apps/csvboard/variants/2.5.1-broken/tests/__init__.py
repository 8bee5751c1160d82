"""What the developers have in their environment."""

import os

os.environ.setdefault("PLACES_KEY", "for tests")
