"""A table of scores and what scikit-learn, statsmodels and pandas say of it, for tests/pure/evaluate.rs.

Made with Python 3.11, numpy 2.4.6, pandas 3.0, scikit-learn 1.9.1, scipy 1.17.1, statsmodels 0.15.0:

    python -m venv venv && venv/bin/pip install numpy==2.4.6 pandas scikit-learn==1.9.1 scipy==1.17.1 statsmodels==0.15.0
    venv/bin/python tests/oracles/make_evaluate.py

Writes tests/oracles/evaluate/scores.csv and expected.json. Made data only.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.special import expit, logit
from sklearn.metrics import brier_score_loss, confusion_matrix, roc_auc_score, roc_curve
from statsmodels.stats.proportion import proportion_confint

OUT = Path(__file__).parent / "evaluate"


def made():
    """70 patients with one to three slices each; two models of which one is better, and a score that is no probability."""
    rng = np.random.default_rng(7)
    rows = []
    for patient in range(70):
        label = int(rng.random() < 0.4)
        effect = rng.normal(scale=0.8)
        for _ in range(rng.integers(1, 4)):
            good, poor = rng.normal(size=2)
            rows.append({
                "patient": f"Zoe-Miller-{(patient * 37) % 70:03d}",
                "label": ["healthy", "cancer"][label],
                "sex": "fm"[patient % 2],
                "good": round(float(expit(1.6 * label - 0.8 + effect + good)), 4),
                "poor": round(float(expit(0.7 * label - 0.2 + effect + 1.5 * poor)), 4),
                "marker": round(float(10 + 3 * label + 4 * poor), 1),
            })
    return pd.DataFrame(rows)


def measured(positive, score, threshold):
    tn, fp, fn, tp = (int(n) for n in confusion_matrix(positive, score >= threshold).ravel())
    fpr, tpr, _ = roc_curve(positive, score, drop_intermediate=False)
    return {
        "auc": roc_auc_score(positive, score),
        # McClish's correction of the area at false-positive rates of at most 0.1.
        "partial-auc-corrected": roc_auc_score(positive, score, max_fpr=0.1),
        "sensitivity": tp / (tp + fn),
        "specificity": tn / (tn + fp),
        "accuracy": (tp + tn) / len(positive),
        "ppv": tp / (tp + fp),
        "npv": tn / (tn + fn),
        "specificity-at-sensitivity": float(1 - fpr[tpr >= 0.9][0]),
        "youden": float(np.max(tpr - fpr)),
    }


def main():
    table = made()
    positive = (table["label"] == "cancer").to_numpy()
    p = table["good"].to_numpy()
    by_row = measured(positive, p, 0.5)
    by_row["brier"] = brier_score_loss(positive, p)
    by_row["expected-observed"] = float(p.sum() / positive.sum())
    line = sm.Logit(positive.astype(float), sm.add_constant(logit(p))).fit(tol=1e-14, maxiter=200, disp=0)
    by_row["calibration-intercept"], by_row["calibration-slope"] = (float(value) for value in line.params)
    hits, of = int((positive & (p >= 0.5)).sum()), int(positive.sum())
    pooled = table.groupby("patient").agg(label=("label", "first"), good=("good", "mean"))
    largest = table.groupby("patient")["good"].max()
    expected = {
        "rows": by_row,
        "wilson": list(proportion_confint(hits, of, method="wilson")),
        "clopper_pearson": list(proportion_confint(hits, of, method="beta")),
        "patients": measured((pooled["label"] == "cancer").to_numpy(), pooled["good"].to_numpy(), 0.5),
        "max_auc": roc_auc_score(pooled["label"] == "cancer", largest.loc[pooled.index]),
        "poor_auc": roc_auc_score(positive, table["poor"]),
        "women_auc": roc_auc_score(positive[table["sex"] == "f"], p[table["sex"] == "f"]),
    }
    OUT.mkdir(exist_ok=True)
    table.to_csv(OUT / "scores.csv", index=False)
    (OUT / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
