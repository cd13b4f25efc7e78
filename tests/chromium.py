"""A real browser, where the machine has one."""

import shutil

CHROMIUM = shutil.which("chromium")
NO_CHROMIUM = "there is no chromium (Debian: apt-get install chromium)"
