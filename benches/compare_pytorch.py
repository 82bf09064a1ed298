#!/usr/bin/env python3
"""Extraction with hounsfield beside PyTorch eager: same weights, same slices, same machine, taking turns.

    python benches/compare_pytorch.py [--rounds 15] [--profile bench]

Needs torch (the version that hounsfield was built with), numpy and safetensors. Builds `benches/torch.rs`, lets it draw
the weights of a ResNet-50 encoder and make 16 slices of 256 x 256, and then runs one batch of each variant a round, so that a
host that gets slower hits all of them alike. What counts is the median over the rounds of the ratio within a round.

PyTorch's variants: the network in `torch.nn`, inference mode, fp32. "eager" is the memory layout that PyTorch starts with (NCHW);
"eager channels-last" is the better one.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file


class Unit(nn.Module):
    """Pre-activation bottleneck."""

    def __init__(self, cin, mid, stride):
        super().__init__()
        cout = 4 * mid
        self.bn1 = nn.BatchNorm2d(cin, eps=1e-4)
        self.conv1 = nn.Conv2d(cin, mid, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(mid, eps=1e-4)
        self.conv2 = nn.Conv2d(mid, mid, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(mid, eps=1e-4)
        self.conv3 = nn.Conv2d(mid, cout, 1, bias=False)
        self.shortcut = nn.Conv2d(cin, cout, 1, stride, bias=False) if cin != cout else None

    def forward(self, x):
        a = F.relu(self.bn1(x), inplace=True)
        h = F.relu(self.bn2(self.conv1(a)), inplace=True)
        h = F.relu(self.bn3(self.conv2(h)), inplace=True)
        h = self.conv3(h)
        h += x if self.shortcut is None else self.shortcut(a)
        return h


class Block(nn.Module):
    def __init__(self, cin, cout, preact):
        super().__init__()
        self.preact = preact
        self.fc1 = nn.Linear(cin, cout)
        self.fc2 = nn.Linear(cout, cout)
        self.shortcut = nn.Linear(cin, cout) if cin != cout else None

    def forward(self, x):
        h = self.fc2(F.relu(self.fc1(F.relu(x) if self.preact else x)))
        return h + (x if self.shortcut is None else self.shortcut(x))


class Encoder(nn.Module):
    """bigbigan-resnet50 with the default switches; names as in hounsfield's weights files."""

    def __init__(self):
        super().__init__()
        self.stem = nn.ModuleDict({"conv": nn.Conv2d(3, 64, 7, 2, 3, bias=False)})
        self.stages = nn.ModuleList()
        cin = 64
        for s, depth in enumerate((3, 4, 6, 3)):
            units = []
            for i in range(depth):
                units.append(Unit(cin, 64 << s, 2 if i == 0 and s > 0 else 1))
                cin = 256 << s
            self.stages.append(nn.ModuleList(units))
        self.final_bn = nn.BatchNorm2d(2048, eps=1e-4)
        self.crelu_bn = nn.BatchNorm1d(2048, eps=1e-4, affine=False)
        self.head = nn.ModuleDict({
            "blocks": nn.ModuleList([Block(2048, 4096, False), Block(4096, 4096, True)]),
            "out": nn.Linear(4096, 240),
        })

    def forward(self, x):
        x = F.max_pool2d(F.pad(self.stem["conv"](x), (1, 1, 1, 1)), 3, 2)
        for units in self.stages:
            for unit in units:
                x = unit(x)
        a = F.relu(self.final_bn(x), inplace=True).mean([2, 3])
        n = self.crelu_bn(a)
        z = a
        for block in self.head["blocks"]:
            z = block(z)
        return self.head["out"](F.relu(z))[:, :120], torch.cat([F.relu(n), F.relu(-n)], 1)


def build(profile):
    """Builds the bench and returns its path."""
    cmd = ["cargo", "bench", "--features", "torch", "--bench", "torch", "--no-run", "--profile", profile,
           "--message-format", "json-render-diagnostics"]
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # What makes Python find its torch must not make the program find another one.
    env = {k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH", "PYTHONPATH")}
    out = subprocess.run(cmd, cwd=root, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout
    made = [json.loads(line).get("executable") for line in out.splitlines() if line.startswith("{")]
    return [path for path in made if path][-1]


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--rounds", type=int, default=15)
    args.add_argument("--profile", default="bench", help="cargo profile; `dev` compiles less, the work is libtorch's")
    args.add_argument("--threads", type=int, help="of PyTorch; as many as hounsfield uses when left out")
    args = args.parse_args()
    binary = build(args.profile)
    with tempfile.TemporaryDirectory() as folder:
        env = {k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH", "PYTHONPATH")}
        child = subprocess.Popen([binary, "--serve", folder], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 text=True, bufsize=1)
        word, threads = child.stdout.readline().split()
        assert word == "ready"
        torch.set_num_threads(args.threads or int(threads))
        state = load_file(f"{folder}/weights.safetensors")
        x = load_file(f"{folder}/slices.safetensors")["x"]
        ours = load_file(f"{folder}/features.safetensors")
        net = Encoder().eval()
        state = {k.removeprefix("encoder."): v for k, v in state.items()}
        missing, unexpected = net.load_state_dict(state, strict=False)
        assert not unexpected and all(k.endswith("num_batches_tracked") for k in missing), (missing, unexpected)
        last = Encoder().eval()
        last.load_state_dict(net.state_dict())
        last = last.to(memory_format=torch.channels_last)
        x_last = x.contiguous(memory_format=torch.channels_last)

        def hounsfield():
            child.stdin.write("go\n")
            return float(child.stdout.readline())

        def timed(model, x):
            with torch.inference_mode():
                start = time.perf_counter()
                model(x)
                return time.perf_counter() - start

        with torch.inference_mode():
            for name, theirs in zip(("z_mean", "bn_crelu_feat"), net(x)):
                error = float((ours[name] - theirs).abs().max() / theirs.abs().max())
                print(f"{name}: relative difference {error:.1e}")
                assert error < 1e-4
        variants = {"hounsfield": hounsfield, "eager": lambda: timed(net, x),
                    "eager channels-last": lambda: timed(last, x_last)}
        for run in variants.values():
            run()
            run()
        times = {name: [] for name in variants}
        for i in range(args.rounds):
            # Turn the order round, so that nobody always runs after the same one.
            for name in list(variants) if i % 2 == 0 else list(variants)[::-1]:
                times[name].append(variants[name]())
        child.stdin.close()
        child.wait()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, 16 slices, {args.rounds} rounds")
    for name, t in times.items():
        ratio = statistics.median(b / a for a, b in zip(times["hounsfield"], t))
        print(f"{name:<20} min {min(t):.3f} s  median {statistics.median(t):.3f} s  {ratio:.2f} x hounsfield's time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
