"""Reference numbers for tests/pure/calibration.rs, from scikit-learn, scipy and statsmodels.

Made with Python 3.11, numpy 2.4.6, scikit-learn 1.9.1, scipy 1.17.1, statsmodels 0.15.0:

    python -m venv venv && venv/bin/pip install numpy==2.4.6 scikit-learn==1.9.1 scipy==1.17.1 statsmodels==0.15.0
    venv/bin/python tests/oracles/make_calibration.py

Writes tests/oracles/calibration/calibration.json. Made data only.
"""

import json
from pathlib import Path

import numpy as np
import statsmodels.api as sm
from scipy.special import expit, logit
from sklearn.calibration import _SigmoidCalibration, calibration_curve
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss, confusion_matrix
from statsmodels.stats.proportion import proportion_confint

OUT = Path(__file__).parent / "calibration" / "calibration.json"


def tight(model, **options):
    return model.fit(tol=1e-14, maxiter=200, **options)


def probabilities():
    """Brier score, its weighted value, slope, intercept, calibration in the large and the quantile curve."""
    rng = np.random.default_rng(1)
    cases = []
    # No seventh of the rows less one is whole: numpy rounds such a quantile off the row that it is.
    for rows, decimals, stretch, shift in [(121, 12, 2.0, 0.5), (80, 1, 0.5, -1.0), (200, 2, 1.0, 0.0)]:
        truth = rng.normal(size=rows)
        positive = rng.random(rows) < expit(1.5 * truth)
        p = np.clip(np.round(expit(stretch * truth + shift), decimals), 0.01, 0.99)
        weight = rng.integers(0, 4, size=rows)
        line = tight(sm.Logit(positive.astype(float), sm.add_constant(logit(p))), method="newton", disp=0)
        binomial = sm.families.Binomial()
        ones = np.ones((rows, 1))
        large = tight(sm.GLM(positive.astype(float), ones, family=binomial, offset=logit(p)))
        counted = tight(sm.GLM(positive.astype(float), sm.add_constant(logit(p)), family=binomial,
                               freq_weights=weight.astype(float)))
        iso = IsotonicRegression(out_of_bounds="clip").fit(p, positive)
        base = positive.mean()
        observed, predicted = calibration_curve(positive, p, n_bins=7, strategy="quantile")
        cases.append({
            "positive": positive.tolist(),
            "p": p.tolist(),
            "weight": weight.tolist(),
            "brier": brier_score_loss(positive, p),
            "weighted_brier": brier_score_loss(positive, p, sample_weight=weight),
            # CORP: the score of the isotonic fit stands between.
            "miscalibration": brier_score_loss(positive, p) - brier_score_loss(positive, iso.predict(p)),
            "discrimination": base * (1 - base) - brier_score_loss(positive, iso.predict(p)),
            "intercept": line.params[0],
            "slope": line.params[1],
            "covariance": line.cov_params().tolist(),
            "in_the_large": large.params[0],
            "weighted_slope": counted.params[1],
            "observed": observed.tolist(),
            "predicted": predicted.tolist(),
        })
    return cases


def maps():
    """Platt's sigmoid and isotonic regression, with ties, weights and scores that overlap little."""
    rng = np.random.default_rng(2)
    cases = []
    for rows, decimals, scale, gap in [(100, 12, 1.0, 1.0), (90, 0, 3.0, 2.0), (60, 1, 0.01, 0.0), (30, 12, 1.0, 9.0)]:
        positive = rng.random(rows) < 0.4
        score = scale * np.round(rng.normal(size=rows) + gap * positive, decimals)
        weight = rng.integers(1, 5, size=rows).astype(float)
        hits = positive.sum()
        target = np.where(positive, (hits + 1) / (hits + 2), 1 / (rows - hits + 2))
        # The same likelihood to 1e-12; _SigmoidCalibration stops at a gradient of 1e-6.
        exact = tight(sm.GLM(target, sm.add_constant(score), family=sm.families.Binomial()))
        sigmoid = _SigmoidCalibration().fit(score, positive)
        grid = np.linspace(score.min() - scale, score.max() + scale, 41)
        iso = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
        cases.append({
            "positive": positive.tolist(),
            "score": score.tolist(),
            "weight": weight.tolist(),
            "grid": grid.tolist(),
            "slope": exact.params[1],
            "intercept": exact.params[0],
            "sigmoid": sigmoid.predict(grid).tolist(),
            "isotonic": iso.fit(score, positive).predict(grid).tolist(),
            "weighted_isotonic": iso.fit(score, positive, sample_weight=weight).predict(grid).tolist(),
        })
    return cases


def net_benefit(case):
    """Vickers & Elkin's formula on scikit-learn's confusion matrix."""
    positive, p = np.array(case["positive"]), np.array(case["p"])
    rows = []
    for threshold in [0.01, 0.1, 0.25, 0.5, 0.8]:
        odds = threshold / (1 - threshold)

        def benefit(called):
            tn, fp, fn, tp = confusion_matrix(positive, called, labels=[False, True]).ravel()
            return (tp - odds * fp) / len(positive)

        rows.append([threshold, benefit(p >= threshold), benefit(np.ones(len(p), bool))])
    return rows


def main():
    cases = probabilities()
    interval = proportion_confint(7, 12, alpha=0.05, method="wilson")
    result = {"probabilities": cases, "maps": maps(), "net_benefit": net_benefit(cases[0]), "wilson": list(interval)}
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
