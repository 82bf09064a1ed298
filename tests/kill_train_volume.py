#!/usr/bin/env python3
"""Kills a training of a volume classifier at random moments, as kill_pretrain.py does that of an encoder. Python's standard library only.

    hounsfield phantoms --scans --out runs/phantom-scans --patients 16 --size 32 --spacing 10
    python3 tests/kill_train_volume.py target/debug/hounsfield RECIPE [--kills 10] [--every 3] [--seed 0] [--set KEY=VALUE ...]

In the end the weights and the scores of all scans must be those of a training that nobody killed, byte for byte.
"""

from kill_pretrain import hammer

if __name__ == "__main__":
    hammer(__doc__, "train-volume", [], ["classifier/weights.safetensors", "predictions.parquet"])
