"""Everything that is generated from the models: `make generate`, checked by `make check`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# The generator runs on a fresh clone, where the package is not installed.
sys.path.insert(0, str(ROOT / "operator"))
