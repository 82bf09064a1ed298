#!/usr/bin/env python3
"""A training step of a classifier of whole scans beside PyTorch eager: same weights, same scans, same machine, taking turns.

    python benches/compare_pytorch_volume.py [--side 64 --batch 8] [--precision bf16] [--network 'kind = "resnet3d-18"']

Needs torch (the version that hounsfield was built with), numpy and safetensors. Builds `benches/torch.rs`, lets it draw weights and
scans, and checks that the first step has the same loss and the same norm of the gradient in all variants. Each variant is a process of
its own, and each makes one step a round, so that a host that gets slower hits all of them alike. What counts is the median over the
rounds of the ratio within a round. Memory is the most that a process held, less what it held before it had a network: weights,
optimiser, scans and all activations.

PyTorch's variants are the same network in `torch.nn`, with fused Adam, and autocast for bf16. "eager" is the memory layout that PyTorch
starts with (NCDHW), "eager channels-last" has scans and weights in `torch.channels_last_3d`. hounsfield's step also makes the scans of
voxels in HU, PyTorch's finds them made. Dropout is 0 unless the network says otherwise, since draws differ. Known are pu-a, pu-b, pu-c
and resnet3d-18.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time

# PyTorch's names, and what they add to a variant's.
LAYOUTS = {"contiguous_format": "", "channels_last_3d": " channels-last"}


def networks():
    """The classes; torch is imported by the processes that need it only."""
    import torch
    import torch.nn as nn
    import torch.nn.functional as F

    class Level(nn.Module):
        def __init__(self, cin, filters, convolutions):
            super().__init__()
            widths = [cin] + [filters] * convolutions
            self.conv = nn.ModuleList(nn.Conv3d(a, b, 3, padding=1, bias=False) for a, b in zip(widths, widths[1:]))
            self.norm = nn.ModuleList(nn.BatchNorm3d(filters) for _ in range(convolutions))

        def forward(self, x):
            for conv, norm in zip(self.conv, self.norm):
                x = F.relu(norm(conv(x)), inplace=True)
            return F.max_pool3d(x, 2)

    class Pu(nn.Module):
        def __init__(self, net, side):
            super().__init__()
            filters, widths = net["filters"], net["fully_connected"]
            self.dropout = net["dropout"]
            self.levels = nn.Sequential(*(Level(a, b, net["convolutions"]) for a, b in zip([1] + filters, filters)))
            widths = [filters[-1] * (side >> len(filters)) ** 3] + widths
            self.fc = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:]))
            self.out = nn.Linear(widths[-1], 2)

        def forward(self, x):
            x = self.levels(x).flatten(1)
            for layer in self.fc:
                x = F.dropout(F.relu(layer(x)), self.dropout)
            return self.out(x)

    class Block(nn.Module):
        def __init__(self, cin, cout, stride):
            super().__init__()
            self.conv1 = nn.Conv3d(cin, cout, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm3d(cout)
            self.conv2 = nn.Conv3d(cout, cout, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm3d(cout)
            self.downsample = None
            if stride > 1 or cin != cout:
                self.downsample = nn.Sequential(nn.Conv3d(cin, cout, 1, stride, bias=False), nn.BatchNorm3d(cout))

        def forward(self, x):
            h = F.relu(self.bn1(self.conv1(x)), inplace=True)
            h = self.bn2(self.conv2(h))
            h += x if self.downsample is None else self.downsample(x)
            return F.relu(h, inplace=True)

    class ResNet3d(nn.Module):
        def __init__(self, net, side):
            super().__init__()
            width = net["width"]
            self.conv1 = nn.Conv3d(1, width, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm3d(width)
            cin = width
            for stage in range(4):
                cout = width << stage
                setattr(self, f"layer{stage + 1}", nn.Sequential(Block(cin, cout, 1 + (stage > 0)), Block(cout, cout, 1)))
                cin = cout
            self.fc = nn.Linear(cin, 2)

        def forward(self, x):
            x = F.max_pool3d(F.relu(self.bn1(self.conv1(x)), inplace=True), 3, 2, 1)
            for stage in range(1, 5):
                x = getattr(self, f"layer{stage}")(x)
            return self.fc(x.mean((2, 3, 4)))

    return {"pu-a": Pu, "pu-b": Pu, "pu-c": Pu, "resnet3d-18": ResNet3d}


def resident(field):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(field))


def eager(folder, layout, side, precision, device, threads):
    """A process of PyTorch's: as `serve` of benches/torch/volume.rs."""
    import torch
    from safetensors.torch import load_file

    torch.set_num_threads(threads)
    known = networks()
    own = resident("VmRSS:")
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    with open(f"{folder}/setup.json") as file:
        setup = json.load(file)
    net = setup["network"]
    layout = getattr(torch, layout)
    network = known[net["kind"]](net, side)
    missing, unexpected = network.load_state_dict(load_file(f"{folder}/weights.safetensors"), strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing), (missing, unexpected)
    network.to(device, memory_format=layout).train()
    x = load_file(f"{folder}/inputs.safetensors")["x"].to(device, memory_format=layout)
    classes = torch.tensor(setup["positive"], device=device).long()
    parameters = list(network.parameters())
    adam = torch.optim.Adam(parameters, lr=0.0, fused=True)

    def step():
        adam.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            outputs = network(x)
        loss = torch.nn.functional.cross_entropy(outputs.float(), classes)
        loss.backward()
        adam.step()
        return loss

    loss = float(step().detach())
    norm = float(torch.nn.utils.get_total_norm([p.grad for p in parameters]))
    print(json.dumps({"loss": loss, "grad": norm}), flush=True)
    for line in sys.stdin:
        if line.strip() == "peak":
            print(torch.cuda.max_memory_allocated() if device == "cuda" else resident("VmHWM:") - own, flush=True)
            continue
        start = time.perf_counter()
        step()
        if device == "cuda":
            torch.cuda.synchronize()
        print(time.perf_counter() - start, flush=True)


def tolerance(number, precision):
    """Largest relative difference: half a precision has three digits, and gradients gather the rounding of all layers. PyTorch's own
    layouts are 1.5e-5 apart in the loss of pu-a in 32 bits; hounsfield's is 4e-8 from the contiguous one's."""
    if precision == "bf16":
        return 1e-1 if number == "grad" else 3e-2
    return 1e-2 if number == "grad" else 1e-4


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default='kind = "pu-a"', help="what stands in a recipe's `network = { ... }`")
    parser.add_argument("--side", type=int, default=64, help="voxels along each axis of a scan")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of all variants")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--precision", choices=("float32", "bf16"), default="float32")
    parser.add_argument("--recompute", action="store_true", help="hounsfield computes activations again instead of keeping them")
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=list(LAYOUTS), help="of PyTorch's variants")
    parser.add_argument("--profile", default="bench", help="cargo profile; `dev` compiles less, the work is libtorch's")
    parser.add_argument("--binary", help="the bench, built already")
    parser.add_argument("--eager", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.eager:
        return eager(*args.eager, args.side, args.precision, args.device, args.threads)

    from compare_pytorch import build

    binary = args.binary or build(args.profile)
    network = args.network
    if "pu-" in network and "dropout" not in network:
        network += ", dropout = 0.0"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    with tempfile.TemporaryDirectory() as folder:
        # What makes Python find its torch must not make the program find another one.
        env = {k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH", "PYTHONPATH")}
        sizes = [str(args.side), str(args.batch), args.precision, str(args.recompute).lower(), args.device]
        processes = {"hounsfield": subprocess.Popen(
            [binary, "--serve-volume", str(args.threads), folder, network, *sizes], env=env, **pipes,
        )}
        if processes["hounsfield"].stdout.readline().strip() != "ready":
            sys.exit("hounsfield did not start; its message stands above")
        with open(f"{folder}/setup.json") as file:
            ours = json.load(file)["first"]
        same = ["--side", str(args.side), "--precision", args.precision, "--device", args.device, "--threads", str(args.threads)]
        for layout in args.layouts:
            name = f"eager{LAYOUTS[layout]}"
            processes[name] = subprocess.Popen([sys.executable, __file__, "--eager", folder, layout, *same], **pipes)
            for number, value in json.loads(processes[name].stdout.readline()).items():
                error = abs(value - ours[number]) / max(abs(ours[number]), 1e-2)
                print(f"{name}, first step: {number} {value:.7f}, hounsfield's {ours[number]:.7f}, relative difference {error:.1e}")
                if not error < tolerance(number, args.precision):
                    sys.exit(f"{number} is not hounsfield's: these are not the same step")

    def ask(name, word):
        processes[name].stdin.write(word + "\n")
        processes[name].stdin.flush()
        return float(processes[name].stdout.readline())

    for name in processes:
        ask(name, "go")
    times = {name: [] for name in processes}
    for i in range(args.rounds):
        # Turn the order round, so that nobody always runs after the same one.
        for name in list(processes) if i % 2 == 0 else list(processes)[::-1]:
            times[name].append(ask(name, "go"))
    peaks = {name: ask(name, "peak") for name in processes}
    for process in processes.values():
        process.stdin.close()
        process.wait()

    print(f"{args.network}, {args.batch} scans of {args.side}^3, {args.device}, {args.threads} threads, {args.precision}, {args.rounds} rounds")
    for name, t in times.items():
        ratios = sorted(theirs / ours for ours, theirs in zip(times["hounsfield"], t))
        memory = peaks[name] / peaks["hounsfield"] if peaks["hounsfield"] else math.nan
        print(f"{name:<20} step min {min(t):.3f} s  median {statistics.median(t):.3f} s  {statistics.median(ratios):.2f} x hounsfield's "
              f"time ({ratios[0]:.2f} to {ratios[-1]:.2f})  {peaks[name] / 2**20:6.0f} MiB, {memory:.2f} x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
