"""The encoder of BigBiGAN in PyTorch, for weights of hounsfield: to be read, fine-tuned, built upon. Needs torch and safetensors.

    from bigbigan_encoder import load
    encoder = load("pretrained/bigbigan-ct-tiny")           # a folder with an encoder card, or
    encoder = load("encoder.safetensors")                   # a file of `hounsfield export CARD --safetensors encoder.safetensors`
    z = encoder.eval()(x)["z_mean"]                         # x: [N, 3, S, S] in [-1, 1]

`encoder.eval()` uses the statistics that came with the weights; in `train()` batch norms use the batch's. Which layers mean something
for given weights stands in `encoder.about["layers"]`.

Slices must be prepared as those that the weights were trained on, `encoder.about["preprocess"]`. For `kind = "standard"` that is: CT in
Hounsfield units, v = (HU - (center - width / 2)) / width * 2 - 1, cut at -1 and 1; made square with -1 (`pad`), by its middle square
(`crop`) or as it is (`stretch`); resized to S x S; copied to three planes. What hounsfield itself feeds the network differs from such a
line of numpy by how it resizes: for the same features to the last digit, extract with hounsfield.

Names and arithmetic are those of `src/torch/encoders/` in hounsfield; tests/oracles/check_export.py holds the two together.
"""

import json
import tomllib
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import nn


def pad(x, kernel, stride, mode, value=0.0):
    """Room for a kernel: (kernel - 1) / 2 on every side (`fixed`), or as TensorFlow's SAME, which puts what is odd at the end."""
    sides = []
    for size in (x.shape[3], x.shape[2]):
        total = kernel - 1 if mode == "fixed" else max((-(-size // stride) - 1) * stride + kernel - size, 0)
        sides += [total // 2, total - total // 2]
    return F.pad(x, sides, value=value) if any(sides) else x


class Conv(nn.Conv2d):
    def __init__(self, inputs, outputs, kernel, stride, mode):
        super().__init__(inputs, outputs, kernel, stride, bias=False)
        self.mode = mode

    def forward(self, x):
        return super().forward(pad(x, self.kernel_size[0], self.stride[0], self.mode))


class Bottleneck(nn.Module):
    """BN-ReLU-1x1, BN-ReLU-3x3 (strided), BN-ReLU-1x1, and the ResNet's way around it."""

    def __init__(self, inputs, middle, outputs, stride, net, shortcut):
        super().__init__()
        self.raw = net["shortcut_from"] == "raw"
        norm, mode = partial(nn.BatchNorm2d, eps=net["bn_eps"]), net["padding"]
        self.bn1, self.conv1 = norm(inputs), Conv(inputs, middle, 1, 1, mode)
        self.bn2, self.conv2 = norm(middle), Conv(middle, middle, 3, stride, mode)
        self.bn3, self.conv3 = norm(middle), Conv(middle, outputs, 1, 1, mode)
        self.shortcut = Conv(inputs, outputs, 1, stride, mode) if shortcut else None

    def branch(self, a):
        return self.conv3(F.relu(self.bn3(self.conv2(F.relu(self.bn2(self.conv1(a)))))))

    def forward(self, x):
        a = F.relu(self.bn1(x))
        around = x if self.shortcut is None else self.shortcut(x if self.raw else a)
        return self.branch(a) + around


class Reversible(nn.Module):
    """A RevNet's unit: only one half of the channels changes."""

    def __init__(self, channels, net):
        super().__init__()
        self.f = Bottleneck(channels // 2, channels // 8, channels // 2, 1, net, shortcut=False)

    def forward(self, x):
        x1, x2 = x.chunk(2, 1)
        return torch.cat([x2, x1 + self.f.branch(F.relu(self.f.bn1(x2)))], 1)


class HeadBlock(nn.Module):
    """fc2(relu(fc1(p(x)))) + skip(x); p is a ReLU but in the first block."""

    def __init__(self, inputs, outputs, preactivated):
        super().__init__()
        self.preactivated = preactivated
        self.fc1, self.fc2 = nn.Linear(inputs, outputs), nn.Linear(outputs, outputs)
        self.shortcut = nn.Linear(inputs, outputs) if inputs != outputs else None

    def forward(self, x):
        h = self.fc2(F.relu(self.fc1(F.relu(x) if self.preactivated else x)))
        return h + (x if self.shortcut is None else self.shortcut(x))


class Head(nn.Module):
    def __init__(self, inputs, width, z_dim):
        super().__init__()
        self.blocks = nn.ModuleList([HeadBlock(inputs, width, False), HeadBlock(width, width, True)])
        self.out = nn.Linear(width, 2 * z_dim)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.out(F.relu(x))


class Encoder(nn.Module):
    """`architecture` has family, width, depths, head_dim, z_dim, input_size and the switches; `about` is kept for the reader."""

    def __init__(self, architecture, about=None):
        super().__init__()
        self.net = net = architecture
        self.about = about or {}
        width, resnet = net["width"], net["family"] == "resnet"
        self.stem = nn.Module()
        self.stem.conv = Conv(3, width if resnet else 4 * width, 7, 2, net["padding"])
        self.stages, channels = nn.ModuleList(), width
        for stage, depth in enumerate(net["depths"]):
            units = nn.ModuleList()
            for unit in range(depth):
                middle, stride = width << stage, 2 if unit == 0 and stage > 0 else 1
                if resnet:
                    units.append(Bottleneck(channels, middle, 4 * middle, stride, net, shortcut=channels != 4 * middle))
                    channels = 4 * middle
                else:
                    units.append(Reversible(4 * middle, net))
            self.stages.append(units)
        self.final_bn = nn.BatchNorm2d(32 * width, eps=net["bn_eps"])
        self.crelu_bn = nn.BatchNorm1d(32 * width, eps=net["bn_eps"], affine=False)
        self.head = Head(32 * width, net["head_dim"], net["z_dim"])

    def forward(self, x):
        """`x` [N, 3, S, S] in [-1, 1]; every layer by its name, [N, F]. A draw is z_mean + z_stdev * torch.randn_like(z_mean)."""
        net = self.net
        x = self.stem.conv(x)
        outside = 0.0 if net["pool_pad"] == "zero" else float("-inf")
        x = F.max_pool2d(pad(x, 3, 2, net["padding"], outside), 3, 2)
        for number, stage in enumerate(self.stages):
            if net["family"] == "revnet" and number > 0:
                x = F.avg_pool2d(x, 2)
                x = F.pad(x, (0, 0, 0, 0, x.shape[1] // 2, x.shape[1] // 2))  # the old channels end up in the middle
            for unit in stage:
                x = unit(x)
        x = self.final_bn(x)
        pooled = (F.relu(x) if net["last_relu"] else x).mean((2, 3))
        n = self.crelu_bn(pooled)
        first, second = self.head(pooled).chunk(2, 1)
        mean, spread = (first, second) if net["halves"] == "mean-first" else (second, first)
        return {
            "z_mean": mean,
            "z_stdev": F.softplus(spread),
            "avepool_feat": pooled,
            "bn_crelu_feat": torch.cat([F.relu(n), F.relu(-n)], 1),
        }


def architecture(encoder):
    """The `[encoder]` table of a card, with the sizes that go without saying; cards have every switch written out."""
    if not encoder["kind"].startswith("bigbigan-"):
        raise ValueError(f"the encoder is {encoder['kind']}, only BigBiGAN's are built here: load its weights where they are from")
    family = "resnet" if "resnet" in encoder["kind"] else "revnet"
    full = {"bigbigan-resnet50": 64, "bigbigan-revnet50x4": 256}.get(encoder["kind"])
    sizes = {"width": full, "depths": [3, 4, 6, 3], "z_dim": 120} if full else {}
    # TensorFlow's SAME pool leaves no choice, and cards leave it out.
    return {"family": family, "shortcut_from": "preact", "pool_pad": "neg_inf"} | sizes | encoder | encoder["switches"]


def load(path):
    """An encoder with its weights, from the folder of an encoder card or from an exported file."""
    path, about = Path(path), None
    if path.is_dir():
        about = tomllib.loads((path / "encoder.toml").read_text())
        net, path = architecture(about["encoder"]), path / about["encoder"]["weights"]
    with safe_open(path, "pt") as file:
        if about is None:
            words = (file.metadata() or {}).get("hounsfield.json")
            if words is None:
                raise ValueError("the file does not say what it is: give the folder of its card, or a file of `hounsfield export`")
            about = json.loads(words)
            net = about["architecture"]
        state = {name.removeprefix("encoder."): file.get_tensor(name) for name in file.keys()}
    encoder = Encoder(net, about)
    # PyTorch counts batches beside the statistics; nothing here reads that.
    counters = {name: t for name, t in encoder.state_dict().items() if name.endswith("num_batches_tracked")}
    encoder.load_state_dict(state | counters, strict=True)
    return encoder.eval()
