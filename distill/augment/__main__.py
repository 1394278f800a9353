"""The command as `python -m distill.augment`."""

from __future__ import annotations

import sys

from distill.augment.command import main

if __name__ == "__main__":
    sys.exit(main())
