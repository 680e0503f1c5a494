"""Becomes a program that is killed when its owner ends. Run with `-m`: OWNER PROGRAM ARGUMENT…

The kernel keeps what was asked of it for a parent's death over an exec (prctl(2), PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import os
import sys

from tongdai.kit.supervisor import die_with_parent

NOT_HERE = 127
"""Exit status when there is no such program, as shells have it."""


def main() -> int:
    die_with_parent(int(sys.argv[1]))
    try:
        os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606
    except OSError:
        return NOT_HERE


if __name__ == "__main__":
    sys.exit(main())
