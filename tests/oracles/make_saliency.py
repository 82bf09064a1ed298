"""Writes saliency/*.safetensors: Grad-CAM and occlusion maps of small networks in PyTorch, written from the papers.

Pins: python 3.11, torch 2.13.0, numpy 2.4.6, safetensors 0.8.0, on a CPU. Run from anywhere:

    python -m venv venv && venv/bin/pip install torch==2.13.0 numpy==2.4.6 safetensors==0.8.0
    venv/bin/python tests/oracles/make_saliency.py

Grad-CAM: Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391. Occlusion: Zeiler and Fergus 2014,
https://arxiv.org/abs/1311.2901, with cubes half a side apart. Gradients are those that a backward pass through the whole network
leaves at the maps. Everything is computed in float64 and rounded; a file has the weights, the scan and the maps.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
OUT = Path(__file__).parent / "saliency"
AIR = -1.0
CUBE = 6


class Pu(nn.Module):
    """Levels of convolution, batch norm, ReLU and max pooling, then linear layers."""

    def __init__(self, size, filters, hidden):
        super().__init__()
        channels = [1] + filters
        self.levels = nn.ModuleList()
        for a, b in zip(channels, channels[1:]):
            level = nn.Module()
            level.conv = nn.ModuleList([nn.Conv3d(a, b, 3, padding=1, bias=False)])
            level.norm = nn.ModuleList([nn.BatchNorm3d(b)])
            self.levels.append(level)
        places = 1
        for length in size:
            places *= length // 2 ** len(filters)
        self.fc = nn.ModuleList([nn.Linear(places * filters[-1], hidden)])
        self.out = nn.Linear(hidden, 2)

    def forward(self, x):
        for level in self.levels:
            self.maps = torch.relu(level.norm[0](level.conv[0](x)))
            x = F.max_pool3d(self.maps, 2)
        return self.out(torch.relu(self.fc[0](x.flatten(1))))


class BasicBlock(nn.Module):
    def __init__(self, a, b, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv3d(a, b, 3, stride, 1, bias=False), nn.BatchNorm3d(b)
        self.conv2, self.bn2 = nn.Conv3d(b, b, 3, 1, 1, bias=False), nn.BatchNorm3d(b)
        self.downsample = None
        if stride != 1 or a != b:
            self.downsample = nn.Sequential(nn.Conv3d(a, b, 1, stride, bias=False), nn.BatchNorm3d(b))

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet3d(nn.Module):
    """ResNet-18 of 3D convolutions."""

    def __init__(self, width):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv3d(1, width, 7, 2, 3, bias=False), nn.BatchNorm3d(width)
        a = width
        for stage in range(4):
            b = width * 2**stage
            blocks = nn.Sequential(BasicBlock(a, b, 1 if stage == 0 else 2), BasicBlock(b, b, 1))
            setattr(self, f"layer{stage + 1}", blocks)
            a = b
        self.fc = nn.Linear(a, 2)

    def forward(self, x):
        x = F.max_pool3d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        self.maps = x
        return self.fc(x.mean((2, 3, 4)))


class Slices(nn.Module):
    """As COVNet: a network of slices, the largest of each feature over the scan, one linear layer."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, stride=2, padding=1)
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        n, _, d, h, w = x.shape
        maps = torch.relu(self.conv(x.transpose(1, 2).reshape(n * d, 1, h, w)))
        self.maps = maps.reshape(n, d, *maps.shape[1:]).transpose(1, 2)  # [N, C, d, h, w]
        return self.fc(self.maps.mean((3, 4)).amax(2))


def grad_cam(network, x, places):
    gradients = []
    number = network(x)[0, 1]
    network.maps.register_hook(lambda gradient: gradients.append(gradient))
    number.backward()
    weights = gradients[0].mean(places, keepdim=True)
    heat = torch.relu((weights * network.maps).sum(1, keepdim=True))
    size = x.shape[2:] if places == (2, 3, 4) else (heat.shape[2], *x.shape[3:])
    heat = F.interpolate(heat, size=size, mode="trilinear", align_corners=False)
    return (heat / heat.max())[0, 0]


@torch.no_grad()
def occlusion(network, x):
    def log_odds(x):
        return torch.log_softmax(network(x), 1).diff(dim=1).item()

    size, whole = x.shape[2:], log_odds(x)
    total, covered = torch.zeros(size), torch.zeros(size)
    starts = [sorted({*range(0, length - CUBE, CUBE // 2), length - CUBE}) for length in size]
    for d in starts[0]:
        for h in starts[1]:
            for w in starts[2]:
                part = (slice(d, d + CUBE), slice(h, h + CUBE), slice(w, w + CUBE))
                hidden = x.clone()
                hidden[(0, 0, *part)] = AIR
                total[part] += whole - log_odds(hidden)
                covered[part] += 1
    return total / covered


def scan(size):
    # As scans are stored: whole HU, here in a window from -1024 to 1024.
    hu = torch.randint(-1000, 1000, (1, 1, *size)).double()
    return hu, hu / 1024.0


def write(name, make, size, places, seed):
    torch.manual_seed(seed)
    network = make()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Linear):
                # So that the score depends on the scan by more than the last digits.
                module.weight.mul_(5.0)
            if isinstance(module, nn.BatchNorm3d):
                module.weight.uniform_(-1.5, 1.5)
                module.bias.uniform_(-0.5, 0.5)
                module.running_mean.uniform_(-0.3, 0.3)
                module.running_var.uniform_(0.5, 1.5)
    network.eval()
    hu, x = scan(size)
    out = {f"weights.{key}": t for key, t in network.state_dict().items() if not key.endswith("num_batches_tracked")}
    out |= {"hu": hu[0, 0], "probability": torch.softmax(network(x), 1)[0, 1].reshape(1)}
    out["grad_cam"] = grad_cam(network, x, places)
    if hu.numel() < 10_000:  # the others take too long here, and files would be large
        out["occlusion"] = occlusion(network, x)
    OUT.mkdir(exist_ok=True)
    tensors = {key: t.detach().float().contiguous().clone() for key, t in out.items()}
    save_file(tensors, OUT / f"{name}.safetensors")
    cold = (out["grad_cam"] == 0).double().mean().item()
    print(name, seed, out["probability"].item(), f"cold {cold:.2f}", out.get("occlusion", torch.zeros(1)).aminmax())


SCAN, SLICE = (2, 3, 4), (3, 4)
# Seeds at which some channels speak for the positive class and some against it.
write("pu-a", lambda: Pu((12, 16, 20), [3, 4], 5), (12, 16, 20), SCAN, 4)
write("resnet3d-18", lambda: ResNet3d(2), (33, 20, 20), SCAN, 0)
write("slices", Slices, (7, 10, 12), SLICE, 5)
