"""Turns itself into a PostgreSQL program that ends when its owner does. Run as a file with `python -I -S`.

    pg_launcher.py OWNER_PID PROGRAM [ARGUMENT…]

Two things must be set between fork and exec, and a preexec function is not safe in a program with threads:

* the signal that the kernel sends us when the owner's *thread* that started us ends (PR_SET_PDEATHSIG):
  SIGINT, which PostgreSQL takes as a fast shutdown;
* as root, which PostgreSQL refuses, or as a user without a name, which initdb refuses, a user namespace in
  which our id has an ordinary user's number. Files keep their owner on disk, so there is no new system user
  and no chown.

Exits with `LAUNCH_FAILED` and one line on stderr when that is not possible. It imports nothing of tongdai.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import sys
from pathlib import Path

LAUNCH_FAILED = 97
PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
FALLBACK_ID = 1000


def acceptable(user: int) -> bool:
    """Whether PostgreSQL runs as this user, and initdb finds a name for it."""
    try:
        pwd.getpwuid(user)
    except KeyError:
        return False
    return user != 0


def become_ordinary(libc: ctypes.CDLL) -> None:
    """Enters a user namespace that shows the present user as one that PostgreSQL accepts.

    Raises OSError where the kernel or a container's rules forbid user namespaces.
    """
    user, group = os.geteuid(), os.getegid()
    shown = next((entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid != 0), FALLBACK_ID)
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(
            ctypes.get_errno(),
            "user namespaces are forbidden here, and without one PostgreSQL runs neither as root nor as a "
            "user without a name: start tongdai as an ordinary user, or set TONGDAI_DATABASE_URL",
        )
    # Required before gid_map by a process without privileges in the parent namespace (user_namespaces(7)).
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{shown} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{shown} {group} 1")


def die_with(owner: int, libc: ctypes.CDLL) -> None:
    """Asks for SIGINT when the owner ends. Raises OSError when it already has."""
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGINT.value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != owner:
        raise ProcessLookupError(f"the owner {owner} is gone")


def main(arguments: list[str]) -> int:
    owner, program = int(arguments[0]), arguments[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        if not acceptable(os.geteuid()):
            become_ordinary(libc)
        # After the namespace: a change of credentials clears the signal (prctl(2)).
        die_with(owner, libc)
        os.umask(0o077)
        os.execv(program[0], program)  # noqa: S606
    except OSError as error:
        sys.stderr.write(f"{program[0]}: {error}\n")
    return LAUNCH_FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
