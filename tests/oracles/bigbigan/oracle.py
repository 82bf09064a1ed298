#!/usr/bin/env python3
"""Numerical oracle for BigBiGAN (encoder / generator / discriminators / losses).

Independent float32 CPU PyTorch implementation of BigBiGAN (arXiv 1907.02544) as the TensorFlow Hub modules
deepmind/bigbigan-resnet50/1 and deepmind/bigbigan-revnet50x4/1 publish it; written for these tests, not copied from any
repository. Needs torch, numpy and safetensors. What the published sources leave open is marked UNCERTAIN.
The files encoder_*.safetensors and fill_samples.safetensors beside it are what `fixtures` wrote, less the generator's
and discriminators'.

    python oracle.py fixtures OUTDIR     write every fixture
    python oracle.py params              print parameter counts
    python oracle.py selfcheck           internal consistency checks

Everything that fills a tensor is a pure function of (tensor name, flat index),
see `det_fill`, so another language can rebuild the full-size weights without
shipping them.
"""

import json
import math
import os
import sys
from dataclasses import asdict, dataclass, field
from typing import List, Optional, Tuple

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.set_num_threads(2)

# --------------------------------------------------------------------------
# deterministic fill
# --------------------------------------------------------------------------


def fnv1a32(name: str) -> int:
    h = 0x811C9DC5
    for b in name.encode("utf-8"):
        h ^= b
        h = (h * 0x01000193) & 0xFFFFFFFF
    return h


def det_unit(name: str, n: int) -> np.ndarray:
    """n float64 numbers in [0,1): murmur3-finalised counter, seeded by FNV-1a(name)."""
    x = np.arange(n, dtype=np.uint32)
    with np.errstate(over="ignore"):
        x = x * np.uint32(0x9E3779B1) + np.uint32(fnv1a32(name))
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x85EBCA6B)
        x ^= x >> np.uint32(13)
        x *= np.uint32(0xC2B2AE35)
        x ^= x >> np.uint32(16)
    return x.astype(np.float64) / 4294967296.0


def det_signed(name: str, shape) -> np.ndarray:
    """float64, uniform on [-1,1)."""
    n = int(np.prod(shape)) if len(shape) else 1
    return (2.0 * det_unit(name, n) - 1.0).reshape(shape)


def det_input(name: str, shape, scale: float = 1.0) -> torch.Tensor:
    return torch.from_numpy((scale * det_signed(name, shape)).astype(np.float32))


SQRT3 = math.sqrt(3.0)


def det_fill(name: str, shape) -> np.ndarray:
    """Value of the parameter/buffer `name` (dotted name), float32.

    rules, first match wins (s = det_signed, r = det_unit):
      *.running_mean                       0.1 * s
      *.running_var                        1 + 0.5 * r
      *.u                                  s / ||s||_2
      *.gamma (attention gate, shape [1])  0.3
      generator.shared.weight              s
      *bn*.weight, 1-D                     1 + 0.1 * s
      any other 1-D tensor (biases)        0.05 * s
      >=2-D weight                         sqrt(3 * g / fan_in) * s
             g = 0.25 if the name ends in conv3.weight or fc2.weight
             g = 1.0  if it contains ".gain." or ".bias." or ends in
                      out.weight / score_*.weight, else g = 2.0
    """
    leaf = name.rsplit(".", 1)[-1]
    parent = name.rsplit(".", 2)[-2] if name.count(".") >= 1 else ""
    if leaf == "running_mean":
        v = 0.1 * det_signed(name, shape)
    elif leaf == "running_var":
        n = int(np.prod(shape))
        v = (1.0 + 0.5 * det_unit(name, n)).reshape(shape)
    elif leaf == "u":
        s = det_signed(name, shape)
        v = s / np.sqrt((s * s).sum())
    elif leaf == "gamma":
        v = np.full(shape, 0.3)
    elif name.endswith("shared.weight"):
        v = det_signed(name, shape)
    elif len(shape) == 1 and leaf == "weight" and "bn" in parent:
        v = 1.0 + 0.1 * det_signed(name, shape)
    elif len(shape) == 1 and leaf == "bias" and "bn" in parent:
        v = 0.1 * det_signed(name, shape)
    elif len(shape) <= 1:
        v = 0.05 * det_signed(name, shape)
    else:
        fan_in = int(np.prod(shape[1:]))
        if name.endswith("conv3.weight") or name.endswith("fc2.weight"):
            g = 0.25
        elif ".gain." in name or ".bias." in name or parent == "out" or parent.startswith("score_"):
            g = 1.0
        else:
            g = 2.0
        v = math.sqrt(3.0 * g / fan_in) * det_signed(name, shape)
    return v.astype(np.float32)


def fill_module(m: nn.Module, prefix: str) -> nn.Module:
    sd = m.state_dict()
    for k in sd:
        sd[k] = torch.from_numpy(np.ascontiguousarray(det_fill(prefix + "." + k, tuple(sd[k].shape))))
    m.load_state_dict(sd)
    return m


# --------------------------------------------------------------------------
# configuration
# --------------------------------------------------------------------------


@dataclass
class EncCfg:
    arch: str = "resnet"               # resnet | revnet
    width: int = 64                    # bottleneck width of stage 0 (x1 = 64)
    depths: Tuple[int, ...] = (3, 4, 6, 3)
    in_ch: int = 3
    head_dim: int = 4096
    head_blocks: int = 2
    z_dim: int = 120
    bn_eps: float = 1e-4               # UNCERTAIN
    padding: str = "fixed"             # fixed | same          UNCERTAIN
    pool_pad: str = "zero"             # zero | neg_inf         UNCERTAIN
    shortcut_from: str = "preact"      # preact | raw           UNCERTAIN
    last_relu: Optional[bool] = None   # None -> resnet True, revnet False   UNCERTAIN

    @property
    def relu_at_end(self):
        return (self.arch == "resnet") if self.last_relu is None else self.last_relu

    @property
    def feat_dim(self):
        return self.width * 32


@dataclass
class GenCfg:
    ch: int = 96
    mult: Tuple[int, ...] = (16, 16, 8, 4, 2, 1)
    attn_after: int = 3                # index of the block followed by attention
    z_dim: int = 120
    shared_dim: int = 128
    bottom: int = 4
    bn_eps: float = 1e-4
    sn_eps: float = 1e-4

    @property
    def chunk(self):
        return self.z_dim // len(self.mult)

    @property
    def resolution(self):
        return self.bottom * 2 ** (len(self.mult) - 1)


@dataclass
class DiscCfg:
    ch: int = 96
    mult: Tuple[int, ...] = (1, 2, 4, 8, 16, 16)
    down: Tuple[bool, ...] = (True, True, True, True, True, False)
    attn_after: int = 0
    in_ch: int = 3
    z_dim: int = 120
    mlp_dim: int = 2048
    mlp_blocks: int = 4
    sn_eps: float = 1e-4


FULL = dict(
    resnet50=EncCfg(),
    revnet50x4=EncCfg(arch="revnet", width=256),
    gen=GenCfg(),
    disc=DiscCfg(),
)
TINY = dict(
    resnet=EncCfg(width=4, depths=(2, 2, 1, 1), head_dim=32, z_dim=12),
    revnet=EncCfg(arch="revnet", width=4, depths=(2, 2, 1, 1), head_dim=32, z_dim=12),
    gen=GenCfg(ch=2, mult=(8, 8, 4, 2), attn_after=1, z_dim=12, shared_dim=8),
    disc=DiscCfg(ch=8, mult=(1, 2, 4, 4), down=(True, True, True, False), attn_after=0,
                 z_dim=12, mlp_dim=16),
)

# --------------------------------------------------------------------------
# primitive layers
# --------------------------------------------------------------------------


class BN(nn.Module):
    """Batch norm. train(): batch statistics, biased variance. eval(): stored ones.

    `acc` (when not None) collects standing statistics: sums of batch mean / biased
    batch variance and a counter.
    """

    def __init__(self, c, eps, affine=True):
        super().__init__()
        self.eps = eps
        self.affine = affine
        if affine:
            self.weight = nn.Parameter(torch.ones(c))
            self.bias = nn.Parameter(torch.zeros(c))
        self.register_buffer("running_mean", torch.zeros(c))
        self.register_buffer("running_var", torch.ones(c))
        self.acc = None

    def normalise(self, x):
        dims = [d for d in range(x.dim()) if d != 1]
        shp = [1, -1] + [1] * (x.dim() - 2)
        if self.training:
            m = x.mean(dims)
            v = ((x - m.view(shp)) ** 2).mean(dims)
            if self.acc is not None:
                self.acc[0] += m.detach()
                self.acc[1] += v.detach()
                self.acc[2] += 1
        else:
            m, v = self.running_mean, self.running_var
        return (x - m.view(shp)) * torch.rsqrt(v.view(shp) + self.eps)

    def forward(self, x):
        y = self.normalise(x)
        if self.affine:
            shp = [1, -1] + [1] * (x.dim() - 2)
            y = y * self.weight.view(shp) + self.bias.view(shp)
        return y


def sn_sigma(w, u, eps):
    """One power iteration from u. Returns (sigma, new_u); u,v carry no gradient."""
    mat = w.reshape(w.size(0), -1)
    with torch.no_grad():
        v = u @ mat
        v = v / torch.clamp(v.norm(), min=eps)
        u2 = mat @ v
        u2 = u2 / torch.clamp(u2.norm(), min=eps)
    sigma = torch.dot(u2, mat @ v)
    return sigma, u2


class SNBase(nn.Module):
    """Spectral norm. `frozen_u` (set by `sn_step`) makes u constant for a whole step."""

    sn_eps = 1e-4

    def w_bar(self):
        sigma, u2 = sn_sigma(self.weight, self.u, self.sn_eps)
        return self.weight / sigma


class SNConv(SNBase):
    def __init__(self, i, o, k, eps, bias=True):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(o, i, k, k))
        self.bias = nn.Parameter(torch.zeros(o)) if bias else None
        self.register_buffer("u", torch.zeros(o))
        self.sn_eps = eps
        self.pad = k // 2

    def forward(self, x):
        return F.conv2d(x, self.w_bar(), self.bias, padding=self.pad)


class SNLinear(SNBase):
    def __init__(self, i, o, eps, bias=True):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(o, i))
        self.bias = nn.Parameter(torch.zeros(o)) if bias else None
        self.register_buffer("u", torch.zeros(o))
        self.sn_eps = eps

    def forward(self, x):
        return F.linear(x, self.w_bar(), self.bias)


def sn_update(module: nn.Module):
    """Persist one power iteration for every spectrally normalised layer."""
    for m in module.modules():
        if isinstance(m, SNBase):
            _, u2 = sn_sigma(m.weight, m.u, m.sn_eps)
            m.u.copy_(u2)


class Conv(nn.Module):
    def __init__(self, i, o, k, stride=1, padding="fixed"):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(o, i, k, k))
        self.k, self.stride, self.padding = k, stride, padding

    def forward(self, x):
        if self.k == 1:
            return F.conv2d(x, self.weight, stride=self.stride)
        pt, pb = pad_amount(x.size(2), self.k, self.stride, self.padding)
        pl, pr = pad_amount(x.size(3), self.k, self.stride, self.padding)
        return F.conv2d(F.pad(x, (pl, pr, pt, pb)), self.weight, stride=self.stride)


def pad_amount(n, k, s, mode):
    """fixed: (k-1)//2 before, rest after, whatever the stride. same: TensorFlow SAME."""
    if mode == "fixed":
        t = k - 1
    else:
        out = -(-n // s)
        t = max((out - 1) * s + k - n, 0)
    return t // 2, t - t // 2


# --------------------------------------------------------------------------
# encoder
# --------------------------------------------------------------------------


class Bottleneck(nn.Module):
    """Pre-activation bottleneck: BN-ReLU-1x1, BN-ReLU-3x3(stride), BN-ReLU-1x1."""

    def __init__(self, cin, cout, mid, stride, cfg, shortcut=True):
        super().__init__()
        e = cfg.bn_eps
        self.bn1 = BN(cin, e)
        self.conv1 = Conv(cin, mid, 1)
        self.bn2 = BN(mid, e)
        self.conv2 = Conv(mid, mid, 3, stride, cfg.padding)
        self.bn3 = BN(mid, e)
        self.conv3 = Conv(mid, cout, 1)
        self.with_shortcut = shortcut
        self.shortcut = Conv(cin, cout, 1, stride) if shortcut and (stride != 1 or cin != cout) else None
        self.from_raw = cfg.shortcut_from == "raw"

    def forward(self, x):
        a = F.relu(self.bn1(x))
        h = self.conv1(a)
        h = self.conv2(F.relu(self.bn2(h)))
        h = self.conv3(F.relu(self.bn3(h)))
        if not self.with_shortcut:
            return h
        if self.shortcut is not None:
            return h + self.shortcut(x if self.from_raw else a)
        return h + x


class RevUnit(nn.Module):
    """(x1, x2) -> (x2, x1 + F(x2)); F is a bottleneck without shortcut."""

    def __init__(self, half, cfg):
        super().__init__()
        self.f = Bottleneck(half, half, half // 4, 1, cfg, shortcut=False)

    def forward(self, x):
        x1, x2 = x.chunk(2, 1)
        return torch.cat([x2, x1 + self.f(x2)], 1)


class MlpBlock(nn.Module):
    """Two-layer residual MLP block. `preact`: ReLU on the block input of the branch."""

    def __init__(self, cin, cout, preact, linear):
        super().__init__()
        self.preact = preact
        self.fc1 = linear(cin, cout)
        self.fc2 = linear(cout, cout)
        self.shortcut = linear(cin, cout) if cin != cout else None

    def forward(self, x):
        h = F.relu(x) if self.preact else x
        h = self.fc2(F.relu(self.fc1(h)))
        return h + (self.shortcut(x) if self.shortcut is not None else x)


class Mlp(nn.Module):
    """Residual MLP; the first block has no leading ReLU; a ReLU ends the stack."""

    def __init__(self, cin, dim, n, linear):
        super().__init__()
        self.blocks = nn.ModuleList(
            [MlpBlock(cin if i == 0 else dim, dim, i > 0, linear) for i in range(n)])

    def forward(self, x):
        for b in self.blocks:
            x = b(x)
        return F.relu(x)


class Stem(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        c = cfg.width if cfg.arch == "resnet" else 4 * cfg.width
        self.conv = Conv(cfg.in_ch, c, 7, 2, cfg.padding)
        self.cfg = cfg

    def forward(self, x):
        x = self.conv(x)
        value = 0.0 if self.cfg.pool_pad == "zero" else float("-inf")
        pt, pb = pad_amount(x.size(2), 3, 2, self.cfg.padding)
        pl, pr = pad_amount(x.size(3), 3, 2, self.cfg.padding)
        if self.cfg.padding == "same":
            value = float("-inf")          # a TF SAME max-pool ignores the padding
        return F.max_pool2d(F.pad(x, (pl, pr, pt, pb), value=value), 3, 2)


class Head(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.blocks = Mlp(cfg.feat_dim, cfg.head_dim, cfg.head_blocks, nn.Linear).blocks
        self.out = nn.Linear(cfg.head_dim, 2 * cfg.z_dim)

    def forward(self, x):
        for b in self.blocks:
            x = b(x)
        return self.out(F.relu(x))


class Encoder(nn.Module):
    def __init__(self, cfg: EncCfg):
        super().__init__()
        self.cfg = cfg
        self.stem = Stem(cfg)
        self.stages = nn.ModuleList()
        w = cfg.width
        if cfg.arch == "resnet":
            cin = w
            for s, n in enumerate(cfg.depths):
                mid = w * 2 ** s
                units = []
                for i in range(n):
                    units.append(Bottleneck(cin, 4 * mid, mid, 2 if (i == 0 and s > 0) else 1, cfg))
                    cin = 4 * mid
                self.stages.append(nn.ModuleList(units))
        else:
            for s, n in enumerate(cfg.depths):
                half = 2 * w * 2 ** s
                self.stages.append(nn.ModuleList([RevUnit(half, cfg) for _ in range(n)]))
        self.final_bn = BN(cfg.feat_dim, cfg.bn_eps)
        self.crelu_bn = BN(cfg.feat_dim, cfg.bn_eps, affine=False)
        self.head = Head(cfg)

    def trunk(self, x, taps=None):
        x = self.stem(x)
        if taps is not None:
            taps["stem"] = x
        for s, units in enumerate(self.stages):
            if self.cfg.arch == "revnet" and s > 0:
                # 2x2 average pool, then zero-pad channels C/2 below and C/2 above
                x = F.avg_pool2d(x, 2)
                c = x.size(1)
                x = F.pad(x, (0, 0, 0, 0, c // 2, c // 2))
            for u in units:
                x = u(x)
            if taps is not None:
                taps[f"stage{s}"] = x
        x = self.final_bn(x)
        if self.cfg.relu_at_end:
            x = F.relu(x)
        return x.mean([2, 3])

    def forward(self, x, eps=None, taps=None):
        a = self.trunk(x, taps)
        n = self.crelu_bn(a)
        raw = self.head(a)
        mean, pre = raw.chunk(2, 1)
        std = F.softplus(pre)
        out = dict(avepool_feat=a, bn_crelu_feat=torch.cat([F.relu(n), F.relu(-n)], 1),
                   z_mean=mean, z_stdev=std, z_raw=raw)
        out["z_sample"] = mean + std * eps if eps is not None else mean
        return out


# --------------------------------------------------------------------------
# generator
# --------------------------------------------------------------------------


class CondBN(nn.Module):
    """normalise(x) * (1 + Wg c) + Wb c ; both maps are spectrally normalised, no bias."""

    def __init__(self, c, cond, eps, sn_eps):
        super().__init__()
        self.gain = SNLinear(cond, c, sn_eps, bias=False)
        self.bias = SNLinear(cond, c, sn_eps, bias=False)
        self.register_buffer("running_mean", torch.zeros(c))
        self.register_buffer("running_var", torch.ones(c))
        self.eps = eps
        self.acc = None

    def forward(self, x, cond):
        y = BN.normalise(self, x)
        g = 1.0 + self.gain(cond)
        b = self.bias(cond)
        return y * g[:, :, None, None] + b[:, :, None, None]


class GBlock(nn.Module):
    def __init__(self, cin, cout, cond, cfg):
        super().__init__()
        self.bn1 = CondBN(cin, cond, cfg.bn_eps, cfg.sn_eps)
        self.conv1 = SNConv(cin, cout, 3, cfg.sn_eps)
        self.bn2 = CondBN(cout, cond, cfg.bn_eps, cfg.sn_eps)
        self.conv2 = SNConv(cout, cout, 3, cfg.sn_eps)
        self.shortcut = SNConv(cin, cout, 1, cfg.sn_eps)

    def forward(self, x, cond):
        up = lambda t: F.interpolate(t, scale_factor=2, mode="nearest")
        h = self.conv1(up(F.relu(self.bn1(x, cond))))
        h = self.conv2(F.relu(self.bn2(h, cond)))
        return h + self.shortcut(up(x))


class Attention(nn.Module):
    def __init__(self, c, sn_eps):
        super().__init__()
        self.theta = SNConv(c, c // 8, 1, sn_eps, bias=False)
        self.phi = SNConv(c, c // 8, 1, sn_eps, bias=False)
        self.g = SNConv(c, c // 2, 1, sn_eps, bias=False)
        self.o = SNConv(c // 2, c, 1, sn_eps, bias=False)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        n, c, h, w = x.shape
        q = self.theta(x).flatten(2)                       # n, c/8, hw
        k = F.max_pool2d(self.phi(x), 2).flatten(2)        # n, c/8, hw/4
        v = F.max_pool2d(self.g(x), 2).flatten(2)          # n, c/2, hw/4
        att = torch.softmax(torch.einsum("nci,ncj->nij", q, k), -1)
        o = torch.einsum("nij,ncj->nci", att, v).reshape(n, c // 2, h, w)
        return x + self.gamma * self.o(o)


class Generator(nn.Module):
    def __init__(self, cfg: GenCfg):
        super().__init__()
        self.cfg = cfg
        cond = cfg.chunk + cfg.shared_dim
        c = [m * cfg.ch for m in cfg.mult]
        self.shared = nn.Module()
        self.shared.weight = nn.Parameter(torch.zeros(cfg.shared_dim))
        self.linear = SNLinear(cfg.chunk, c[0] * cfg.bottom ** 2, cfg.sn_eps)
        self.blocks = nn.ModuleList([GBlock(c[i], c[i + 1], cond, cfg) for i in range(len(c) - 1)])
        self.attention = Attention(c[cfg.attn_after + 1], cfg.sn_eps)
        self.out_bn = BN(c[-1], cfg.bn_eps)
        self.out_conv = SNConv(c[-1], 3, 3, cfg.sn_eps)

    def forward(self, z, taps=None):
        cfg = self.cfg
        parts = z.split(cfg.chunk, 1)
        y = self.shared.weight.expand(z.size(0), -1)
        h = self.linear(parts[0]).view(z.size(0), -1, cfg.bottom, cfg.bottom)
        for i, b in enumerate(self.blocks):
            h = b(h, torch.cat([parts[i + 1], y], 1))      # z chunk first, shared vector second
            if i == cfg.attn_after:
                h = self.attention(h)
            if taps is not None:
                taps[f"block{i}"] = h
        return torch.tanh(self.out_conv(F.relu(self.out_bn(h))))


# --------------------------------------------------------------------------
# discriminator
# --------------------------------------------------------------------------


class DBlock(nn.Module):
    def __init__(self, cin, cout, down, preact, sn_eps):
        super().__init__()
        self.conv1 = SNConv(cin, cout, 3, sn_eps)
        self.conv2 = SNConv(cout, cout, 3, sn_eps)
        self.shortcut = SNConv(cin, cout, 1, sn_eps) if (cin != cout or down) else None
        self.down, self.preact = down, preact

    def forward(self, x):
        h = F.relu(x) if self.preact else x
        h = self.conv2(F.relu(self.conv1(h)))
        sc = self.shortcut(x) if self.shortcut is not None else x
        if self.down:
            h, sc = F.avg_pool2d(h, 2), F.avg_pool2d(sc, 2)
        return h + sc


class DiscF(nn.Module):
    def __init__(self, cfg: DiscCfg):
        super().__init__()
        c = [cfg.in_ch] + [m * cfg.ch for m in cfg.mult]
        self.blocks = nn.ModuleList(
            [DBlock(c[i], c[i + 1], cfg.down[i], i > 0, cfg.sn_eps) for i in range(len(cfg.mult))])
        self.attention = Attention(c[cfg.attn_after + 1], cfg.sn_eps)
        self.attn_after = cfg.attn_after

    def forward(self, x):
        for i, b in enumerate(self.blocks):
            x = b(x)
            if i == self.attn_after:
                x = self.attention(x)
        return F.relu(x).sum([2, 3])


class Discriminator(nn.Module):
    def __init__(self, cfg: DiscCfg):
        super().__init__()
        lin = lambda i, o: SNLinear(i, o, cfg.sn_eps)
        fdim = cfg.mult[-1] * cfg.ch
        self.f = DiscF(cfg)
        self.h = Mlp(cfg.z_dim, cfg.mlp_dim, cfg.mlp_blocks, lin)
        self.j = Mlp(fdim + cfg.mlp_dim, cfg.mlp_dim, cfg.mlp_blocks, lin)
        self.score_x = lin(fdim, 1)
        self.score_z = lin(cfg.mlp_dim, 1)
        self.score_xz = lin(cfg.mlp_dim, 1)

    def forward(self, x, z):
        f, h = self.f(x), self.h(z)
        j = self.j(torch.cat([f, h], 1))
        return dict(score_x=self.score_x(f)[:, 0], score_z=self.score_z(h)[:, 0],
                    score_xz=self.score_xz(j)[:, 0], feat_f=f, feat_h=h, feat_j=j)


# --------------------------------------------------------------------------
# losses
# --------------------------------------------------------------------------

SCORES = ("score_xz", "score_x", "score_z")


def disc_loss(enc_scores, gen_scores):
    """Mean over the concatenation of the three scores (hub notebook convention)."""
    e = torch.cat([enc_scores[k] for k in SCORES])
    g = torch.cat([gen_scores[k] for k in SCORES])
    return F.relu(1.0 - e).mean() + F.relu(1.0 + g).mean()


def enc_loss(enc_scores):
    return torch.cat([enc_scores[k] for k in SCORES]).mean()


def gen_loss(gen_scores):
    return -torch.cat([gen_scores[k] for k in SCORES]).mean()


# --------------------------------------------------------------------------
# parameter counts
# --------------------------------------------------------------------------


def nparams(m):
    return sum(p.numel() for p in m.parameters())


def trunk_params(e):
    return nparams(e.stem) + nparams(e.stages) + nparams(e.final_bn)


def meta(build):
    with torch.device("meta"):
        return build()


def print_params():
    for name in ("resnet50", "revnet50x4"):
        e = meta(lambda: Encoder(FULL[name]))
        print(f"encoder {name}: trunk {trunk_params(e):,}  head {nparams(e.head):,}  total {nparams(e):,}"
              f"  feature {FULL[name].feat_dim}")
    e = meta(lambda: Encoder(EncCfg(arch="revnet", width=64)))
    print(f"encoder revnet50 x1: trunk {trunk_params(e):,}")
    g = meta(lambda: Generator(FULL["gen"]))
    n = nparams(g)
    print(f"generator 128: total {n:,}; with a 1000-class 128-d embedding instead of 1: {n + 999 * 128:,}"
          f"  (published for BigGAN-128: 70,433,988)")
    d = meta(lambda: Discriminator(FULL["disc"]))
    nf, nh, nj = nparams(d.f), nparams(d.h), nparams(d.j)
    sx = nparams(d.score_x)
    print(f"disc: F {nf:,} H {nh:,} J {nj:,} score_x {sx:,} score_z {nparams(d.score_z):,}"
          f" score_xz {nparams(d.score_xz):,} total {nparams(d):,}")
    print(f"  F + score_x + 1000x1536 class embedding: {nf + sx + 1536000:,}  (published for BigGAN-128: 87,982,370)")
    for key in ("resnet", "revnet"):
        print("tiny encoder", key, f"{nparams(Encoder(TINY[key])):,}")
    print("tiny gen", f"{nparams(Generator(TINY['gen'])):,}", "tiny disc", f"{nparams(Discriminator(TINY['disc'])):,}")


# --------------------------------------------------------------------------
# fixtures
# --------------------------------------------------------------------------


def tiny_models():
    e = fill_module(Encoder(TINY["resnet"]), "encoder")
    g = fill_module(Generator(TINY["gen"]), "generator")
    d = fill_module(Discriminator(TINY["disc"]), "disc")
    return e, g, d


def weights_of(m, prefix):
    return {f"{prefix}.{k}": v.detach().clone().contiguous() for k, v in m.state_dict().items()}


def save(path, tensors, meta_):
    from safetensors.torch import save_file
    t = {k: v.detach().to(torch.float32).contiguous().clone() for k, v in tensors.items()}
    # one metadata key only: safetensors writes several keys in random order
    save_file(t, path, metadata={"info": json.dumps(meta_, sort_keys=True)})
    os.chmod(path, 0o644)
    print(f"{path}  {os.path.getsize(path):,} bytes  {len(t)} tensors")


N_TINY = 4


def tiny_inputs():
    return dict(x=det_input("input.x", (N_TINY, 3, 64, 64)),
                z=det_input("input.z", (N_TINY, 12), SQRT3),
                eps=det_input("input.eps", (N_TINY, 12), SQRT3))


def fx_encoder_tiny(out):
    inp = tiny_inputs()
    for key, fname in (("resnet", "encoder_tiny"), ("revnet", "encoder_tiny_revnet")):
        cfg = TINY[key]
        e = fill_module(Encoder(cfg), "encoder").eval()
        t = weights_of(e, "encoder")
        t.update({"input.x": inp["x"], "input.eps": inp["eps"]})
        with torch.no_grad():
            taps = {}
            o = e(inp["x"], inp["eps"], taps)
            for k, v in o.items():
                t["output." + k] = v
            for k, v in taps.items():
                t["tap." + k] = v
            # training-mode batch norm
            e.train()
            for k, v in e(inp["x"], inp["eps"]).items():
                t["output_train." + k] = v
            e.eval()
            # architecture variants, same weights
            variants = {"same_padding": dict(padding="same"), "pool_neg_inf": dict(pool_pad="neg_inf"),
                        "last_relu_flipped": dict(last_relu=not cfg.relu_at_end)}
            if key == "resnet":
                variants["shortcut_raw"] = dict(shortcut_from="raw")
            for vn, kw in variants.items():
                d = asdict(cfg)
                d.update(kw)
                ev = Encoder(EncCfg(**d)).eval()
                ev.load_state_dict(e.state_dict())
                r = ev(inp["x"], inp["eps"])
                for k in ("avepool_feat", "z_mean"):
                    t[f"variant.{vn}.{k}"] = r[k]
            # float64 reference: how far float32 itself is from the exact answer
            e64 = Encoder(cfg).double().eval()
            e64.load_state_dict({k: v.double() for k, v in e.state_dict().items()})
            r64 = e64(inp["x"].double(), inp["eps"].double())
            err = {k: float((r64[k].float() - o[k]).abs().max()) for k in o}
        save(f"{out}/{fname}.safetensors", t,
             dict(config=asdict(cfg), float32_error=err, fill="det_fill, prefix encoder"))


def fx_generator_tiny(out):
    cfg = TINY["gen"]
    g = fill_module(Generator(cfg), "generator").eval()
    inp = tiny_inputs()
    t = weights_of(g, "generator")
    t["input.z"] = inp["z"]
    with torch.no_grad():
        taps = {}
        t["output.image"] = g(inp["z"], taps)
        for k, v in taps.items():
            t["tap." + k] = v
        t["output.upsampled_nearest"] = F.interpolate(t["output.image"], scale_factor=2, mode="nearest")
        g.train()
        t["output_train.image"] = g(inp["z"])
        # standing statistics: average of batch mean / biased batch variance over two batches,
        # every batch norm in batch-statistics mode, u not updated
        names = {m: n for n, m in g.named_modules() if isinstance(m, (BN, CondBN))}
        for m in names:
            m.acc = [torch.zeros_like(m.running_mean), torch.zeros_like(m.running_var), 0]
        for i in range(2):
            zi = det_input(f"input.standing_z{i}", (N_TINY, 12), SQRT3)
            t[f"input.standing_z{i}"] = zi
            g(zi)
        for m, n in names.items():
            t[f"standing.generator.{n}.running_mean"] = m.acc[0] / m.acc[2]
            t[f"standing.generator.{n}.running_var"] = m.acc[1] / m.acc[2]
            m.running_mean.copy_(m.acc[0] / m.acc[2])
            m.running_var.copy_(m.acc[1] / m.acc[2])
            m.acc = None
        g.eval()
        t["output_standing.image"] = g(inp["z"])
    # sigma of every spectrally normalised layer, and u after one persisted update
    for n, m in g.named_modules():
        if isinstance(m, SNBase):
            s, u2 = sn_sigma(m.weight, m.u, m.sn_eps)
            t[f"sigma.generator.{n}"] = s.reshape(1)
            t[f"u_next.generator.{n}.u"] = u2
    save(f"{out}/generator_tiny.safetensors", t, dict(config=asdict(cfg), fill="det_fill, prefix generator"))


def train_pass(e, g, d, x, z, eps):
    """Scores of both pair kinds; E and G in train() mode (batch statistics)."""
    enc = e(x, eps)
    x_down = F.avg_pool2d(x, 2)
    x_hat = g(z)
    return dict(x_down=x_down, z_hat=enc["z_sample"], x_hat=x_hat)


def grad_norms(named, grads):
    return {n: gr.norm().reshape(1) for n, gr in zip(named, grads)}


def total(gs):
    return torch.sqrt(sum((g.double() ** 2).sum() for g in gs)).float().reshape(1)


def fx_disc_tiny(out):
    cfg = TINY["disc"]
    e, g, d = tiny_models()
    inp = tiny_inputs()
    t = weights_of(d, "disc")
    t.update({"input.x_down": F.avg_pool2d(inp["x"], 2), "input.z": inp["z"]})
    with torch.no_grad():
        for k, v in d(t["input.x_down"], inp["z"]).items():
            t["output." + k] = v
    for n, m in d.named_modules():
        if isinstance(m, SNBase):
            s, u2 = sn_sigma(m.weight, m.u, m.sn_eps)
            t[f"sigma.disc.{n}"] = s.detach().reshape(1)
            t[f"u_next.disc.{n}.u"] = u2
    save(f"{out}/disc_tiny.safetensors", t, dict(config=asdict(cfg), fill="det_fill, prefix disc"))

    # ---- one training step (weights: the three tiny nets, all from det_fill) ----
    e.train(), g.train(), d.train()
    t = {"input." + k: v for k, v in inp.items()}
    p = train_pass(e, g, d, inp["x"], inp["z"], inp["eps"])
    for k, v in p.items():
        t["train." + k] = v
    # discriminator objective: E and G outputs detached
    es = d(p["x_down"], p["z_hat"].detach())
    gs = d(p["x_hat"].detach(), inp["z"])
    ld = disc_loss(es, gs)
    for k in SCORES:
        t["train.enc." + k], t["train.gen." + k] = es[k], gs[k]
    t["train.loss_disc"] = ld.reshape(1)
    t["train.loss_disc_sum"] = (3.0 * ld).reshape(1)
    dn = [n for n, _ in d.named_parameters()]
    dg = torch.autograd.grad(ld, list(d.parameters()))
    for n, gr in zip(dn, dg):
        t[f"grad_norm.disc.{n}"] = gr.norm().reshape(1)
    for sub in ("f", "h", "j", "score_x", "score_z", "score_xz"):
        t[f"train.grad_norm_total.disc.{sub}"] = total([gr for n, gr in zip(dn, dg) if n.startswith(sub + ".")])
    t["train.grad_norm_total.disc"] = total(dg)
    t["grad.disc.score_xz.weight"] = dg[dn.index("score_xz.weight")]
    t["grad.disc.f.blocks.0.conv1.weight"] = dg[dn.index("f.blocks.0.conv1.weight")]
    # encoder + generator objective: D constant
    es = d(p["x_down"], p["z_hat"])
    gs = d(p["x_hat"], inp["z"])
    le, lg = enc_loss(es), gen_loss(gs)
    t["train.loss_enc"], t["train.loss_gen"] = le.reshape(1), lg.reshape(1)
    en = [n for n, q in e.named_parameters()]
    gn = [n for n, q in g.named_parameters()]
    eg = torch.autograd.grad(le + lg, list(e.parameters()) + list(g.parameters()))
    egr, ggr = eg[:len(en)], eg[len(en):]
    for n, gr in zip(en, egr):
        t[f"grad_norm.encoder.{n}"] = gr.norm().reshape(1)
    for n, gr in zip(gn, ggr):
        t[f"grad_norm.generator.{n}"] = gr.norm().reshape(1)
    t["train.grad_norm_total.encoder"], t["train.grad_norm_total.generator"] = total(egr), total(ggr)
    t["grad.encoder.head.out.weight"] = egr[en.index("head.out.weight")]
    t["grad.encoder.stem.conv.weight"] = egr[en.index("stem.conv.weight")]
    t["grad.generator.linear.weight"] = ggr[gn.index("linear.weight")]
    t["grad.generator.shared.weight"] = ggr[gn.index("shared.weight")]
    # the same gradients with the encoder's batch norm frozen (eval), the fine-tuning mode
    e.eval()
    es = d(p["x_down"], e(inp["x"], inp["eps"])["z_sample"])
    le2 = enc_loss(es)
    fz = torch.autograd.grad(le2, list(e.parameters()))
    t["train_frozen_bn.loss_enc"] = le2.reshape(1)
    t["train_frozen_bn.grad_norm_total.encoder"] = total(fz)
    e.train()
    # one full alternating iteration: sn_update(D); Adam D; sn_update(D), sn_update(G); Adam E+G
    opt_d = torch.optim.Adam(d.parameters(), lr=2e-4, betas=(0.0, 0.999), eps=1e-8)
    opt_eg = torch.optim.Adam([dict(params=list(g.parameters()), lr=5e-5),
                               dict(params=list(e.parameters()), lr=5e-4)], betas=(0.0, 0.999), eps=1e-8)
    sn_update(d), sn_update(g)
    with torch.no_grad():
        q = train_pass(e, g, d, inp["x"], inp["z"], inp["eps"])
    l0 = disc_loss(d(q["x_down"], q["z_hat"]), d(q["x_hat"], inp["z"]))
    t["iter.loss_disc_before"] = l0.detach().reshape(1)
    opt_d.zero_grad(); l0.backward(); opt_d.step()
    with torch.no_grad():
        l1 = disc_loss(d(q["x_down"], q["z_hat"]), d(q["x_hat"], inp["z"]))
    t["iter.loss_disc_after_d_step"] = l1.reshape(1)
    sn_update(d), sn_update(g)
    q = train_pass(e, g, d, inp["x"], inp["z"], inp["eps"])
    l2 = enc_loss(d(q["x_down"], q["z_hat"])) + gen_loss(d(q["x_hat"], inp["z"]))
    t["iter.loss_eg_before"] = l2.detach().reshape(1)
    opt_eg.zero_grad(); l2.backward(); opt_eg.step()
    with torch.no_grad():
        q = train_pass(e, g, d, inp["x"], inp["z"], inp["eps"])
        l3 = enc_loss(d(q["x_down"], q["z_hat"])) + gen_loss(d(q["x_hat"], inp["z"]))
    t["iter.loss_eg_after_eg_step"] = l3.reshape(1)
    save(f"{out}/train_tiny.safetensors", t,
         dict(note="weights: encoder_tiny, generator_tiny, disc_tiny; train() batch norm; u as stored, "
                   "not updated, for train.*; iter.* follows the order in oracle.fx_disc_tiny",
              adam=dict(lr_d=2e-4, lr_g=5e-5, lr_e=5e-4, betas=[0.0, 0.999], eps=1e-8)))


def stats(t):
    return torch.tensor([t.mean(), t.std(unbiased=False), t.min(), t.max()])


def fx_full(out):
    torch.manual_seed(0)
    for name in ("resnet50", "revnet50x4"):
        cfg = FULL[name]
        e = fill_module(Encoder(cfg), "encoder").eval()
        x = det_input("input.x_full", (1, 3, 256, 256))
        eps = det_input("input.eps_full", (1, 120), SQRT3)
        t = {"input.eps": eps}
        if name == "resnet50":
            t["input.x"] = x
        with torch.no_grad():
            taps = {}
            o = e(x, eps, taps)
            for k, v in o.items():
                t["output." + k] = v
            for k, v in taps.items():
                t[f"tap.{k}.stats"] = stats(v)
                t[f"tap.{k}.head"] = v.flatten()[:64]
            err = {}
            if name == "resnet50":
                e64 = Encoder(cfg).double().eval()
                e64.load_state_dict({k: v.double() for k, v in e.state_dict().items()})
                r = e64(x.double(), eps.double())
                err = {k: float((r[k].float() - o[k]).abs().max()) for k in o}
                print("float32 error", err)
        save(f"{out}/encoder_{name}_io.safetensors", t,
             dict(config=asdict(cfg), float32_error=err, fill="det_fill, prefix encoder",
                  input_x="det_input('input.x_full', 1x3x256x256)"))
        del e
    g = fill_module(Generator(FULL["gen"]), "generator").eval()
    z = det_input("input.z_full", (1, 120), SQRT3)
    with torch.no_grad():
        taps = {}
        im = g(z, taps)
        t = {"input.z": z, "output.image": im}
        for k, v in taps.items():
            t[f"tap.{k}.stats"] = stats(v)
    save(f"{out}/generator_128_io.safetensors", t, dict(config=asdict(FULL["gen"]), fill="det_fill, prefix generator"))
    del g
    d = fill_module(Discriminator(FULL["disc"]), "disc").eval()
    with torch.no_grad():
        o = d(im, z)
    t = {"input.z": z, "input.x": im}
    t.update({"output." + k: v for k, v in o.items()})
    save(f"{out}/disc_128_io.safetensors", t, dict(config=asdict(FULL["disc"]), fill="det_fill, prefix disc"))


def fx_fill(out):
    """A few values of det_fill / det_input, to test a port of the fill function."""
    t = {}
    for n, shape in (("encoder.stem.conv.weight", (64, 3, 7, 7)),
                     ("encoder.stages.0.0.bn1.weight", (64,)),
                     ("encoder.stages.0.0.bn1.running_var", (64,)),
                     ("encoder.head.out.bias", (240,)),
                     ("generator.blocks.0.bn1.gain.u", (1536,)),
                     ("generator.blocks.0.bn1.gain.weight", (1536, 148))):
        t[n] = torch.from_numpy(det_fill(n, shape).reshape(-1)[:128].copy())
    t["input.x_full"] = det_input("input.x_full", (1, 3, 256, 256)).flatten()[:128]
    save(f"{out}/fill_samples.safetensors", t, dict(note="first 128 values, row-major, of the full-size tensors"))


def selfcheck():
    e, g, d = tiny_models()
    # batch norm against torch
    b = fill_module(BN(6, 1e-4), "bnx")
    x = det_input("q", (3, 6, 5, 5))
    ref = F.batch_norm(x, b.running_mean, b.running_var, b.weight, b.bias, False, 0.1, 1e-4)
    assert torch.allclose(b.eval()(x), ref, atol=1e-6)
    ref = F.batch_norm(x, b.running_mean.clone(), b.running_var.clone(), b.weight, b.bias, True, 0.1, 1e-4)
    assert torch.allclose(b.train()(x), ref, atol=1e-5)
    # sigma converges to the largest singular value
    c = fill_module(SNConv(5, 7, 3, 1e-4), "snx")
    for _ in range(200):
        sn_update(c)
    s, _ = sn_sigma(c.weight, c.u, 1e-4)
    top = torch.linalg.svdvals(c.weight.reshape(7, -1))[0]
    assert abs(float((s - top).detach())) < 1e-4, (s, top)
    # gradient through sigma equals autograd through u^T W v with u, v fixed
    # pytorch's own spectral_norm agrees
    lin = nn.utils.spectral_norm(nn.Linear(9, 4, bias=False), eps=1e-12)
    m = SNLinear(9, 4, 1e-12, bias=False)
    with torch.no_grad():
        m.weight.copy_(lin.weight_orig)
        m.u.copy_(lin.weight_u)
    xx = det_input("r", (2, 9))
    y1 = lin.train()(xx)
    y2 = m(xx)
    assert torch.allclose(y1, y2, atol=1e-6)
    # 2x2 average pool equals SAME average pool on even sizes; nearest upsample inverts it
    im = det_input("s", (1, 3, 8, 8))
    assert torch.allclose(F.avg_pool2d(F.interpolate(im, scale_factor=2), 2), im)
    # generator and encoder shapes
    assert g.eval()(torch.zeros(2, 12)).shape == (2, 3, 32, 32)
    o = e.eval()(torch.zeros(2, 3, 64, 64))
    assert o["bn_crelu_feat"].shape == (2, 256) and o["z_mean"].shape == (2, 12)
    print("selfcheck ok")


if __name__ == "__main__":
    cmd = sys.argv[1] if len(sys.argv) > 1 else "selfcheck"
    if cmd == "params":
        print_params()
    elif cmd == "selfcheck":
        selfcheck()
    elif cmd == "fixtures":
        out_ = sys.argv[2]
        os.makedirs(out_, exist_ok=True)
        selfcheck()
        fx_fill(out_)
        fx_encoder_tiny(out_)
        fx_generator_tiny(out_)
        fx_disc_tiny(out_)
        fx_full(out_)
