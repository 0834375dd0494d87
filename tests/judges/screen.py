"""Runs a program on a terminal until all of some texts have been on it, and prints what it wrote.

screen.py TEXT... -- PROGRAM ARGUMENT...: ends with 1 where a text does not come in time.
"""

import os
import pty
import re
import select
import signal
import sys
import time

# Longer than any program takes; who is ready is not waited for.
PATIENCE_S = 30

at = sys.argv.index("--")
texts, command = sys.argv[1:at], sys.argv[at + 1 :]
pid, terminal = pty.fork()
if pid == 0:
    os.environ.update(TERM="xterm", COLUMNS="160", LINES="50")
    os.execvp(command[0], command)
written = b""
plain = ""
end = time.monotonic() + PATIENCE_S
while time.monotonic() < end and not all(text in plain for text in texts):
    if not select.select([terminal], [], [], 0.1)[0]:
        continue
    try:
        written += os.read(terminal, 65536)
    except OSError:  # the program has ended
        break
    # Without the sequences that move the cursor and set colours.
    plain = re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>78])", " ", written.decode(errors="replace"))
os.kill(pid, signal.SIGTERM)
os.waitpid(pid, 0)
print(plain)
sys.exit(0 if all(text in plain for text in texts) else 1)
