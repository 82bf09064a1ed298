"""Reference numbers for tests/pure/explain.rs, from numpy and scikit-learn.

Made with Python 3.11, numpy 2.4.6, scikit-learn 1.9.1:

    python -m venv venv && venv/bin/pip install numpy==2.4.6 scikit-learn==1.9.1
    venv/bin/python tests/oracles/make_explain.py

Writes tests/oracles/explain/explain.json. Made data only; features are whole numbers of 64ths.
"""

import json
from pathlib import Path

import numpy as np
from sklearn.manifold import TSNE, trustworthiness
from sklearn.neighbors import NearestNeighbors

OUT = Path(__file__).parent / "explain" / "explain.json"

rng = np.random.default_rng(0)
# Four groups of 30 rows whose columns are turned into each other, with offsets far from zero.
group = np.arange(120) % 4
x = (rng.normal(size=(120, 7)) + 3 * rng.normal(size=(4, 7))[group]) @ rng.normal(size=(7, 7)) + rng.normal(size=7) * 20
parts = np.rint(x * 64).astype(int)
x = parts / 64

centred = x - x.mean(0)
left, singular, _ = np.linalg.svd(centred, full_matrices=False)
places = left * singular
places *= np.sign(places[np.abs(places).argmax(0), range(7)])

# From the components, as the program starts; standard deviation 1e-4 is scikit-learn's own for init="pca".
start = places[:, :2] / places[:, 0].std() * 1e-4
tsne = TSNE(method="exact", perplexity=15.0, init=start, learning_rate="auto", max_iter=1000)
embedded = tsne.fit_transform(x)

distance, nearest = NearestNeighbors(n_neighbors=6).fit(x).kneighbors(x)

OUT.parent.mkdir(exist_ok=True)
OUT.write_text(
    json.dumps(
        {
            "features_64ths": parts.tolist(),
            "places": places.tolist(),
            "shares": (singular**2 / (singular**2).sum()).tolist(),
            "divergence": float(tsne.kl_divergence_),
            "trustworthiness": float(trustworthiness(x, embedded, n_neighbors=10)),
            "nearest": nearest[:, 1:].tolist(),
            "distance": distance[:, 1:].tolist(),
        }
    )
)
