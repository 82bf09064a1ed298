"""Reference numbers for tests/pure/eval.rs, from scikit-learn, scipy, statsmodels and a plain numpy bootstrap.

Made with Python 3.11, numpy 2.4.6, scikit-learn 1.9.1, scipy 1.17.1, statsmodels 0.15.0:

    python -m venv venv && venv/bin/pip install numpy==2.4.6 scikit-learn==1.9.1 scipy==1.17.1 statsmodels==0.15.0
    venv/bin/python tests/oracles/make_eval.py

Writes tests/oracles/eval/eval.json. Made data only.
"""

import json
from pathlib import Path

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm, rankdata
from sklearn.metrics import roc_auc_score, roc_curve
from statsmodels.stats.proportion import proportion_confint

OUT = Path(__file__).parent / "eval" / "eval.json"
RESAMPLES = 20_000


def curves():
    """AUC and ROC points under heavy ties, no ties, and unequal classes."""
    rng = np.random.default_rng(0)
    cases = []
    for rows, decimals, prevalence in [(60, 0, 0.5), (60, 1, 0.2), (40, 12, 0.5), (30, 0, 0.9)]:
        positive = rng.random(rows) < prevalence
        positive[:2] = [True, False]
        score = np.round(rng.normal(size=rows) + positive, decimals) + 0.0
        fpr, tpr, threshold = roc_curve(positive, score, drop_intermediate=False)
        cases.append({
            "positive": positive.tolist(),
            "score": score.tolist(),
            "auc": roc_auc_score(positive, score),
            # Without the first point, whose threshold is infinite.
            "fpr": fpr[1:].tolist(),
            "tpr": tpr[1:].tolist(),
            "threshold": threshold[1:].tolist(),
        })
    return cases


def wilson():
    cases = []
    for hits, trials in [(0, 1), (1, 1), (0, 12), (12, 12), (12, 15), (15, 20), (49, 50), (7, 1000), (500, 1000)]:
        for level in [0.5, 0.8, 0.95, 0.999]:
            lower, upper = proportion_confint(hits, trials, alpha=1 - level, method="wilson")
            cases.append({"hits": hits, "trials": trials, "level": level, "ci": [lower, upper]})
    return cases


def newcombe():
    """Newcombe 2006, method 5, as roots of (area - auc)^2 = z^2 V(area)."""
    cases = []
    for auc, m, n in [(1.0, 5, 7), (0.0, 5, 7), (1.0, 60, 40), (0.85, 15, 20), (0.5, 10, 10)]:
        for level in [0.8, 0.95]:
            z = norm.ppf((1 + level) / 2)

            def excess(area):
                star = (m + n) / 2 - 1
                spread = 1 + star * (1 - area) / (2 - area) + star * area / (1 + area)
                return (area - auc) ** 2 - z**2 * area * (1 - area) * spread / (m * n)

            tiny = 1e-9
            lower = 0.0 if auc == 0 else brentq(excess, tiny, auc - tiny, xtol=1e-15)
            upper = 1.0 if auc == 1 else brentq(excess, auc + tiny, 1 - tiny, xtol=1e-15)
            cases.append({"auc": auc, "positives": m, "negatives": n, "level": level, "ci": [lower, upper]})
    return cases


def metrics(positive, score, threshold):
    ranks = rankdata(score)
    p, n = positive.sum(), (~positive).sum()
    auc = (ranks[positive].sum() - p * (p + 1) / 2) / (p * n)
    called = score >= threshold
    return [auc, called[positive].mean(), (~called)[~positive].mean(), (called == positive).mean()]


def bootstrap():
    """Percentile intervals of resampled patients: their rows are written out again, as often as they were drawn."""
    rng = np.random.default_rng(1)
    patient, positive, score = [], [], []
    for who in range(60):
        label, shift = who % 3 == 0, rng.normal(scale=0.8)
        for _ in range(rng.integers(1, 7)):
            patient.append(who)
            positive.append(label)
            score.append(round(float(shift + rng.normal(scale=0.6) + 1.2 * label), 2) + 0.0)
    patient, positive, score = np.array(patient), np.array(positive), np.array(score)
    threshold = 0.5
    cases = {}
    for unit in ["slice", "patient"]:
        if unit == "slice":
            who, labels, scores = patient, positive, score
        else:
            who = np.unique(patient)
            labels = np.array([positive[patient == one][0] for one in who])
            scores = np.array([score[patient == one].mean() for one in who])
        rows_of = [np.flatnonzero(who == one) for one in np.unique(who)]
        values = []
        while len(values) < RESAMPLES:
            rows = np.concatenate([rows_of[one] for one in rng.integers(len(rows_of), size=len(rows_of))])
            if labels[rows].all() or not labels[rows].any():
                continue
            values.append(metrics(labels[rows], scores[rows], threshold))
        values = np.array(values)
        cases["patient_unit" if unit == "patient" else "slice_unit"] = {
            "value": metrics(labels, scores, threshold),
            "ci": np.quantile(values, [0.025, 0.975], axis=0).T.tolist(),
            "sd": values.std(axis=0).tolist(),
        }
    data = {"patient": patient.tolist(), "positive": positive.tolist(), "score": score.tolist()}
    return {**data, "threshold": threshold, "resamples": RESAMPLES, **cases}


made = {"curves": curves(), "wilson": wilson(), "newcombe": newcombe(), "bootstrap": bootstrap()}
OUT.parent.mkdir(exist_ok=True)
OUT.write_text(json.dumps(made) + "\n")
