"""Reference numbers for tests/pure/roc.rs, from numpy, scipy, scikit-learn and statsmodels; R's pROC adds its own.

Made with Python 3.11, numpy 2.4.6, scikit-learn 1.9.1, scipy 1.17.1, statsmodels 0.15.0:

    python -m venv venv && venv/bin/pip install numpy==2.4.6 scikit-learn==1.9.1 scipy==1.17.1 statsmodels==0.15.0
    venv/bin/python tests/oracles/make_roc.py
    Rscript tests/oracles/make_roc.R

Writes tests/oracles/roc/roc.json and scores.csv, which make_roc.R reads. Made data only.
"""

import json
from pathlib import Path

import numpy as np
from scipy.stats import bootstrap, rankdata
from sklearn.metrics import roc_auc_score
from statsmodels.stats.multitest import multipletests

OUT = Path(__file__).parent / "roc"
RESAMPLES = 20_000


def kernel(x, y):
    """Psi of DeLong 1988: 1 where the positive stands higher, 1/2 for a tie."""
    return (x > y) + 0.5 * (x == y)


def components(positive, score):
    """V10 and V01 from all pairs, without ranks."""
    pairs = kernel(score[positive][:, None], score[~positive][None, :])
    return pairs.mean(), pairs.mean(1), pairs.mean(0)


def delong(positive, scores):
    """Equation 4 of the paper: S = S10 / m + S01 / n, by numpy's covariance of the components."""
    auc, v10, v01 = zip(*(components(positive, score) for score in scores))
    m, n = positive.sum(), (~positive).sum()
    return list(auc), np.atleast_2d(np.cov(v10)) / m + np.atleast_2d(np.cov(v01)) / n


def obuchowski(positive, patient, scores):
    """Obuchowski 1997, section 3, sum by sum: clusters i with m_i positives X_ij and n_i negatives Y_ik."""
    m, n = int(positive.sum()), int((~positive).sum())
    ids = sorted(set(patient))
    clusters = len(ids)
    i10 = sum(any(p for p, who in zip(positive, patient) if who == i) for i in ids)
    i01 = sum(any(not p for p, who in zip(positive, patient) if who == i) for i in ids)
    area, x_sum, y_sum = [], [], []
    for score in scores:
        xs = [(who, s) for s, p, who in zip(score, positive, patient) if p]
        ys = [(who, s) for s, p, who in zip(score, positive, patient) if not p]
        area.append(sum(float(kernel(x, y)) for _, x in xs for _, y in ys) / (m * n))
        # V10(X_i.) and V01(Y_i.), and their numbers
        x_sum.append({i: (sum(sum(float(kernel(x, y)) for _, y in ys) / n for who, x in xs if who == i),
                          sum(who == i for who, _ in xs)) for i in ids})
        y_sum.append({i: (sum(sum(float(kernel(x, y)) for _, x in xs) / m for who, y in ys if who == i),
                          sum(who == i for who, _ in ys)) for i in ids})
    covariance = np.zeros((len(scores), len(scores)))
    for r in range(len(scores)):
        for s in range(len(scores)):
            s10 = s01 = s11_rs = s11_sr = 0.0
            for i in ids:
                x_r = x_sum[r][i][0] - x_sum[r][i][1] * area[r]
                x_s = x_sum[s][i][0] - x_sum[s][i][1] * area[s]
                y_r = y_sum[r][i][0] - y_sum[r][i][1] * area[r]
                y_s = y_sum[s][i][0] - y_sum[s][i][1] * area[s]
                s10 += x_r * x_s
                s01 += y_r * y_s
                s11_rs += x_r * y_s
                s11_sr += x_s * y_r
            s10 *= i10 / ((i10 - 1) * m)
            s01 *= i01 / ((i01 - 1) * n)
            s11_rs *= clusters / (clusters - 1)
            s11_sr *= clusters / (clusters - 1)
            covariance[r, s] = s10 / m + s01 / n + s11_rs / (m * n) + s11_sr / (m * n)
    return area, covariance


def made(rng, patients, per_patient, columns, decimals, both_classes):
    """Rows in patients, with a share of each score that is the patient's own."""
    patient = np.repeat(np.arange(patients), rng.integers(1, per_patient + 1, patients))
    of_patient = np.arange(patients) % 5 < 2
    positive = of_patient[patient]
    if both_classes:
        positive = positive ^ (rng.random(len(patient)) < 0.2)
    shared = rng.normal(size=(patients, 1))
    own = rng.normal(size=(patients, columns))
    score = (shared + own)[patient] + rng.normal(size=(len(patient), columns)) + positive[:, None] * [1.2, 0.8, 0.1][:columns]
    return positive, patient, np.round(score.T, decimals) + 0.0


def covariances():
    rng = np.random.default_rng(1)
    cases = []
    for patients, per_patient, decimals, both in [(60, 1, 12, False), (60, 1, 0, False), (40, 4, 1, False),
                                                  (40, 4, 12, True), (25, 6, 0, True)]:
        positive, patient, scores = made(rng, patients, per_patient, 3, decimals, both)
        auc, plain = delong(positive, scores)
        for score, area in zip(scores, auc):
            assert abs(roc_auc_score(positive, score) - area) < 1e-14
        area, clustered = obuchowski(positive, patient, scores)
        assert np.allclose(area, auc, atol=1e-14)
        if per_patient == 1:
            assert np.allclose(plain, clustered, rtol=1e-13, atol=0)
        cases.append({"positive": positive.tolist(), "patient": patient.tolist(), "scores": scores.tolist(),
                      "auc": auc, "delong": plain.tolist(), "clustered": clustered.tolist()})
    return cases


def bca():
    """scipy.stats.bootstrap over patients, whose rows are looked up: few and skewed, so that BCa and percentile differ."""
    rng = np.random.default_rng(2)
    positive, patient, scores = made(rng, 30, 4, 2, 1, True)
    scores[0] += 1.3 * positive
    rows = [np.flatnonzero(patient == i) for i in range(30)]

    def area(who, score):
        at = np.concatenate([rows[i] for i in who])
        ranks, truth = rankdata(score[at]), positive[at]
        m, n = truth.sum(), (~truth).sum()
        return (ranks[truth].sum() - m * (m + 1) / 2) / (m * n)

    case = {"positive": positive.tolist(), "patient": patient.tolist(), "scores": scores.tolist(),
            "resamples": RESAMPLES}
    statistics = {"auc": lambda who: area(who, scores[0]),
                  "difference": lambda who: area(who, scores[0]) - area(who, scores[1])}
    for name, statistic in statistics.items():
        case[name] = {}
        for method in ["BCa", "percentile"]:
            found = bootstrap((np.arange(30),), statistic, n_resamples=RESAMPLES, vectorized=False, method=method,
                              rng=np.random.default_rng(3))
            ci = found.confidence_interval
            case[name][method] = [ci.low, ci.high]
        case[name]["standard_error"] = found.standard_error
    return case


def adjusted():
    rng = np.random.default_rng(4)
    cases = []
    for p in [rng.random(6) ** 3, np.array([0.04, 0.01, 0.04, 0.0, 1.0, 0.01]), np.array([0.03])]:
        p = np.round(p, 4)
        cases.append({"p": p.tolist(), **{method: multipletests(p, method=method)[1].tolist()
                                          for method in ["holm", "bonferroni"]}})
    return cases


def partial():
    """McClish's corrected area below a false-positive rate: roc_auc_score(max_fpr=...)."""
    rng = np.random.default_rng(5)
    cases = []
    for decimals in [12, 0]:
        positive, _, [score] = made(rng, 80, 1, 1, decimals, False)
        cases.append({"positive": positive.tolist(), "score": score.tolist(),
                      "corrected": {str(fpr): roc_auc_score(positive, score, max_fpr=fpr) for fpr in [0.1, 0.25, 0.9]}})
    return cases


def main():
    oracle = {"covariances": covariances(), "bca": bca(), "adjusted": adjusted(), "partial": partial()}
    (OUT / "roc.json").write_text(json.dumps(oracle) + "\n")
    rng = np.random.default_rng(0)
    positive, patient, scores = made(rng, 160, 1, 3, 1, False)
    lines = ["patient,positive,a,b,c"]
    lines += [f"{who},{int(truth)},{a},{b},{c}" for who, truth, a, b, c in zip(patient, positive, *scores)]
    (OUT / "scores.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
