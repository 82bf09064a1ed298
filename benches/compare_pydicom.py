#!/usr/bin/env python3
"""Reading of CT slices with hounsfield beside pydicom: same files, one core, taking turns.

    pip install pydicom pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg pylibjpeg-rle pyjpegls numpy
    HOUNSFIELD_DATA=... python benches/compare_pydicom.py [--rounds 15]

Reads every file of 512 x 512 in `dicom-ct/inventory.csv` of that folder from its path to Hounsfield units in an array of
f32. Builds `benches/read.rs`, checks that both give the same numbers (what the files call padding left out), and then lets
both read the files of one transfer syntax several times a round, bound to one core. What counts is the ratio within a
round: its median, and the range from the 10th to the 90th percentile; of the time that passed, and of the time on the
processor, which others on the machine disturb less. Then the same with 2, 4, ... threads of hounsfield. Linux only.

pydicom's decoders are pylibjpeg's, and for JPEG-LS the faster of pylibjpeg and CharLS (pyjpegls).
"""

import argparse
import csv
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import warnings

import numpy as np
import pydicom

ROOT = pathlib.Path(__file__).resolve().parent.parent
NAMES = {
    "1.2.840.10008.1.2": "implicit little endian", "1.2.840.10008.1.2.1": "explicit little endian",
    "1.2.840.10008.1.2.5": "RLE", "1.2.840.10008.1.2.4.57": "JPEG lossless", "1.2.840.10008.1.2.4.70": "JPEG lossless, first order",
    "1.2.840.10008.1.2.4.80": "JPEG-LS", "1.2.840.10008.1.2.4.81": "JPEG-LS near-lossless",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 lossless", "1.2.840.10008.1.2.4.91": "JPEG 2000",
}
# What hounsfield makes of padding, which is below it.
AIR = -1024
# Slices a turn: enough that a turn takes some twenty milliseconds.
SLICES = 24


def build(profile):
    """Builds the bench and returns its path."""
    cmd = ["cargo", "bench", "--bench", "read", "--no-run", "--profile", profile, "--message-format", "json-render-diagnostics"]
    out = subprocess.run(cmd, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    made = [json.loads(line).get("executable") for line in out.splitlines() if line.startswith("{")]
    return [path for path in made if path][-1]


class Hounsfield:
    """The bench program, bound to some cores."""

    def __init__(self, binary, cores):
        self.child = subprocess.Popen([binary, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      preexec_fn=lambda: os.sched_setaffinity(0, cores))

    def ask(self, *words):
        self.child.stdin.write(("\t".join(map(str, words)) + "\n").encode())
        self.child.stdin.flush()
        return self.child.stdout.readline()

    def hu(self, path):
        count = int(self.ask("values", path))
        return np.frombuffer(self.child.stdout.read(4 * count), np.float32)

    def seconds(self, paths, threads=1):
        """What passed, and what the first thread was on the processor."""
        return [float(word) for word in self.ask("time", threads, *paths).split()]


def hu(path, plugin):
    """Hounsfield units as the usual lines of Python have them."""
    dataset = pydicom.dcmread(path)
    if plugin:
        dataset.pixel_array_options(decoding_plugin=plugin)
    values = dataset.pixel_array.astype(np.float32)
    values *= np.float32(dataset.RescaleSlope)
    values += np.float32(dataset.RescaleIntercept)
    return values


def seconds(paths, plugin):
    start = time.perf_counter(), time.process_time()
    for path in paths:
        hu(path, plugin)
    return [time.perf_counter() - start[0], time.process_time() - start[1]]


def quantiles(values):
    cuts = statistics.quantiles(values, n=10)
    return statistics.median(values), cuts[0], cuts[-1]


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--rounds", type=int, default=15)
    args.add_argument("--profile", default="bench", help="cargo profile")
    args.add_argument("--binary", help="the bench, already built")
    args = args.parse_args()
    warnings.filterwarnings("ignore", module="pydicom")
    data = pathlib.Path(os.environ["HOUNSFIELD_DATA"]) / "dicom-ct"
    with open(data / "inventory.csv") as file:
        rows = [row for row in csv.DictReader(file) if (row["rows"], row["cols"], row["decode"]) == ("512", "512", "ok")]
    files = {}
    for row in rows:
        files.setdefault(row["transfer_syntax"], []).append(str(data / row["file"]))
    binary = args.binary or build(args.profile)
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])
    ours, wide = Hounsfield(binary, cores[:1]), Hounsfield(binary, cores)

    print(f"pydicom {pydicom.__version__}, {args.rounds} rounds of {SLICES} slices, one core; ms a slice, and ratios of times within a round")
    for syntax, paths in sorted(files.items()):
        encapsulated = syntax.startswith("1.2.840.10008.1.2.4.") or syntax == "1.2.840.10008.1.2.5"
        plugins = ["pylibjpeg", "pyjpegls"] if syntax.endswith((".4.80", ".4.81")) else ["pylibjpeg" if encapsulated else ""]
        for path in paths:
            theirs, mine = hu(path, plugins[0]).ravel(), ours.hu(path)
            real = (theirs >= AIR) | (mine != AIR)
            assert real.mean() > 0.5 and np.array_equal(mine[real], theirs[real]), path
        turn = (paths * SLICES)[:SLICES]
        plugin = min(plugins, key=lambda plugin: min(seconds(turn, plugin)[1] for _ in range(2)))
        ours.seconds(turn)
        times = []
        for number in range(args.rounds):
            # Turn the order round, so that nobody always runs after the same one.
            if number % 2:
                pair = ours.seconds(turn), seconds(turn, plugin)
            else:
                pair = (seconds(turn, plugin), ours.seconds(turn))[::-1]
            times.append(pair)
        print(f"{NAMES.get(syntax, syntax)}, {plugin or 'numpy'}")
        for kind, name in enumerate(["passed", "on the processor"]):
            pairs = [(a[kind], b[kind]) for a, b in times]
            mine, theirs = (statistics.median(column) / SLICES * 1e3 for column in zip(*pairs))
            ratio, low, high = quantiles([b / a for a, b in pairs])
            print(f"    {name:<18} hounsfield {mine:6.2f}  pydicom {theirs:6.2f}  ratio {ratio:5.2f} ({low:.2f} to {high:.2f})")
        threads = 2
        while threads <= len(cores):
            many = turn * threads
            speed = [threads * ours.seconds(turn)[0] / wide.seconds(many, threads)[0] for _ in range(max(args.rounds // 2, 3))]
            ratio, low, high = quantiles(speed)
            print(f"    {threads} threads: {ratio:.2f} x one ({low:.2f} to {high:.2f})")
            threads *= 2
    for program in (ours, wide):
        program.child.stdin.close()
        program.child.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
