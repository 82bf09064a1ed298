"""Writes the name maps beside it: which TensorFlow variable is which dotted tensor, checked against oracle.py's networks."""
import json, sys
from dataclasses import asdict
sys.path.insert(0, ".")
import oracle, tfnames, torch
out = "./"
def check(models, m):
    want = {}
    for p, mod in models:
        for k, v in mod.state_dict().items(): want[f"{p}.{k}"] = tuple(v.shape)
    got = [e["dotted"] for e in m if e["dotted"]]
    assert sorted(got) == sorted(want), (set(got) ^ set(want))
    for e in m:
        if not e["dotted"]: continue
        n = 1
        for s in e["tf_shape"]: n *= s
        w = 1
        for s in want[e["dotted"]]: w *= s
        assert n == w, (e, want[e["dotted"]])
        e["dotted_shape"] = list(want[e["dotted"]])
for fn, ek, src in (("name_map_tiny","resnet",oracle.TINY),("name_map_resnet50","resnet50",oracle.FULL),("name_map_revnet50x4","revnet50x4",oracle.FULL)):
    m = tfnames.full_map(asdict(src[ek]), asdict(src["gen"]), asdict(src["disc"]))
    with torch.device("meta"):
        models = [("encoder", oracle.Encoder(src[ek])), ("generator", oracle.Generator(src["gen"])), ("disc", oracle.Discriminator(src["disc"]))]
    check(models, m)
    head = dict(ema_suffix="/ema_0.9999", config=dict(encoder=asdict(src[ek]), generator=asdict(src["gen"]), disc=asdict(src["disc"])))
    line = lambda v: json.dumps(v, separators=(",", ":"))
    with open(f"{out}{fn}.json", "w") as f:  # one entry a line
        f.write(line(head)[:-1] + ',"entries":[\n' + ",\n".join(map(line, m)) + "\n]}\n")
    print(fn, len(m))
