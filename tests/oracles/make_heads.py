"""Writes heads/heads.safetensors: what scikit-learn's classifiers say on made data.

Pins: python 3.11, numpy 2.4.6, scipy 1.17.1, scikit-learn 1.9.1, safetensors 0.8.0. Run from anywhere:

    python -m venv venv && venv/bin/pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 safetensors==0.8.0
    venv/bin/python tests/oracles/make_heads.py

Features are float32 so that the file is small and both sides read the same numbers; everything is computed in float64.
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

rng = np.random.default_rng(0)
out = {}


def made(rows, features, shift, prevalence):
    """Two noisy normal classes whose columns have scales from 0.01 to 100 and offsets far from zero."""
    y = (rng.random(rows) < prevalence).astype(np.float64)
    x = rng.normal(size=(rows, features)) + y[:, None] * shift
    x[:, 1] += x[:, 0] ** 2
    return x, y


def standardised(model):
    return make_pipeline(StandardScaler(), model)


# 200 training and 80 test rows, a quarter positive; column 20 doubles column 3, column 21 is constant.
shift = rng.normal(size=20) * 0.35
scale, offset = 10.0 ** rng.uniform(-2, 2, size=20), rng.normal(size=20) * 5
x, y = made(280, 20, shift, 0.25)
x = x * scale + offset
x = np.column_stack([x, x[:, 3], np.full(280, 7.25)]).astype(np.float32)
train, test = x[:200].astype(np.float64), x[200:].astype(np.float64)
y_train = y[:200]
out |= {"train.x": x[:200], "test.x": x[200:], "train.y": y_train, "test.y": y[200:]}

models = {
    "linear": LinearRegression(),
    "ridge.10": Ridge(alpha=10.0, solver="svd"),
    "logistic.1": LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-12, max_iter=1000),
    "logistic.100": LogisticRegression(C=100.0, solver="newton-cholesky", tol=1e-12, max_iter=1000),
    "svm-linear.1": SVC(kernel="linear", C=1.0),
    "svm-linear.100": SVC(kernel="linear", C=100.0),
    "svm-rbf.1.scale": SVC(kernel="rbf", C=1.0, gamma="scale"),
    "svm-rbf.10.0.2": SVC(kernel="rbf", C=10.0, gamma=0.2),
    "knn.1": KNeighborsClassifier(1, algorithm="brute"),
    "knn.5": KNeighborsClassifier(5, algorithm="brute"),
    "knn.12": KNeighborsClassifier(12, algorithm="brute"),
}


def scores(model, x, y, test):
    fitted = standardised(model).fit(x, y)
    if hasattr(model, "decision_function") and isinstance(model, SVC):
        return fitted.decision_function(test)
    if hasattr(model, "predict_proba"):
        return fitted.predict_proba(test)[:, 1]
    return fitted.predict(test)


for name, model in models.items():
    out[name] = scores(model, train, y_train, test)

# As they are, not standardised: gamma="scale" must read the raw variance.
out["raw.svm-rbf.1.scale"] = SVC(kernel="rbf", C=1.0, gamma="scale").fit(train, y_train).decision_function(test)
out["raw.knn.5"] = KNeighborsClassifier(5, algorithm="brute").fit(train, y_train).predict_proba(test)[:, 1]

# More features than rows, separable.
shift = rng.normal(size=120) * 0.2
x, y = made(60, 120, shift, 0.4)
x = x.astype(np.float32)
wide, wide_test, y_wide = x[:40].astype(np.float64), x[40:].astype(np.float64), y[:40]
out |= {"wide.train.x": x[:40], "wide.test.x": x[40:], "wide.train.y": y_wide}
for name in ["linear", "logistic.1", "logistic.100", "svm-linear.1"]:
    out[f"wide.{name}"] = scores(models[name], wide, y_wide, wide_test)

path = Path(__file__).parent / "heads" / "heads.safetensors"
path.parent.mkdir(exist_ok=True)
save_file({name: np.ascontiguousarray(value) for name, value in sorted(out.items())}, path)
print(path, {name: value.shape for name, value in out.items()})
