#!/usr/bin/env python3
"""Cluster bootstrap of two AUCs and their difference: hounsfield beside a loop over scikit-learn's roc_auc_score.

Both have the same 10,000 rows of 1,000 patients. hounsfield's time is that of the bench
`auc-cluster-bootstrap/10k-replicates-1k-patients-10k-rows`, all threads; the loop has one thread, as such loops have,
and its time is measured on fewer replicates and multiplied.

    pip install numpy scikit-learn
    python benches/compare_sklearn.py

Prints the mean time of 10,000 replicates of each and the ratio. Both must give the same areas, and intervals that
differ by less than chance allows.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time

import numpy as np
import sklearn
from sklearn.metrics import roc_auc_score

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
REPLICATES = 10_000


def ours(profile):
    """Runs the bench; returns its areas, its interval and the seconds of one run."""
    cmd = ["cargo", "bench", "--bench", "pure", "--profile", profile, "--", "auc-cluster-bootstrap"]
    out = subprocess.run(cmd, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    numbers = re.search(r"^auc (\S+) (\S+) difference (\S+) (\S+)$", out, re.MULTILINE).groups()
    meta = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    target = json.loads(subprocess.run(meta, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)["target_directory"]
    folder = f"{target}/criterion/auc-cluster-bootstrap/10k-replicates-1k-patients-10k-rows/new"
    with open(f"{folder}/estimates.json") as file:
        seconds = json.load(file)["mean"]["point_estimate"] * 1e-9
    return [float(number) for number in numbers], seconds


def made(rows):
    """The same rows as benches/pure.rs makes."""

    def draw(at):
        z = at.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return ((z ^ (z >> np.uint64(31))) >> np.uint64(32)) / 4294967296.0

    row = np.arange(rows)
    positive = row // 10 % 2 == 0
    scores = [draw(start + row // 10 + 1) + draw(start + (1 << 30) + row + 1) + shift * positive
              for start, shift in [(0, 0.5), (1 << 40, 0.3)]]
    return positive, scores


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--replicates", type=int, default=1000, help="of scikit-learn's loop")
    args.add_argument("--profile", default="bench", help="cargo profile")
    args = args.parse_args()
    (*areas, lower, upper), our_seconds = ours(args.profile)

    positive, scores = made(10_000)
    theirs = [roc_auc_score(positive, score) for score in scores]
    assert np.allclose(areas, theirs, rtol=0, atol=1e-12), (areas, theirs)
    rng = np.random.default_rng(0)
    differences = []
    start = time.perf_counter()
    for _ in range(args.replicates):
        rows = (rng.integers(0, 1000, 1000)[:, None] * 10 + np.arange(10)).ravel()
        a, b = (roc_auc_score(positive[rows], score[rows]) for score in scores)
        differences.append(a - b)
    their_seconds = (time.perf_counter() - start) * REPLICATES / args.replicates

    interval = np.quantile(differences, [0.025, 0.975])
    # An end of 1000 replicates has an error of 0.085 SD, and 5 times that is beyond chance.
    assert np.allclose([lower, upper], interval, rtol=0, atol=0.42 * np.std(differences)), (lower, upper, interval)
    print(f"95 % interval of the difference: {lower:.4f} to {upper:.4f}, "
          f"in the loop {interval[0]:.4f} to {interval[1]:.4f}")
    print(f"hounsfield, {os.cpu_count()} cores: {our_seconds:.3f} s for {REPLICATES} replicates")
    print(f"scikit-learn {sklearn.__version__}, one: {their_seconds:.1f} s ({args.replicates} measured), "
          f"{their_seconds / our_seconds:.0f} x hounsfield's time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
