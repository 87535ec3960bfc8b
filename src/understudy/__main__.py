"""`python -m understudy` is the command `understudy`."""

from __future__ import annotations

from understudy.cli.start import start

if __name__ == "__main__":
    start()
