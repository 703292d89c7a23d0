#!/usr/bin/python3
"""classify.py TRAIN TEST: a classifier on features, from TRAIN.npy with TRAIN.paths.csv, and the same for TEST."""
import sys

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import classification_report
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def table(name):
    """One row a picture: path, label, width, height and the features."""
    features = pd.DataFrame(np.load(name + ".npy")).add_prefix("f")
    rows = pd.read_csv(name + ".paths.csv")
    assert len(rows) == len(features), f"{name}.paths.csv has {len(rows)} rows, {name}.npy has {len(features)}"
    return rows.join(features)


train, test = table(sys.argv[1]), table(sys.argv[2])
features = [column for column in train if column.startswith("f")]
print(train.groupby("label").agg(pictures=("path", "size"), f0=("f0", "mean"), f1=("f1", "mean")).round(3).head(3))
model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000)).fit(train[features], train["label"])
print(classification_report(test["label"], model.predict(test[features]), zero_division=0))
