"""Writes train/adam.safetensors and train/lejepa.safetensors: PyTorch's optimisers, and the loss of LeJEPA from its formulas.

Pins: python 3.11, torch 2.13.0, numpy 2.4.6, safetensors 0.8.0, on a CPU. Run from anywhere:

    python -m venv venv && venv/bin/pip install torch==2.13.0 numpy==2.4.6 safetensors==0.8.0
    venv/bin/python tests/oracles/make_train.py

Starting weights, gradients, embeddings and directions are float32. Optimisers run in float32, as they do in training; the
loss and its gradient are computed in float64 and rounded.
"""

import math
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

torch.set_num_threads(1)
rng = np.random.default_rng(0)
OUT = Path(__file__).parent / "train"
STEPS = 20


def normal(*shape):
    return torch.from_numpy(rng.normal(size=shape).astype(np.float32))


def adam():
    """20 steps on given gradients, the average of the weights, clipping."""
    start = {
        "conv.weight": normal(4, 3, 3, 3),
        "linear.bias": normal(5),
        "linear.weight": normal(5, 7),
        "scale": normal(),
    }
    out = {f"start.{name}": t for name, t in start.items()}
    gradients = []
    for step in range(STEPS):
        # Sizes from 1e-6 to 1e2 between steps and tensors, where epsilon is felt and where it is not.
        gradients.append({name: normal(*t.shape) * 10.0 ** rng.uniform(-6, 2) for name, t in start.items()})
        out |= {f"gradient.{step:02}.{name}": g for name, g in gradients[-1].items()}

    settings = {
        "adam": dict(cls=torch.optim.Adam, lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0),
        "adam-beta1-0": dict(cls=torch.optim.Adam, lr=1e-2, betas=(0.0, 0.99), eps=1e-6, weight_decay=0.0),
        "adamw": dict(cls=torch.optim.AdamW, lr=1e-2, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.5),
    }
    for kind, options in settings.items():
        cls = options.pop("cls")
        model = torch.nn.ParameterDict({name.replace(".", "/"): torch.nn.Parameter(t.clone()) for name, t in start.items()})
        optimiser = cls(model.parameters(), foreach=False, fused=False, **options)
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
        for step in range(STEPS):
            for name, parameter in model.items():
                parameter.grad = gradients[step][name.replace("/", ".")].clone()
            optimiser.step()
            # Its first update copies the weights, as ours does before step `start`.
            average.update_parameters(model)
        for name, parameter in model.items():
            name, state = name.replace("/", "."), optimiser.state[parameter]
            out[f"{kind}.end.{name}"] = parameter.detach()
            out[f"{kind}.exp_avg.{name}"] = state["exp_avg"]
            out[f"{kind}.exp_avg_sq.{name}"] = state["exp_avg_sq"]
        for name, parameter in average.module.items():
            out[f"{kind}.ema.{name.replace('/', '.')}"] = parameter.detach()

    for max_norm in (0.5, 1e6):
        parameters = {name: torch.nn.Parameter(t.clone()) for name, t in start.items()}
        for name, parameter in parameters.items():
            parameter.grad = gradients[0][name].clone()
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), max_norm)
        out[f"clip.{max_norm:g}.norm"] = norm
        out |= {f"clip.{max_norm:g}.gradient.{name}": p.grad for name, p in parameters.items()}
    return out


def epps_pulley(x, t):
    """Of samples x `[V, N, M]` on the grid t over both signs: `[V, M]`."""
    empirical = torch.exp(1j * x.unsqueeze(-1) * t).mean(dim=1)  # [V, M, T]
    gaussian = torch.exp(-(t**2) / 2)
    return x.shape[1] * torch.trapezoid((empirical - gaussian).abs() ** 2 * gaussian, t, dim=-1)


def lejepa():
    views, n, d, m = 4, 16, 12, 32
    embeddings = 0.5 * normal(1, n, d) + 0.8 * normal(views, n, d) + 0.2
    directions = normal(d, m)
    directions /= directions.norm(dim=0)
    out = {"embeddings": embeddings, "directions": directions}
    for name, grid, lam in (
        ("program", torch.linspace(-3, 3, 33, dtype=torch.float64), 0.05),
        ("paper", torch.linspace(-5, 5, 17, dtype=torch.float64), 0.3),
    ):
        z = embeddings.double().requires_grad_()
        sigreg = epps_pulley(z @ directions.double(), grid).mean()
        invariance = ((z.mean(dim=0, keepdim=True) - z) ** 2).mean()
        total = (1 - lam) * invariance + lam * sigreg
        (gradient,) = torch.autograd.grad(total, z, retain_graph=True)
        (regularity,) = torch.autograd.grad(sigreg, z)
        out |= {
            f"{name}.sigreg": sigreg,
            f"{name}.invariance": invariance,
            f"{name}.total": total,
            f"{name}.gradient": gradient,
            f"{name}.sigreg_gradient": regularity,
        }
    return {name: t.detach().float() for name, t in out.items()}


OUT.mkdir(exist_ok=True)
for topic in (adam, lejepa):
    tensors = {name: t.detach().contiguous().clone() for name, t in sorted(topic().items())}
    assert all(math.isfinite(t.sum()) and t.dtype == torch.float32 for t in tensors.values())
    save_file(tensors, OUT / f"{topic.__name__}.safetensors")
    print(topic.__name__, len(tensors), sum(t.nbytes for t in tensors.values()))
