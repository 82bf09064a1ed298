"""Learning rates of PyTorch's ReduceLROnPlateau, and where a training ends early, for tests/pure/plateau.rs.

    python3 tests/oracles/make_plateau.py

PyTorch 2.13, seed 0. 200 random sequences of a validation metric under random settings: random walks, rounded numbers with many ties,
numbers of either sign, NaN, infinity. Writes tests/oracles/plateau/plateau.json. PyTorch has no early stopping: that is the usual loop, epochs
without a better number counted by the scheduler's own `is_better`.
"""

import json
import math
import pathlib
import random

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

OUT = pathlib.Path(__file__).parent / "plateau"
SEQUENCES, MOST = 200, 40


def metrics(dice, kind):
    length, level = dice.randint(5, MOST), dice.uniform(0.3, 0.9)
    numbers = []
    for _ in range(length):
        level += dice.gauss(0.01, 0.05)
        value = {
            "walk": level,
            "rounded": round(level, 1),
            "signed": level - 0.6,
            "tiny steps": 0.7 + dice.randint(-3, 3) * 5e-5,
            "broken": dice.choice([level, level, math.nan, math.inf, -math.inf]),
        }[kind]
        numbers.append(value)
    return numbers


def word(number):
    """JSON has no NaN and no infinity."""
    return number if math.isfinite(number) else str(number)


def run(dice, number):
    plan = {
        "metric": dice.choice(["auc", "loss"]),
        "factor": dice.choice([0.2, 0.5, 0.9]),
        "patience": dice.randint(0, 4),
        "stop": dice.choice([0, 3, 5, 10]),
        "threshold": dice.choice([0.0, 1e-4, 1e-2]),
        "threshold_mode": dice.choice(["rel", "abs"]),
        "cooldown": dice.choice([0, 0, 1, 3]),
        "min_lr": dice.choice([0.0, 0.0, 1e-4]),
    }
    lr = dice.choice([1e-3, 0.1, 3e-8])
    sequence = metrics(dice, ["walk", "rounded", "signed", "tiny steps", "broken"][number % 5])
    optimizer = torch.optim.Adam([torch.zeros(1)], lr=lr)
    scheduler = ReduceLROnPlateau(
        optimizer,
        mode="max" if plan["metric"] == "auc" else "min",
        factor=plan["factor"],
        patience=plan["patience"],
        threshold=plan["threshold"],
        threshold_mode=plan["threshold_mode"],
        cooldown=plan["cooldown"],
        min_lr=plan["min_lr"],
        eps=1e-8,
    )
    rates, ended, worse = [], None, 0
    for epoch, value in enumerate(sequence, 1):
        is_better = getattr(scheduler, "is_better", None) or scheduler._is_better
        worse = 0 if is_better(value, scheduler.best) else worse + 1
        if ended is None and plan["stop"] and worse >= plan["stop"]:
            ended = epoch
        scheduler.step(value)
        rates.append(optimizer.param_groups[0]["lr"])
    return {"plan": plan, "lr": lr, "metrics": [word(value) for value in sequence], "rates": rates, "ended": ended}


if __name__ == "__main__":
    dice = random.Random(0)
    OUT.mkdir(exist_ok=True)
    cases = [run(dice, number) for number in range(SEQUENCES)]
    lines = ",\n".join(json.dumps(case) for case in cases)
    (OUT / "plateau.json").write_text(f'{{"torch": "{torch.__version__}", "cases": [\n{lines}\n]}}\n')
    print(f"{len(cases)} sequences, {sum(case['ended'] is not None for case in cases)} end early")
