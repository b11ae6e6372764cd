"""Five folds over all queries of LightGBM's ranking example: LightGBM and XGBoost from PyPI beside Hearth's learners.

    pip install lightgbm xgboost numpy
    HEARTH_DATA=FOLDER cargo run -p hearth-tests --example learner_bench > ours.tsv
    python trainer/bench/lightgbm_peer.py FOLDER/lightgbm-rank ours.tsv

NDCG@10: gain 2^grade - 1, discount 1 / log2(rank + 1), ties by the earlier row, queries without a relevant row skipped.
The table has the mean of each fold, the mean over queries, and the paired difference to LightGBM with its 95 % bootstrap interval.
LightGBM also runs with other seeds and 80 % of features or rows: how far chance alone moves it.
"""

import sys
from collections import defaultdict

import lightgbm
import numpy as np
import xgboost

FOLDS, TREES, FEATURES = 5, 100, 300
LIGHTGBM = {
    "objective": "lambdarank", "learning_rate": 0.1, "num_leaves": 31, "min_data_in_leaf": 50,
    "min_sum_hessian_in_leaf": 5.0, "verbose": -1, "num_threads": 2, "deterministic": True, "force_row_wise": True,
}
XGBOOST = {
    "objective": "rank:ndcg", "tree_method": "hist", "grow_policy": "lossguide", "max_leaves": 31, "max_depth": 0,
    "eta": 0.1, "min_child_weight": 1.0, "lambda": 1.0, "max_bin": 255, "nthread": 2,
}


def read(folder):
    rows, grades, sizes = [], [], []
    for part in ("train", "test"):
        for line in open(f"{folder}/rank.{part}"):
            grade, *cells = line.split()
            row = np.zeros(FEATURES, np.float32)
            for feature, value in (cell.split(":") for cell in cells):
                row[int(feature) - 1] = value
            rows.append(row)
            grades.append(int(grade))
        sizes += [int(line) for line in open(f"{folder}/rank.{part}.query")]
    return np.array(rows), np.array(grades), np.array(sizes)


def ndcg(grades, scores, k=10):
    discounts = 1 / np.log2(np.arange(min(k, len(grades))) + 2)
    dcg = lambda order: float(((2.0 ** grades[order][:k] - 1) * discounts).sum())
    best = dcg(np.argsort(-grades, kind="stable"))
    return dcg(np.argsort(-scores, kind="stable")) / best if best else float("nan")


def fit_lightgbm(x, grades, sizes, **changed):
    return lightgbm.train(LIGHTGBM | changed, lightgbm.Dataset(x, grades, group=sizes), TREES).predict


def fit_xgboost(x, grades, sizes):
    data = xgboost.DMatrix(x, grades)
    data.set_group(sizes)
    model = xgboost.train(XGBOOST, data, TREES)
    return lambda rows: model.predict(xgboost.DMatrix(rows), output_margin=True)


def main(folder, ours):
    x, grades, sizes = read(folder)
    query_of_row = np.repeat(np.arange(len(sizes)), sizes)
    result = defaultdict(lambda: np.full(len(sizes), np.nan))
    usual = {"min_data_in_leaf": 20, "min_sum_hessian_in_leaf": 1e-3}
    peers = {
        "lightgbm": fit_lightgbm,
        "lightgbm usual": lambda *rows: fit_lightgbm(*rows, **usual),
        "xgboost usual": fit_xgboost,
    }
    for seed in range(3):
        for name in ("feature_fraction", "bagging_fraction"):
            change = {name: 0.8, "seed": seed, "bagging_freq": 1}
            peers[f"lightgbm {name} .8, seed {seed}"] = lambda *rows, change=change: fit_lightgbm(*rows, **change)
    for name, fit in peers.items():
        for fold in range(FOLDS):
            train = query_of_row % FOLDS != fold
            predict = fit(x[train], grades[train], sizes[np.arange(len(sizes)) % FOLDS != fold])
            for query in range(fold, len(sizes), FOLDS):
                rows = query_of_row == query
                result[name][query] = ndcg(grades[rows], predict(x[rows]))
    for line in open(ours):
        name, query, value = line.rstrip("\n").split("\t")
        result[name][int(query)] = float(value)

    print(f"lightgbm {lightgbm.__version__}, xgboost {xgboost.__version__}, {len(sizes)} queries, {FOLDS} folds, NDCG@10")
    random = np.random.default_rng(0)
    counted = ~np.isnan(result["lightgbm"])
    draws = random.integers(counted.sum(), size=(10_000, counted.sum()))
    for name, values in result.items():
        folds = " ".join(f"{np.nanmean(values[fold::FOLDS]):.4f}" for fold in range(FOLDS))
        difference = (values - result["lightgbm"])[counted]
        low, high = np.percentile(difference[draws].mean(axis=1), [2.5, 97.5])
        print(f"{name:34} {folds}  mean {np.nanmean(values):.4f}  {difference.mean():+.4f} [{low:+.4f}, {high:+.4f}]")


if __name__ == "__main__":
    main(*sys.argv[1:])
