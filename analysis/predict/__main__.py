"""`python -m analysis.predict`."""

from __future__ import annotations

import sys

from analysis.predict.command import main

if __name__ == "__main__":
    sys.exit(main())
