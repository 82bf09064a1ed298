"""Writes encoders/{dictionary,tuple,pooled}.pt: TorchScript programs of a few lines, one for each way to give features. What they
compute is plain enough for a test to write it out.

Pins: torch 2.13.0. Run from anywhere:

    venv/bin/python tests/oracles/make_scripts.py
"""

import io
import zipfile
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import torch
from torch import Tensor, nn

HERE = Path(__file__).parent / "encoders"


class Dictionary(nn.Module):
    """Mean of all pixels, and mean of each of 8 rows, by name."""

    def forward(self, x: Tensor) -> Dict[str, Tensor]:
        return {"mean": x.mean((1, 2, 3))[:, None], "rows": x.mean((1, 3))}


class Parts(nn.Module):
    """The same in a tuple, with parts that are no features behind them; `parts` gives a list."""

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor, Optional[Tensor], Tensor]:
        rows = x.mean((1, 3))
        return x.mean((1, 2, 3))[:, None], rows, None, rows.double()

    @torch.jit.export
    def parts(self, x: Tensor) -> List[Tensor]:
        return [x.mean((1, 2, 3))[:, None], x.mean((1, 3))]

    @torch.jit.export
    def fails(self, x: Tensor) -> Tensor:
        if x.size(2) != 9:
            raise ValueError("slices of 9 rows are wanted")
        return x

    @torch.jit.export
    def writes_over(self, x: Tensor) -> Tuple[Tensor]:
        x.zero_()
        return (x.mean((1, 3)),)

    @torch.jit.export
    def one_row(self, x: Tensor) -> Tuple[Tensor]:
        return (x.mean()[None, None],)


class Pooled(nn.Module):
    """A pooled map `[N, 1, 1, 1]` of grey slices. Dropout would spoil it in training mode, in which it is saved."""

    def __init__(self):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        if x.size(1) != 1:
            raise ValueError("grey slices are wanted")
        return self.dropout(self.pool(x))


def write(name, module):
    """Saves a script without what is only there for a debugger: it names the folders of the machine."""
    whole = io.BytesIO()
    torch.jit.save(torch.jit.script(module), whole)
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(HERE / f"{name}.pt", "w") as new:
        for entry in old.namelist():
            if not entry.endswith(".debug_pkl"):
                new.writestr(zipfile.ZipInfo(entry.replace("archive/", f"{name}/", 1)), old.read(entry))
    print(f"{name}.pt: {(HERE / f'{name}.pt').stat().st_size} bytes")


if __name__ == "__main__":
    for name, module in (("dictionary", Dictionary()), ("tuple", Parts()), ("pooled", Pooled())):
        write(name, module)
