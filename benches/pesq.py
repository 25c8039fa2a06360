"""Scores speech by PESQ (ITU-T P.862, wide band by P.862.2).

Reads lines of `MODE REFERENCE.raw HEARD.raw` (MODE is wb, at 16 kHz, or nb, at 8 kHz; 16-bit little-endian mono) and
prints one score a line, `nan` where no speech is found.
"""

import sys
from concurrent.futures import ProcessPoolExecutor

import numpy
from pesq import PesqError, pesq


def score(line):
    mode, reference, heard = line.split("\t")
    rate = 16000 if mode == "wb" else 8000
    read = lambda path: numpy.fromfile(path, dtype="<i2").astype(numpy.float32) / 32768
    value = pesq(rate, read(reference), read(heard), mode, on_error=PesqError.RETURN_VALUES)
    return value if value > 0 else float("nan")


if __name__ == "__main__":
    lines = [line.rstrip("\n") for line in sys.stdin if line.strip()]
    with ProcessPoolExecutor() as pool:
        for value in pool.map(score, lines):
            print(f"{value:.3f}")
