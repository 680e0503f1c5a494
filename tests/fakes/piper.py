"""A stand-in for the program `piper`, as its manual describes `--output_dir`. Run as a program.

A line of text becomes a WAV file of 0.1 s for each word, named by a time, which is then named on standard
error. The line `die` kills it, `hang` hangs it and `nothing` says that a file is there which is not.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
import wave
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--speaker", type=int, default=0)
    told = parser.parse_args()
    if not Path(told.model).is_file():
        raise SystemExit("no such model")
    print("INFO: loaded", file=sys.stderr, flush=True)
    for line in sys.stdin:
        text = line.strip()
        if text == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if text == "hang":
            signal.pause()
        path = Path(told.output_dir) / f"{time.monotonic_ns()}.wav"
        if text != "nothing":
            write(path, len(text.split()), told.speaker)
        print(f"INFO:__main__:Wrote {path}", file=sys.stderr, flush=True)


def write(path: Path, words: int, speaker: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(22050)
        file.writeframes(int(8000 + speaker).to_bytes(2, "little") * (2205 * words))


if __name__ == "__main__":
    main()
