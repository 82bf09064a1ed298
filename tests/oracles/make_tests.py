"""Reference numbers for tests/pure/tests_of_counts.rs, from scipy, statsmodels, scikit-learn and irrCAC.

Made with Python 3.11, numpy 2.4.6, pandas 3.1.1, scipy 1.17.1, statsmodels 0.15.0, scikit-learn 1.9.1, irrCAC 0.4.4:

    python -m venv venv && venv/bin/pip install numpy==2.4.6 pandas==3.1.1 scipy==1.17.1 statsmodels==0.15.0 \
        scikit-learn==1.9.1 && venv/bin/pip install --no-deps irrCAC==0.4.4
    venv/bin/python tests/oracles/make_tests.py

Writes tests/oracles/tests/tests.json. Made data, and counts that Song 2020 and Pu 2020 print.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from irrCAC.raw import CAC
from scipy import stats
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.contingency_tables import Table, mcnemar
from statsmodels.stats.inter_rater import cohens_kappa, fleiss_kappa

OUT = Path(__file__).parent / "tests" / "tests.json"


def counts():
    rng = np.random.default_rng(0)
    tables = [
        [[53, 50], [45, 53]], [[42, 8], [40, 10]], [[3, 1], [1, 3]], [[0, 5], [7, 2]], [[1, 9], [11, 3]],
        [[250, 260], [300, 210]], [[10, 0], [0, 12]], [[5, 5, 5], [1, 9, 4]], [[12, 7], [3, 9], [8, 8], [1, 14]],
        rng.integers(1, 30, (4, 5)).tolist(),
    ]
    cases = []
    for table in tables:
        plain = stats.chi2_contingency(table, correction=False)
        case = {"table": table, "chi2": [plain.statistic, plain.dof, plain.pvalue],
                "smallest": float(plain.expected_freq.min())}
        scores = [np.arange(len(table), dtype=float), np.arange(len(table[0]), dtype=float) ** 2]
        trend = Table(np.array(table, float), shift_zeros=False)
        result = trend.test_ordinal_association(row_scores=scores[0], col_scores=scores[1])
        case["scores"] = [s.tolist() for s in scores]
        # Its z is standardised with the hypergeometric variance, so that z^2 is M2 = (n - 1) r^2.
        case["trend"] = [result.zscore**2, result.pvalue]
        if np.shape(table) == (2, 2):
            yates = stats.chi2_contingency(table, correction=True)
            case["yates"] = [yates.statistic, yates.pvalue]
            case["fisher"] = stats.fisher_exact(table).pvalue
        cases.append(case)
    return cases


def paired():
    # Not b = c: statsmodels corrects a difference of 0 to -1 there, R and hounsfield leave it at 0.
    cases = []
    for b, c in [(11, 8), (7, 5), (0, 6), (2, 1), (25, 4), (300, 340)]:
        table = [[20, b], [c, 30]]
        plain, corrected, exact = (
            mcnemar(table, exact=False, correction=False), mcnemar(table, exact=False, correction=True),
            mcnemar(table, exact=True))
        cases.append({"b": b, "c": c, "plain": [plain.statistic, plain.pvalue],
                      "corrected": [corrected.statistic, corrected.pvalue], "exact": float(exact.pvalue)})
    return cases


def trends():
    """Cochran-Armitage is the score test of a logistic slope: here as n r^2 with scipy's pearsonr."""
    cases = []
    made = [([1, 4, 9], [20, 20, 20], [0.0, 1.0, 2.0]), ([10, 8, 3, 1], [15, 20, 18, 25], [1.0, 2.0, 4.0, 8.0])]
    for hits, trials, scores in made:
        x = np.repeat(scores, trials)
        y = np.concatenate([np.r_[np.ones(h), np.zeros(t - h)] for h, t in zip(hits, trials)])
        z = np.sqrt(len(x)) * stats.pearsonr(x, y).statistic
        cases.append({"hits": hits, "trials": trials, "scores": scores, "z": z, "p": 2 * stats.norm.sf(abs(z))})
    return cases


def summaries():
    rng = np.random.default_rng(1)
    cases = []
    for sizes in [(27, 50), (3, 40), (12, 12, 9), (97, 27, 27, 5)]:
        groups = [rng.normal(rng.normal(), 1 + rng.random(), n) for n in sizes]
        first, second = groups[:2]
        pooled, welch = stats.ttest_ind(first, second), stats.ttest_ind(first, second, equal_var=False)
        anova, whole = stats.f_oneway(*groups), np.concatenate(groups)
        cases.append({
            "groups": [[len(g), g.mean(), g.std(ddof=1)] for g in groups],
            "pooled": [pooled.statistic, pooled.df, pooled.pvalue],
            "welch": [welch.statistic, welch.df, welch.pvalue],
            "anova": [anova.statistic, anova.pvalue],
            "whole": [len(whole), whole.mean(), whole.std(ddof=1)],
        })
    return cases


def kappas():
    rng = np.random.default_rng(2)
    tables = [[[11, 11], [8, 20]], [[35, 7], [5, 3]], [[20, 0], [4, 1]], [[9, 2, 0], [1, 7, 3], [0, 2, 8]],
              rng.integers(0, 15, (5, 5)).tolist()]
    cases = []
    for table in tables:
        k = len(table)
        flat = np.repeat(np.arange(k * k), np.ravel(table))
        first, second = flat // k, flat % k
        case = {"table": table}
        for weights in [None, "linear", "quadratic"]:
            value = cohen_kappa_score(first, second, weights=weights, labels=range(k))
            found = cohens_kappa(np.array(table), wt=weights)
            assert abs(found.kappa - value) < 1e-12, (found.kappa, value)
            case[weights or "unweighted"] = [value, found.std_kappa, found.std_kappa0]
        cases.append(case)
    return cases


def fleiss():
    rng = np.random.default_rng(3)
    cases = []
    for n, raters, categories, missing in [(30, 3, 2, 0), (14, 6, 5, 0), (40, 4, 3, 0.2)]:
        own = rng.integers(0, categories, n)
        given = np.where(rng.random((n, raters)) < 0.6, own[:, None], rng.integers(0, categories, (n, raters))).astype(float)
        given[rng.random(given.shape) < missing] = np.nan
        table = [[int((row == c).sum()) for c in range(categories)] for row in given]
        est = CAC(pd.DataFrame(given), digits=15).fleiss()["est"]
        case = {"table": table, "kappa": est["coefficient_value"], "se": float(est["se"])}
        if not missing:
            case["statsmodels"] = fleiss_kappa(np.array(table), method="fleiss")
        cases.append(case)
    return cases


def main():
    OUT.parent.mkdir(exist_ok=True)
    numbers = {"counts": counts(), "paired": paired(), "trends": trends(), "summaries": summaries(), "kappas": kappas(),
               "fleiss": fleiss()}
    plain = lambda value: value.item() if isinstance(value, np.generic) else value.tolist()
    OUT.write_text(json.dumps(numbers, default=plain, indent=1) + "\n")


if __name__ == "__main__":
    main()
