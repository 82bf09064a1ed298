"""Checks what `hounsfield export` wrote, in PyTorch: the TorchScript file opened by torch.jit.load, and the weights in
pretrained/bigbigan_encoder.py, give the features that the folder's expected.safetensors holds.

    python tests/oracles/check_export.py FOLDER

The folder is made by tests/torch/export.rs, which runs this where HOUNSFIELD_PYTHON names a Python with torch 2.13.0 and safetensors
0.8.0. It holds encoder.ts, encoder.safetensors, the card encoder.toml with its weights, and expected.safetensors with `x` [N, 3, S, S]
and a tensor for every layer.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).parents[2] / "pretrained"))
from bigbigan_encoder import load  # noqa: E402

TOLERANCE = 1e-5

folder = Path(sys.argv[1])
expected = load_file(folder / "expected.safetensors")
x = expected.pop("x")
torch.set_grad_enabled(False)


def check(what, found, wanted):
    for name, features in wanted.items():
        difference = float((found[name] - features).abs().max() / features.abs().max())
        assert difference <= TOLERANCE, f"{what}: {name} differs by {difference}"
        print(f"{what}: {name} {tuple(features.shape)} differs by {difference:.1e}")


extra = {"hounsfield.json": ""}
script = torch.jit.load(str(folder / "encoder.ts"), _extra_files=extra)
about = json.loads(extra["hounsfield.json"])
assert not script.training and not any(p.requires_grad for p in script.parameters())
assert list(script(x)) == list(about["layers"]), "the layers are in another order"
check("TorchScript", script(x), expected)
check("TorchScript, one slice", script(x[:1]), {name: t[:1] for name, t in expected.items()})
# What tch's own tracing does not give: weights that move and change precision with the module.
check("TorchScript in double precision", script.double()(x.double()), expected)
graph = script.inlined_graph
constants = [node.output().type() for node in graph.findAllNodes("prim::Constant")]
assert not any(isinstance(kind, torch._C.TensorType) for kind in constants), "weights are baked in"

encoder = load(folder / "encoder.safetensors")
script = {name: t.float() for name, t in script.state_dict().items()}
state = {name: t for name, t in encoder.state_dict().items() if not name.endswith("num_batches_tracked")}
assert script.keys() == state.keys(), script.keys() ^ state.keys()
assert all(torch.equal(script[name], t) for name, t in state.items())
assert encoder.about == about
check("module", encoder(x), expected)
check("module from the card", load(folder)(x), expected)
