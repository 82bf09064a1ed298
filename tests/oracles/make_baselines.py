"""Writes baselines/*.safetensors: networks of whole scans in PyTorch, written from their descriptions, and one step of training.

Pins: python 3.11, torch 2.13.0, numpy 2.4.6, safetensors 0.8.0, on a CPU. Run from anywhere:

    python -m venv venv && venv/bin/pip install torch==2.13.0 numpy==2.4.6 safetensors==0.8.0
    venv/bin/python tests/oracles/make_baselines.py

Scans and starting weights are too large to be shipped; both sides make them by `det_input` of bigbigan/oracle.py. Everything is
computed in float64 and rounded. Dropout is 0: random numbers differ. A file has the logits with stored and with batch statistics,
the loss, every gradient, the running statistics after the step, the weights after a step of Adam, how many numbers PyTorch keeps of
one scan for its gradients, and how far all gradients together are off under PyTorch's own bfloat16 autocast.
"""

import copy
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "bigbigan"))
from oracle import det_input  # noqa: E402

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
OUT = HERE / "baselines"
LABELS = torch.tensor([0, 1, 1])
WEIGHTS = torch.tensor([0.7, 1.6, 0.4])
LEARNING_RATE = 1e-3


class Pu(nn.Module):
    """Levels of convolution, batch norm, ReLU and max pooling, then fully connected layers; Pu et al. 2020."""

    class Level(nn.Module):
        def __init__(self, inputs, filters, convolutions):
            super().__init__()
            widths = [inputs] + convolutions * [filters]
            self.conv = nn.ModuleList(
                nn.Conv3d(a, b, kernel_size=3, padding=1, bias=False) for a, b in zip(widths, widths[1:])
            )
            self.norm = nn.ModuleList(nn.BatchNorm3d(filters) for _ in range(convolutions))

        def forward(self, x):
            for conv, norm in zip(self.conv, self.norm):
                x = torch.relu(norm(conv(x)))
            return nn.functional.max_pool3d(x, 2)

    def __init__(self, size, filters, convolutions, fully_connected):
        super().__init__()
        channels = [1] + filters
        self.levels = nn.Sequential(*(self.Level(a, b, convolutions) for a, b in zip(channels, channels[1:])))
        positions = np.prod([length // 2 ** len(filters) for length in size])
        widths = [int(positions) * filters[-1]] + fully_connected
        self.fc = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:]))
        self.out = nn.Linear(widths[-1], 2)

    def forward(self, x):
        x = torch.flatten(self.levels(x), 1)
        for layer in self.fc:
            x = torch.relu(layer(x))
        return self.out(x)


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv3d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(outputs)
        self.conv2 = nn.Conv3d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm3d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs)
            )

    def forward(self, x):
        out = torch.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return torch.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNet3d(nn.Module):
    """ResNet-18 of 3D convolutions, Hara et al. 2018, with the layout of torchvision's `resnet18`."""

    def __init__(self, width):
        super().__init__()
        self.conv1 = nn.Conv3d(1, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        inputs = width
        for stage in range(4):
            outputs = width * 2**stage
            blocks = [BasicBlock(inputs, outputs, 1 if stage == 0 else 2), BasicBlock(outputs, outputs, 1)]
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
            inputs = outputs
        self.fc = nn.Linear(inputs, 2)

    def forward(self, x):
        x = nn.functional.max_pool3d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in range(1, 4):
            x = getattr(self, f"layer{stage}")(x)
        # Over axes of 1 or 2 positions oneDNN's gradients in bfloat16 hold memory that was never written.
        with torch.autocast("cpu", enabled=False):
            x = self.layer4(x.to(self.fc.weight.dtype))
        return self.fc(x.mean((2, 3, 4)))


def start(name, shape):
    leaf = name.rsplit(".", 1)[-1]
    if len(shape) > 1:
        return det_input(name, shape, (6.0 / np.prod(shape[1:])) ** 0.5)
    if leaf == "running_var":
        return det_input(name, shape, 0.5) + 1.0
    # Scales of batch norms are of both signs.
    return det_input(name, shape, 1.5 if leaf == "weight" else 0.3)


def kept(module, x):
    """Numbers of 32 bits that autograd keeps, without parameters, buffers and what goes in."""
    known = {t.data_ptr() for t in [x, *module.parameters(), *module.buffers()]}
    seen = {}

    def note(t):
        storage = t.untyped_storage()
        if storage.data_ptr() not in known:
            seen[storage.data_ptr()] = storage.nbytes() // t.element_size() * (2 if t.dtype == torch.int64 else 1)
        return t

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        logits = module(x)
    del logits
    return sum(seen.values())


def weighted(logits):
    losses = nn.functional.cross_entropy(logits, LABELS, reduction="none")
    return (losses * WEIGHTS).sum() / WEIGHTS.sum()


def gradients(module):
    return torch.cat([p.grad.double().flatten() for p in module.parameters()])


def write(kind, module, size):
    state = module.state_dict()
    with torch.no_grad():
        for name, t in state.items():
            if not name.endswith("num_batches_tracked"):
                t.copy_(start(name, tuple(t.shape)))
    x = det_input("scans", (len(LABELS), 1, *size)).double()

    module.eval()
    out = {"logits.stored": module(x)}
    module.train()
    both, one = (kept(copy.deepcopy(module), x[:scans]) for scans in (2, 1))
    out["kept"] = torch.tensor(float(both - one))
    half = copy.deepcopy(module).float()
    with torch.autocast("cpu", torch.bfloat16):
        logits = half(x.float())
    weighted(logits.double()).backward()
    optimiser = torch.optim.Adam(module.parameters(), lr=LEARNING_RATE)
    logits = module(x)
    loss = weighted(logits)
    loss.backward()
    exact = gradients(module)
    out["autocast.gradient"] = (gradients(half) - exact).norm() / exact.norm()
    out |= {"logits.batch": logits, "loss": loss}
    out |= {f"gradient.{name}": p.grad.clone() for name, p in module.named_parameters()}
    optimiser.step()
    out |= {f"after.{name}": t for name, t in state.items() if not name.endswith("num_batches_tracked")}
    OUT.mkdir(exist_ok=True)
    tensors = {name: t.detach().float().contiguous().clone() for name, t in out.items()}
    save_file(tensors, OUT / f"{kind}.safetensors")
    print(kind, out["logits.batch"].tolist(), loss.item(), out["kept"].item(), out["autocast.gradient"].item())


write("pu", Pu((12, 16, 20), [4, 6], 1, [16, 12]), (12, 16, 20))
write("pu-odd", Pu((13, 15, 22), [3, 5], 2, []), (13, 15, 22))
write("resnet3d", ResNet3d(2), (36, 33, 40))
# What src/baseline/resnet3d.rs expects.
print("resnet3d-18 has", sum(p.numel() for p in ResNet3d(64).parameters()), "parameters")
