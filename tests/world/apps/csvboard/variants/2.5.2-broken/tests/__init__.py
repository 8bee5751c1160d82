"""What the developers have in their environment."""

import os
import tempfile

os.environ.setdefault("AUDIT_LOG", os.path.join(tempfile.mkdtemp(prefix="csvboard-"), "audit.log"))
