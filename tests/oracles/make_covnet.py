"""COVNet as a PyTorch program, after Li et al. 2020 (doi:10.1148/radiol.2020200905) and the one sentence that Pu et al. 2020 give it: a
2D ResNet-50 shared over the slices of a scan, the largest of each pooled feature over the scan, one fully connected layer.

    python make_covnet.py        # torch 2.13.0, numpy; writes covnet/covnet.safetensors

The residual network is written out here, in the layout and with the names of torchvision's `resnet50`; two test fixtures of
make_other_encoders.py compare the same layout with torchvision itself. Tensors are filled by the rule of make_other_encoders.py, under
the names that the encoder has (no `trunk.`), and in double precision. Two scans of three slices of 48 x 48, resampled to 64 x 64, grey in
three planes, normalised by ImageNet's mean and deviation. The loss is the cross entropy of the classes 0 and 1.

The last batch norm of each unit is scaled by 0.2 and the inner ones have an offset of 0.7, as gradients of residual networks that are not
trained grow with every unit. They also jump where a ReLU's input changes its sign, and with millions of them rounding alone does that
somewhere: single precision is off by 1e-2 in some tensors of one pair of scans and by 1e-6 in the same tensors of the next. So there are
four pairs, and the best of them counts; a wrong formula would be wrong in all. Even so this program is apart from itself: with
`shift + x * scale` instead of `(x - mean) / std`, in single precision on one thread, 25 of 161 gradients are 1e-4 to 7e-4 off at best, those
of the first stage, and none on two threads.

Of each trained tensor's gradient: its first 32 elements, and its products with two vectors that the same rule makes, which depend on all
of them. Of each running statistic after the step: the same. `kept` is what autograd keeps of one scan. All but that by pair.
"""

import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "bigbigan"))
from oracle import det_fill, det_input, det_signed  # noqa: E402

torch.set_num_threads(1)
# Pairs of scans.
PAIRS = 4
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def fill(name, shape):
    """`fill` of make_other_encoders.py, for the names of a residual network."""
    leaf, parents = name.split(".")[-1], name.split(".")[:-1]
    s = det_signed(name, shape)
    if parents[-2:] == ["downsample", "1"] and leaf == "weight":
        return torch.from_numpy(1.0 + 0.1 * s).float()
    if parents[-2:] == ["downsample", "1"] and leaf == "bias":
        return torch.from_numpy(0.1 * s).float()
    if parents[-1:] in (["bn1"], ["bn2"]) and leaf == "bias" and len(parents) > 1:
        return torch.from_numpy(0.7 + 0.1 * s).float()
    if parents[-1:] == ["bn3"] and leaf == "weight":
        return 0.2 * torch.from_numpy(1.0 + 0.1 * s).float()
    return torch.from_numpy(det_fill(name, shape)).float()


class Bottleneck(nn.Module):
    def __init__(self, inputs, middle, stride):
        super().__init__()
        outputs = 4 * middle
        self.conv1 = nn.Conv2d(inputs, middle, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, middle, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(middle)
        self.conv3 = nn.Conv2d(middle, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        h = F.relu(self.bn1(self.conv1(x)))
        h = F.relu(self.bn2(self.conv2(h)))
        h = self.bn3(self.conv3(h))
        return F.relu(h + (x if self.downsample is None else self.downsample(x)))


class COVNet(nn.Module):
    def __init__(self, side):
        super().__init__()
        self.side = side
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        channels = 64
        for stage, (depth, middle) in enumerate(zip((3, 4, 6, 3), (64, 128, 256, 512))):
            units = []
            for unit in range(depth):
                units.append(Bottleneck(channels, middle, 2 if unit == 0 and stage > 0 else 1))
                channels = 4 * middle
            setattr(self, f"layer{stage + 1}", nn.Sequential(*units))
        self.fc = nn.Linear(channels, 2)

    def forward(self, scans):
        pooled = []
        n, _, d, h, w = scans.shape
        x = scans.permute(0, 2, 1, 3, 4).reshape(n * d, 1, h, w)
        x = F.interpolate(x, size=(self.side, self.side), mode="bilinear", align_corners=False)
        x = (x + 1) / 2
        mean, std = (torch.tensor(v, dtype=x.dtype).view(1, 3, 1, 1) for v in (MEAN, STD))
        x = (x.repeat(1, 3, 1, 1) - mean) / std
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        x = F.adaptive_avg_pool2d(x, 1).flatten(1)
        for scan in x.split(d):
            pooled.append(torch.max(scan, 0, keepdim=True)[0])
        return self.fc(torch.cat(pooled))


def run(dtype, pair):
    model = COVNet(64)
    state = model.state_dict()
    model.load_state_dict({k: t if k.endswith("num_batches_tracked") else fill(k, tuple(t.shape)) for k, t in state.items()})
    model.to(dtype)
    x = det_input(f"input.covnet{pair}", (2, 1, 3, 48, 48), 1.0).to(dtype)
    found = {}
    model.eval()
    with torch.no_grad():
        found["output.score"] = model(x)
    model.train()
    out = model(x)
    found["output.train"] = out.detach()
    loss = F.cross_entropy(out, torch.tensor([0, 1]))
    found["output.loss"] = loss.detach()
    loss.backward()

    def look(name, t):
        flat = t.flatten().double()
        vectors = [det_input(f"{side}.{name}", tuple(flat.shape), 1.0).double() for side in ("left", "right")]
        return torch.cat([flat[:32], torch.stack([flat @ v for v in vectors])])

    for name, p in model.named_parameters():
        found[f"gradient.{name}"] = look(name, p.grad)
    for name, b in model.named_buffers():
        if not name.endswith("num_batches_tracked"):
            found[f"buffer.{name}"] = look(name, b)
    return found


def kept(model, x):
    """Numbers of 32 bits that autograd keeps, without parameters, buffers and what goes in."""
    known = {t.data_ptr() for t in [x, *model.parameters(), *model.buffers()]}
    seen = {}

    def note(t):
        storage = t.untyped_storage()
        if storage.data_ptr() not in known:
            seen[storage.data_ptr()] = storage.nbytes() // t.element_size() * (2 if t.dtype == torch.int64 else 1)
        return t

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        logits = model(x)
    del logits
    return sum(seen.values())


def main():
    pairs = [(run(torch.float64, pair), run(torch.float32, pair)) for pair in range(PAIRS)]
    double, single = ({key: torch.stack([pair[n][key] for pair in pairs]) for key in pairs[0][n]} for n in (0, 1))

    def error(key):
        """In the best of the pairs."""
        return min(float((s.double() - d.double()).abs().max() / d.abs().max()) for s, d in zip(single[key], double[key]))

    info = {"made by": f"torch {torch.__version__}"}
    for part in ("output", "gradient", "buffer"):
        worst = max((key for key in double if key.startswith(part)), key=error)
        info[f"float32 error of {part}, at worst"] = f"{error(worst):.1e} in {worst}"
    model, x = COVNet(64).train(), torch.zeros(2, 1, 3, 48, 48)
    double["kept"] = torch.tensor(float(kept(model, x) - kept(model, x[:1])))
    (HERE / "covnet").mkdir(exist_ok=True)
    path = HERE / "covnet" / "covnet.safetensors"
    save_file({k: t.float().contiguous() for k, t in double.items()}, path, metadata={"info": json.dumps(info)})
    print(path.stat().st_size, json.dumps(info, indent=1))


if __name__ == "__main__":
    main()
