#!/usr/bin/env python3
"""A training step of hounsfield beside PyTorch eager: same weights, same batches, same machine, taking turns.

    python benches/compare_pytorch_train.py [--recipe pretrained/bigbigan-ct-tiny/pretrain.toml] [--set train.batch=4]

Needs torch (the version that hounsfield was built with), numpy and safetensors. Builds `benches/torch.rs`, lets it
draw the weights and the batches of a recipe, and checks that the first step has the same losses and norms of gradients
in all variants. Then each makes one step a round, so that a host that gets slower hits all of them alike. What counts
is the median over the rounds of the ratio within a round. Loading and augmenting slices is in none of them.

PyTorch's variants are the same step in `torch.nn` and `torch.optim`: fused Adam, one pass of the discriminator over
both kinds of pairs, its parameters frozen while encoder and generator learn, averages by `torch._foreach_lerp_`.
"eager" is the memory layout that PyTorch starts with (NCHW), "eager channels-last" the better one. `--set` changes
keys of the recipe for all variants; the cohort is not read. Known are recipes with a ResNet encoder that has its batch
norms in training, without clipping.
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

from compare_pytorch import build

# PyTorch's names, and what they add to a variant's.
LAYOUTS = {"contiguous_format": "", "channels_last": " channels-last"}

# Learning rates rise from nothing for ever, so that the weights stay what they are. Moved ones could not be compared:
# Adam's first step without memory is the sign of the gradient, which rounding turns where there is next to none.
STANDING = "method.schedule={ kind = 'warmup', steps = 1000000000000 }"


def norm(weight, u):
    """Spectral norm of a weight, and its left singular vector one power iteration on from `u`."""
    matrix = weight.flatten(1)
    with torch.no_grad():
        v = F.normalize(matrix.t() @ u, dim=0, eps=1e-4)
        u = F.normalize(matrix @ v, dim=0, eps=1e-4)
    return u @ (matrix @ v), u


class SpectralConv(nn.Conv2d):
    def __init__(self, cin, cout, kernel, bias=True):
        super().__init__(cin, cout, kernel, padding=kernel // 2, bias=bias)
        self.register_buffer("u", torch.empty(cout))

    def forward(self, x):
        sigma, _ = norm(self.weight, self.u)
        return F.conv2d(x, self.weight / sigma, self.bias, padding=self.padding)


class SpectralLinear(nn.Linear):
    def __init__(self, cin, cout, bias=True):
        super().__init__(cin, cout, bias=bias)
        self.register_buffer("u", torch.empty(cout))

    def forward(self, x):
        sigma, _ = norm(self.weight, self.u)
        return F.linear(x, self.weight / sigma, self.bias)


@torch.no_grad()
def advance(*networks):
    """Stores one power iteration of every spectral norm."""
    for network in networks:
        for layer in network.modules():
            if isinstance(layer, (SpectralConv, SpectralLinear)):
                layer.u.copy_(norm(layer.weight, layer.u)[1])


class MlpBlock(nn.Module):
    def __init__(self, linear, cin, cout, preactivated):
        super().__init__()
        self.preactivated = preactivated
        self.fc1 = linear(cin, cout)
        self.fc2 = linear(cout, cout)
        self.shortcut = linear(cin, cout) if cin != cout else None

    def forward(self, x):
        h = self.fc2(F.relu(self.fc1(F.relu(x) if self.preactivated else x)))
        return h + (x if self.shortcut is None else self.shortcut(x))


class Mlp(nn.Module):
    def __init__(self, linear, cin, width, blocks):
        super().__init__()
        self.blocks = nn.ModuleList(MlpBlock(linear, width if i else cin, width, i > 0) for i in range(blocks))

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return F.relu(x)


class Unit(nn.Module):
    """Pre-activation bottleneck of the encoder."""

    def __init__(self, cin, mid, stride, eps):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(cin, eps)
        self.conv1 = nn.Conv2d(cin, mid, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(mid, eps)
        self.conv2 = nn.Conv2d(mid, mid, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(mid, eps)
        self.conv3 = nn.Conv2d(mid, 4 * mid, 1, bias=False)
        self.shortcut = nn.Conv2d(cin, 4 * mid, 1, stride, bias=False) if cin != 4 * mid or stride > 1 else None

    def forward(self, x):
        a = F.relu(self.bn1(x), inplace=True)
        h = F.relu(self.bn2(self.conv1(a)), inplace=True)
        h = F.relu(self.bn3(self.conv2(h)), inplace=True)
        return self.conv3(h) + (x if self.shortcut is None else self.shortcut(a))


class Encoder(nn.Module):
    """From `[N, 3, S, S]` to mean and standard deviation of the latent vector."""

    def __init__(self, net):
        super().__init__()
        width, eps = net["width"], net["bn_eps"]
        self.stem = nn.ModuleDict({"conv": nn.Conv2d(3, width, 7, 2, 3, bias=False)})
        self.stages = nn.ModuleList()
        cin = width
        for s, depth in enumerate(net["depths"]):
            units = []
            for i in range(depth):
                units.append(Unit(cin, width << s, 2 if i == 0 and s > 0 else 1, eps))
                cin = 4 * (width << s)
            self.stages.append(nn.ModuleList(units))
        self.final_bn = nn.BatchNorm2d(cin, eps)
        # Its features are not trained on.
        self.crelu_bn = nn.BatchNorm1d(cin, eps, affine=False)
        self.head = nn.Module()
        self.head.blocks = Mlp(nn.Linear, cin, net["head_dim"], 2).blocks
        self.head.out = nn.Linear(net["head_dim"], 2 * net["z_dim"])

    def forward(self, x):
        x = F.max_pool2d(F.pad(self.stem["conv"](x), (1, 1, 1, 1)), 3, 2)
        for units in self.stages:
            for unit in units:
                x = unit(x)
        x = F.relu(self.final_bn(x), inplace=True).mean([2, 3])
        for block in self.head.blocks:
            x = block(x)
        mean, deviation = self.head.out(F.relu(x)).chunk(2, 1)
        return mean, F.softplus(deviation)


class ConditionalBatchNorm(nn.Module):
    def __init__(self, channels, condition):
        super().__init__()
        self.gain = SpectralLinear(condition, channels, bias=False)
        self.bias = SpectralLinear(condition, channels, bias=False)
        self.register_buffer("running_mean", torch.empty(channels))
        self.register_buffer("running_var", torch.empty(channels))

    def forward(self, x, condition):
        x = F.batch_norm(x, self.running_mean, self.running_var, training=True, eps=1e-4)
        return x * (1 + self.gain(condition))[:, :, None, None] + self.bias(condition)[:, :, None, None]


class Attention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.theta = SpectralConv(channels, channels // 8, 1, bias=False)
        self.phi = SpectralConv(channels, channels // 8, 1, bias=False)
        self.g = SpectralConv(channels, channels // 2, 1, bias=False)
        self.o = SpectralConv(channels // 2, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.empty(1))

    def forward(self, x):
        n, channels, height, width = x.shape
        query = self.theta(x).flatten(2)
        key = F.max_pool2d(self.phi(x), 2).flatten(2)
        value = F.max_pool2d(self.g(x), 2).flatten(2)
        weights = torch.softmax(torch.bmm(query.transpose(1, 2), key), -1)
        attended = torch.bmm(value, weights.transpose(1, 2)).view(n, channels // 2, height, width)
        return x + self.gamma * self.o(attended)


class GeneratorBlock(nn.Module):
    def __init__(self, cin, cout, condition):
        super().__init__()
        self.bn1 = ConditionalBatchNorm(cin, condition)
        self.conv1 = SpectralConv(cin, cout, 3)
        self.bn2 = ConditionalBatchNorm(cout, condition)
        self.conv2 = SpectralConv(cout, cout, 3)
        self.shortcut = SpectralConv(cin, cout, 1)

    def forward(self, x, condition):
        h = F.interpolate(F.relu(self.bn1(x, condition), inplace=True), scale_factor=2)
        h = self.conv2(F.relu(self.bn2(self.conv1(h), condition), inplace=True))
        return h + self.shortcut(F.interpolate(x, scale_factor=2))


class Generator(nn.Module):
    def __init__(self, net, z_dim):
        super().__init__()
        channels = [m * net["width"] for m in net["multipliers"]]
        self.chunk = z_dim // len(channels)
        self.attention_after = net["attention_after"]
        condition = self.chunk + net["shared_dim"]
        self.shared = nn.Module()
        self.shared.weight = nn.Parameter(torch.empty(net["shared_dim"]))
        self.linear = SpectralLinear(self.chunk, channels[0] * 16)
        pairs = zip(channels, channels[1:])
        self.blocks = nn.ModuleList(GeneratorBlock(cin, cout, condition) for cin, cout in pairs)
        self.attention = Attention(channels[self.attention_after + 1])
        self.out_bn = nn.BatchNorm2d(channels[-1], 1e-4)
        self.out_conv = SpectralConv(channels[-1], net["planes"], 3)

    def forward(self, z):
        first, *parts = z.split(self.chunk, 1)
        shared = self.shared.weight.expand(len(z), -1)
        h = self.linear(first).view(len(z), -1, 4, 4)
        for i, (block, part) in enumerate(zip(self.blocks, parts)):
            h = block(h, torch.cat([part, shared], 1))
            if i == self.attention_after:
                h = self.attention(h)
        image = torch.tanh(self.out_conv(F.relu(self.out_bn(h), inplace=True)))
        return image.expand(-1, 3, -1, -1)


class DiscriminatorBlock(nn.Module):
    def __init__(self, cin, cout, first, last):
        super().__init__()
        self.first, self.last = first, last
        self.conv1 = SpectralConv(cin, cout, 3)
        self.conv2 = SpectralConv(cout, cout, 3)
        self.shortcut = SpectralConv(cin, cout, 1) if cin != cout or not last else None

    def forward(self, x):
        h = self.conv1(x if self.first else F.relu(x))
        h = self.conv2(F.relu(h, inplace=True))
        skip = x if self.shortcut is None else self.shortcut(x)
        return h + skip if self.last else F.avg_pool2d(h + skip, 2)


class Discriminator(nn.Module):
    def __init__(self, net, z_dim):
        super().__init__()
        channels = [3] + [m * net["width"] for m in net["multipliers"]]
        last = len(channels) - 2
        blocks = [DiscriminatorBlock(channels[i], channels[i + 1], i == 0, i == last) for i in range(last + 1)]
        self.attention_after = net["attention_after"]
        self.f = nn.Module()
        self.f.blocks = nn.ModuleList(blocks)
        self.f.attention = Attention(channels[self.attention_after + 1])
        self.h = Mlp(SpectralLinear, z_dim, net["mlp_dim"], net["mlp_blocks"])
        self.j = Mlp(SpectralLinear, channels[-1] + net["mlp_dim"], net["mlp_dim"], net["mlp_blocks"])
        self.score_x = SpectralLinear(channels[-1], 1)
        self.score_z = SpectralLinear(net["mlp_dim"], 1)
        self.score_xz = SpectralLinear(net["mlp_dim"], 1)

    def forward(self, x, z):
        """The three scores of each pair, `[N, 3]`."""
        for i, block in enumerate(self.f.blocks):
            x = block(x)
            if i == self.attention_after:
                x = self.f.attention(x)
        f = F.relu(x).sum([2, 3])
        h = self.h(z)
        j = self.j(torch.cat([f, h], 1))
        return torch.cat([self.score_x(f), self.score_z(h), self.score_xz(j)], 1).float()


class Step:
    """What the steps of both methods have in common."""

    def __init__(self, setup, device, memory_format):
        self.method, self.device, self.memory_format = setup["method"], device, memory_format
        self.bf16 = setup["train"]["precision"] == "bf16"
        self.z_dim = setup["architecture"]["z_dim"]

    def autocast(self):
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def placed(self, network):
        return network.to(self.device, memory_format=self.memory_format).train()

    def gradients(self):
        """Norm of the last gradient of each network."""
        norm = nn.utils.get_total_norm
        grads = {name: [p.grad for p in net.parameters() if p.grad is not None] for name, net in self.networks.items()}
        return {f"grad_{name}": float(norm(of)) for name, of in grads.items()}

    def images(self, batch):
        """On the device, in three planes."""
        return batch.to(self.device).expand(-1, 3, -1, -1).contiguous(memory_format=self.memory_format)

    def noise(self, drawn, n):
        return torch.randn(n, self.z_dim, device=self.device) if drawn is None else drawn.to(self.device)

    @staticmethod
    def adam(groups, settings):
        return torch.optim.AdamW(
            groups, settings["lr"], (settings["beta1"], settings["beta2"]), settings["epsilon"],
            weight_decay=settings["weight_decay"], fused=True,
        )


class BigBiGan(Step):
    def __init__(self, setup, weights, device, memory_format):
        super().__init__(setup, device, memory_format)
        method, first = self.method, setup["first"]
        self.e = self.placed(load(Encoder(setup["architecture"]), weights, "encoder."))
        self.g = self.placed(load(Generator(method["generator"], self.z_dim), weights, "generator."))
        self.d = self.placed(load(Discriminator(method["discriminator"], self.z_dim), weights, "disc."))
        self.networks = {"enc": self.e, "gen": self.g, "disc": self.d}
        self.adam_d = self.adam(self.d.parameters(), method["adam_discriminator"] | {"lr": first["lr_disc"]})
        groups = [
            {"params": list(self.e.parameters()), "lr": first["lr_enc"]},
            {"params": list(self.g.parameters()), "lr": first["lr_gen"]},
        ]
        self.adam_eg = self.adam(groups, method["adam_encoder"])
        self.trained = groups[0]["params"] + groups[1]["params"]
        self.averages = [p.detach().clone() for p in self.trained]
        self.shrink = setup["architecture"]["input_size"] // (4 << len(self.g.blocks))
        self.scale = 3 if method["loss"] == "sum" else 1

    def pairs(self, batch, inputs, i):
        """Slices as encoder and discriminator see them, codes of them, draws, and images of these."""
        x = self.images(batch)
        z = self.noise(inputs.get(f"latent.{i}"), len(x))
        small = x if self.shrink == 1 else F.avg_pool2d(x, self.shrink)
        code, deviation = self.e(x)
        if self.method["stochastic"]:
            code = code + deviation * self.noise(inputs.get(f"posterior.{i}"), len(x))
        return small, code, z, self.g(z)

    def scores(self, small, code, z, image):
        """Of slices, and of drawn pairs."""
        return self.d(torch.cat([small, image.float()]), torch.cat([code.float(), z])).chunk(2)

    def __call__(self, batches, inputs={}):
        accumulate = self.method["accumulate"]
        chunks = [range(i, i + accumulate) for i in range(0, len(batches), accumulate)]
        loss_d = loss_e = loss_g = 0.0
        self.d.requires_grad_(True)
        for chunk in chunks[:-1]:
            advance(self.d, self.g)
            self.adam_d.zero_grad()
            for i in chunk:
                with self.autocast():
                    with torch.no_grad():
                        pairs = self.pairs(batches[i], inputs, i)
                    real, drawn = self.scores(*pairs)
                    loss = (F.relu(1 - real).mean() + F.relu(1 + drawn).mean()) * self.scale
                (loss / accumulate).backward()
                loss_d += loss.detach()
            self.adam_d.step()
        self.d.requires_grad_(False)
        advance(self.d, self.g)
        self.adam_eg.zero_grad()
        for i in chunks[-1]:
            with self.autocast():
                real, drawn = self.scores(*self.pairs(batches[i], inputs, i))
                of_e, of_g = real.mean() * self.scale, -drawn.mean() * self.scale
            ((of_e + of_g) / accumulate).backward()
            loss_e, loss_g = loss_e + of_e.detach(), loss_g + of_g.detach()
        self.adam_eg.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.averages, self.trained, 1 - self.method["ema"])
        return {
            "loss_disc": float(loss_d) / (accumulate * (len(chunks) - 1)),
            "loss_enc": float(loss_e) / accumulate,
            "loss_gen": float(loss_g) / accumulate,
        }


class LeJepa(Step):
    def __init__(self, setup, weights, device, memory_format):
        super().__init__(setup, device, memory_format)
        self.e = self.placed(load(Encoder(setup["architecture"]), weights, "encoder."))
        self.networks = {"enc": self.e}
        self.adam_e = self.adam(self.e.parameters(), self.method["adam"] | {"lr": setup["first"]["lr_enc"]})
        # SIGReg as in the paper's program: the trapezoid rule over half of an even integrand, times the window.
        self.t = torch.linspace(0, self.method["reach"], self.method["knots"], device=device)
        self.normal = torch.exp(-self.t.square() / 2)
        self.weights = torch.full_like(self.t, 2 * float(self.t[1]))
        self.weights[[0, -1]] /= 2
        self.weights *= self.normal

    def sigreg(self, z, directions):
        """`z` `[V, N, Z]`, `directions` `[Z, M]`."""
        angles = (z @ directions).unsqueeze(-1) * self.t
        distance = (angles.cos().mean(1) - self.normal).square() + angles.sin().mean(1).square()
        return ((distance @ self.weights) * z.shape[1]).mean()

    def __call__(self, batches, inputs={}):
        directions = inputs.get("directions")
        if directions is None:
            directions = F.normalize(torch.randn(self.z_dim, self.method["directions"], device=self.device), dim=0)
        directions = directions.to(self.device)
        self.adam_e.zero_grad()
        sums = torch.zeros(3, device=self.device)
        for batch in batches:
            with self.autocast():
                z, _ = self.e(self.images(batch))
            z = z.float().view(self.method["views"], -1, self.z_dim)
            invariance, sigreg = (z.mean(0) - z).square().mean(), self.sigreg(z, directions)
            loss = (1 - self.method["lambda"]) * invariance + self.method["lambda"] * sigreg
            (loss / len(batches)).backward()
            sums += torch.stack([loss, invariance, sigreg]).detach()
        self.adam_e.step()
        return dict(zip(("loss", "loss_invariance", "loss_sigreg"), (sums / len(batches)).tolist()))


def load(network, weights, prefix):
    """A network with the weights whose names begin with `prefix`, every one of them."""
    own = {name.removeprefix(prefix): t for name, t in weights.items() if name.startswith(prefix)}
    missing, unexpected = network.load_state_dict(own, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing), (missing, unexpected)
    return network


def check(setup):
    """Ends with a sentence where a recipe asks for what is not written here."""
    net, method = setup["architecture"], setup["method"]
    expected = {
        "family": "resnet", "padding": "fixed", "pool_pad": "zero", "shortcut_from": "preact", "last_relu": True,
        "halves": "mean-first",
    }
    for key, value in expected.items():
        if net[key] != value:
            sys.exit(f"the encoder's {key} is {net[key]}, this comparison knows {value} only")
    for key, value in {"clip": 0.0, "batch_norm": "train"}.items():
        if method.get(key, value) != value:
            sys.exit(f"method.{key} is {method[key]}, this comparison knows {value} only")


def tolerance(number, precision):
    """Largest relative difference: gradients gather the rounding of all layers, losses only that of a forward pass."""
    if precision == "bf16":
        return 1e-1 if number.startswith("grad_") else 3e-2
    return 1e-3 if number.startswith("grad_") else 1e-4


def main():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default=f"{root}/pretrained/bigbigan-ct-tiny/pretrain.toml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the recipe")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of all variants")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--precision", choices=("float32", "bf16"), help="the recipe's when left out")
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=list(LAYOUTS), help="of PyTorch's variants")
    parser.add_argument("--profile", default="bench", help="cargo profile; `dev` compiles less, the work is libtorch's")
    args = parser.parse_args()
    overrides = [*args.set, STANDING] + ([f"train.precision={args.precision}"] if args.precision else [])
    device = torch.device(args.device)
    torch.set_num_threads(args.threads)
    binary = build(args.profile)
    with tempfile.TemporaryDirectory() as folder:
        env = {k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH", "PYTHONPATH")}
        child = subprocess.Popen(
            [binary, "--serve-training", folder, args.recipe, args.device, str(args.threads), *overrides],
            env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )
        word = child.stdout.readline().split()[:1]
        if word != ["ready"]:
            sys.exit("hounsfield did not start; its message stands above")
        with open(f"{folder}/setup.json") as file:
            setup = json.load(file)
        weights = load_file(f"{folder}/weights.safetensors")
        inputs = load_file(f"{folder}/inputs.safetensors")
    check(setup)
    train = setup["train"]
    batches = [inputs[f"batch.{i}"] for i in range(sum(name.startswith("batch.") for name in inputs))]
    method = {"bigbigan": BigBiGan, "lejepa": LeJepa}[setup["method"]["kind"]]
    steps = {}
    for layout in args.layouts:
        steps[f"eager{LAYOUTS[layout]}"] = method(setup, weights, device, getattr(torch, layout))
    del weights

    for name, step in steps.items():
        for number, value in (step(batches, inputs) | step.gradients()).items():
            ours = setup["first"][number]
            error = abs(value - ours) / max(abs(ours), 1e-2)
            print(f"{name}, first step: {number} {value:.6f}, hounsfield's {ours:.6f}, relative difference {error:.1e}")
            if error >= tolerance(number, train["precision"]):
                sys.exit(f"{number} is not hounsfield's: these are not the same step")

    def hounsfield():
        child.stdin.write("go\n")
        return float(child.stdout.readline())

    def timed(step):
        start = time.perf_counter()
        step(batches)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    variants = {"hounsfield": hounsfield} | {name: lambda step=step: timed(step) for name, step in steps.items()}
    for run in variants.values():
        run()
    times = {name: [] for name in variants}
    for i in range(args.rounds):
        # Turn the order round, so that nobody always runs after the same one.
        for name in list(variants) if i % 2 == 0 else list(variants)[::-1]:
            times[name].append(variants[name]())
    child.stdin.close()
    child.wait()

    images = sum(len(batch) for batch in batches)
    print(f"torch {torch.__version__}, {args.device}, {args.threads} threads, {train['precision']}, "
          f"{images} images a step, {args.rounds} rounds")
    for name, t in times.items():
        ratios = sorted(theirs / ours for ours, theirs in zip(times["hounsfield"], t))
        print(f"{name:<20} {images / statistics.median(t):8.1f} images/s  step min {min(t):.3f} s  median "
              f"{statistics.median(t):.3f} s  {statistics.median(ratios):.2f} x hounsfield's time "
              f"({ratios[0]:.2f} to {ratios[-1]:.2f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
