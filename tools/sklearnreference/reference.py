#!/usr/bin/python3
"""Computes the values that the measures of package eval are tested against, with scikit-learn, SciPy and NumPy.

    apt-get install python3-sklearn
    /usr/bin/python3 tools/sklearnreference/reference.py > eval/testdata/sklearn.json

The file holds a training part of 90 and a test part of 40 vectors of 12 numbers in 4 classes, 30 anomalies, a second view
of the training part, and the measures of them in float64.
"""

import json
import sys

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.covariance import LedoitWolf
from sklearn.metrics import (adjusted_rand_score, average_precision_score, normalized_mutual_info_score,
                             roc_auc_score)
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

CLASSES, DIM = 4, 12
DRAW = np.random.default_rng(1)
CENTRES = DRAW.standard_normal((CLASSES, DIM))


def part(draw, rows, spread=1.0):
    """Vectors about the centres of their classes, row i in class i mod 4; in three decimals, so that they are short."""
    labels = np.arange(rows) % CLASSES
    x = np.round(CENTRES[labels] + spread * draw.standard_normal((rows, DIM)), 3)
    return x.astype(np.float32).astype(np.float64), labels


def retrieval(train, train_labels, test, test_labels):
    similarities = normalize(test) @ normalize(train).T
    relevant = train_labels[None, :] == test_labels[:, None]
    precisions = [average_precision_score(r, s) for r, s in zip(relevant, similarities)]
    order = np.argsort(-similarities, axis=1)
    first = np.argmax(np.take_along_axis(relevant, order, axis=1), axis=1)
    return {"map": np.mean(precisions), **{f"recall_{k}": np.mean(first < k) for k in (1, 5, 10)}}


def clustering(train, test, labels):
    """The best of many restarts: what any good k-means finds on so few rows."""
    means = KMeans(CLASSES, n_init=200, random_state=0, tol=0).fit(normalize(train))
    clusters = means.predict(normalize(test))
    table = np.zeros((CLASSES, CLASSES), int)
    np.add.at(table, (clusters, labels), 1)
    rows, columns = linear_sum_assignment(-table)
    return {"inertia": means.inertia_, "nmi": normalized_mutual_info_score(labels, clusters),
            "ari": adjusted_rand_score(labels, clusters), "accuracy": table[rows, columns].sum() / len(labels)}


def outliers(train, test, anomalies, k):
    neighbours = NearestNeighbors(n_neighbors=k).fit(normalize(train))
    wolf = LedoitWolf().fit(train)
    knn = [neighbours.kneighbors(normalize(x))[0][:, -1] for x in (test, anomalies)]
    mahalanobis = [np.sqrt(wolf.mahalanobis(x)) for x in (test, anomalies)]
    truth = np.repeat([0, 1], [len(test), len(anomalies)])
    return {"shrinkage": wolf.shrinkage_, "knn": knn[0].tolist(), "mahalanobis": mahalanobis[0].tolist(),
            "auroc_knn": roc_auc_score(truth, np.concatenate(knn)),
            "auroc_mahalanobis": roc_auc_score(truth, np.concatenate(mahalanobis))}


def health(rows, other):
    s = np.linalg.svd(rows, compute_uv=False)
    p = s / s.sum() + 1e-7
    unit = normalize(rows)
    distances = ((unit[:, None] - unit[None, :]) ** 2).sum(-1)[np.triu_indices(len(unit), 1)]
    return {"rankme": np.exp(-(p * np.log(p)).sum()), "feature_std": unit.std(0).mean() * np.sqrt(rows.shape[1]),
            "alignment": ((unit - normalize(other)) ** 2).sum(1).mean(),
            "uniformity": np.log(np.exp(-2 * distances).mean())}


def main():
    (train, train_labels), (test, test_labels) = part(DRAW, 90), part(DRAW, 40)
    anomalies, other = part(DRAW, 30, 1.6)[0], train + 0.3 * DRAW.standard_normal(train.shape)
    other = np.round(other, 3).astype(np.float32).astype(np.float64)
    parts = {"train": train, "test": test, "anomalies": anomalies, "other": other}
    json.dump({
        "retrieval": retrieval(train, train_labels, test, test_labels),
        "clustering": clustering(train, test, test_labels),
        "outliers": outliers(train, test, anomalies, 5),
        "health": health(train, other),
        **{name: np.round(rows, 3).ravel().tolist() for name, rows in parts.items()},
    }, sys.stdout)
    print()


if __name__ == "__main__":
    main()
