"""What makes the generated pages, one module for each kind; they read the wrapper's and the collection's own tables."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "collections")]
