"""Writes encoders/{resnet50_torchvision,resnet50_timm,dinov2_vits14}.safetensors: what other people's networks give for weights and
slices that a formula makes.

Pins: python 3.11, torch 2.13.0, torchvision 0.28.0, timm 1.0.20, transformers 4.57.3, safetensors 0.8.0, numpy 2.4.6. Run from anywhere:

    python -m venv venv && venv/bin/pip install torch==2.13.0 torchvision==0.28.0 timm==1.0.20 transformers==4.57.3 \\
        safetensors==0.8.0 numpy==2.4.6
    venv/bin/python tests/oracles/make_other_encoders.py

No weights are downloaded. Weights are `det_fill` of bigbigan/oracle.py by the bare name in the state dict of torchvision, or of
torch.hub's DINOv2, with these rules before it (r in [0, 1) and s = 2r - 1 are that formula's):

    ls1.gamma, ls2.gamma                         0.3 + 0.1 s
    1-D weight below normN, norm or downsample.1 1 + 0.1 s
    1-D bias below them                          0.1 s
    cls_token                                    s
    pos_embed                                    0.5 s

Slices are sqrt(3) s, of variance 1, as they are after ImageNet's mean and deviation. Networks run in float64, what is stored is
rounded.

Who says what of DINOv2: at 518 pixels, where nothing is resampled, timm and transformers agree. Below that each of the three
sources resamples the position embedding in its own way: torch.hub's by a factor of (16 + 0.1) / 37, bicubic, not antialiased
(facebookresearch/dinov2, `interpolate_pos_encoding`; weights without registers have `interpolate_antialias=False`); timm to a size,
antialiased; transformers to a size, not antialiased. The 224 pixels here are torch.hub's: its one call, and timm's blocks on what
that gives. `info` says how far the two others are from it.
"""

import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "bigbigan"))
from oracle import SQRT3, det_fill, det_input, det_signed  # noqa: E402

torch.set_num_threads(1)
torch.set_grad_enabled(False)


def fill(name, shape):
    """float32 value of a parameter, by the rules above."""
    leaf, parents = name.split(".")[-1], name.split(".")[:-1]
    norm = bool(parents) and parents[-1].startswith("norm") or parents[-2:] == ["downsample", "1"]
    s = det_signed(name, shape)
    if leaf == "gamma":
        return torch.from_numpy(0.3 + 0.1 * s).float()
    if norm and leaf == "weight":
        return torch.from_numpy(1.0 + 0.1 * s).float()
    if norm and leaf == "bias":
        return torch.from_numpy(0.1 * s).float()
    if name == "cls_token":
        return torch.from_numpy(s).float()
    if name == "pos_embed":
        return torch.from_numpy(0.5 * s).float()
    return torch.from_numpy(det_fill(name, shape)).float()


def filled(model):
    """State dict of a network by its names; counters of batches stay."""
    state = model.state_dict()
    return {name: t if name.endswith("num_batches_tracked") else fill(name, tuple(t.shape)) for name, t in state.items()}


def first(t):
    """Enough of a map to tell where two networks part."""
    return torch.cat([t.mean().reshape(1), t.std().reshape(1), t.flatten()[:62]])


def write(name, tensors, info):
    tensors = {key: t.float().contiguous() for key, t in tensors.items()}
    for key, t in tensors.items():
        assert torch.isfinite(t).all(), key
    path = HERE / "encoders" / f"{name}.safetensors"
    save_file(tensors, path, metadata={"info": json.dumps(info)})
    print(f"{path.name}: {path.stat().st_size} bytes, {info}")
    for key, t in sorted(tensors.items()):
        print(f"  {key} {tuple(t.shape)} std {t.std():.4f} max {t.abs().max():.4f}")


def difference(a, b):
    return float((a - b).abs().max())


def resnet50(source):
    if source == "torchvision":
        import torchvision

        version, model = torchvision.__version__, torchvision.models.resnet50(weights=None)
    else:
        import timm

        version, model = timm.__version__, timm.create_model("resnet50", pretrained=False)
    model.eval()
    model.load_state_dict(filled(model))
    x = det_input("input.resnet50", (2, 3, 224, 224), SQRT3)

    def run(model, x):
        taps = {}
        x = model.maxpool((model.relu if source == "torchvision" else model.act1)(model.bn1(model.conv1(x))))
        taps["tap.stem"] = first(x)
        for stage in range(1, 5):
            x = getattr(model, f"layer{stage}")(x)
            taps[f"tap.layer{stage}"] = first(x)
        return {"output.avepool_feat": x.mean((2, 3)), **taps}

    single = run(model, x)
    double = run(model.double(), x.double())
    # The network's own way to its features, beside the one that was taken apart.
    whole = model.forward_features(x.double()).mean((2, 3)) if source == "timm" else model.avgpool(model.layer4(
        model.layer3(model.layer2(model.layer1(model.maxpool(model.relu(model.bn1(model.conv1(x.double()))))))))).flatten(1)
    assert torch.equal(whole, double["output.avepool_feat"])
    error = difference(single["output.avepool_feat"], double["output.avepool_feat"])
    write(f"resnet50_{source}", double, {"made by": f"{source} {version}", "float32 error": error})


def transformers_names(state):
    """torch.hub's names as transformers has them."""
    out = {"embeddings.mask_token": torch.zeros(1, 384)}
    for name, t in state.items():
        parts = name.split(".")
        if name == "cls_token":
            out["embeddings.cls_token"] = t
        elif name == "pos_embed":
            out["embeddings.position_embeddings"] = t
        elif parts[0] == "patch_embed":
            out[f"embeddings.patch_embeddings.projection.{parts[-1]}"] = t
        elif parts[0] == "norm":
            out[f"layernorm.{parts[-1]}"] = t
        else:
            at, rest = f"encoder.layer.{parts[1]}", ".".join(parts[2:-1])
            if rest == "attn.qkv":
                for part, piece in zip(("query", "key", "value"), t.chunk(3)):
                    out[f"{at}.attention.attention.{part}.{parts[-1]}"] = piece
            elif rest == "attn.proj":
                out[f"{at}.attention.output.dense.{parts[-1]}"] = t
            elif parts[-1] == "gamma":
                out[f"{at}.layer_scale{parts[2][-1]}.lambda1"] = t
            else:
                out[f"{at}.{rest}.{parts[-1]}"] = t
    return out


def dinov2():
    import timm
    import transformers
    from transformers import Dinov2Config, Dinov2Model

    make = lambda size: timm.create_model("vit_small_patch14_dinov2", pretrained=False, img_size=size).eval()  # noqa: E731
    native = make(518)
    state = filled(native)
    native.load_state_dict(state)
    x = {size: det_input(f"input.dinov2_{size}", (2, 3, size, size), SQRT3) for size in (224, 518)}

    # facebookresearch/dinov2, dinov2/models/vision_transformer.py, interpolate_pos_encoding; dinov2/hub/backbones.py for the options.
    grid = state["pos_embed"][:, 1:].double().reshape(1, 37, 37, 384).permute(0, 3, 1, 2)
    factor = (224 // 14 + 0.1) / 37
    small = F.interpolate(grid, scale_factor=(factor, factor), mode="bicubic", antialias=False)
    assert small.shape[-2:] == (16, 16)
    small = torch.cat([state["pos_embed"][:, :1].double(), small.permute(0, 2, 3, 1).reshape(1, 256, 384)], 1)
    hub = make(224).double()
    hub.load_state_dict({name: t.double() for name, t in state.items()} | {"pos_embed": small})

    def run(model, x):
        taps = {}
        t = model.norm_pre(model.patch_drop(model._pos_embed(model.patch_embed(x))))
        taps["tap.tokens"] = first(t)
        for number, block in enumerate(model.blocks):
            t = block(t)
            if number in (0, 11):
                taps[f"tap.block{number}"] = first(t)
        t = model.norm(t)
        assert torch.equal(t, model.forward_features(x))
        return t, taps

    def features(tokens):
        return {"cls_token": tokens[:, 0], "patch_mean": tokens[:, 1:].mean(1)}

    config = Dinov2Config(hidden_size=384, num_attention_heads=6, image_size=518, patch_size=14, layer_norm_eps=1e-6)
    third = Dinov2Model(config).eval()
    third.load_state_dict(transformers_names(state))
    third = third.double()
    tokens_third = {size: third(x[size].double()).last_hidden_state for size in x}

    single = features(native.forward_features(x[518]))
    tensors, info = {}, {"made by": f"timm {timm.__version__}, transformers {transformers.__version__}"}
    for size, model in ((518, native.double()), (224, hub)):
        tokens, taps = run(model, x[size].double())
        for name, t in features(tokens).items():
            tensors[f"output_{size}.{name}"] = t
        tensors |= {f"tap_{size}.{name[4:]}": t for name, t in taps.items()}
        info[f"transformers differs at {size}"] = difference(tokens_third[size], tokens)
    info["float32 error at 518"] = max(difference(single[name], tensors[f"output_518.{name}"]) for name in single)
    assert info["transformers differs at 518"] < 1e-10, info
    resampled = make(224).double()
    own = timm.layers.resample_abs_pos_embed(state["pos_embed"].double(), new_size=[16, 16], num_prefix_tokens=1)
    resampled.load_state_dict({name: t.double() for name, t in state.items()} | {"pos_embed": own})
    info["timm differs at 224"] = difference(resampled.forward_features(x[224].double()), hub.forward_features(x[224].double()))
    write("dinov2_vits14", tensors, info)


if __name__ == "__main__":
    (HERE / "encoders").mkdir(exist_ok=True)
    resnet50("torchvision")
    resnet50("timm")
    dinov2()
