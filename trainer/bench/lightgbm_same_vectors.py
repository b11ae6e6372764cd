"""LightGBM on the very vectors that a run trained and judged on, with the same settings, beside the run's own scores.

    cargo run -p hearth-tests --example dump_vectors -- RUN LOG OUT
    python trainer/bench/lightgbm_same_vectors.py OUT [trees leaves learning_rate min_rows feature_share row_share]
"""

import sys

import lightgbm
import numpy

folder = sys.argv[1]
trees, leaves, rate, min_rows, features, rows = (float(x) for x in (sys.argv[2:] or "100 31 .1 20 1 1".split()))


def read(part):
    y = numpy.fromfile(f"{folder}/y.{part}.f32", "<f4")
    x = numpy.fromfile(f"{folder}/x.{part}.f32", "<f4").reshape(len(y), -1)
    return x, y, numpy.fromfile(f"{folder}/groups.{part}.u32", "<u4"), numpy.fromfile(f"{folder}/score.{part}.f32", "<f4")


def ndcg(y, groups, scores, k=10):
    """A value a request; ties by the earlier candidate."""
    values, at = [], 0
    for size in groups:
        grades, own = y[at : at + size], scores[at : at + size]
        at += size
        order = numpy.argsort(-own.astype("f8"), kind="stable")
        discount = 1 / numpy.log2(numpy.arange(2, min(k, size) + 2))
        dcg = lambda ranked: ((2.0 ** ranked[:k] - 1) * discount).sum()
        values.append(dcg(grades[order]) / dcg(-numpy.sort(-grades)))
    return numpy.array(values)


x, y, groups, _ = read("train")
x_test, y_test, groups_test, ours = read("test")
own = ndcg(y_test, groups_test, ours)
peers = []
for seed in (1, 2, 3):
    settings = dict(
        objective="lambdarank", num_leaves=int(leaves), learning_rate=rate, min_data_in_leaf=int(min_rows),
        feature_fraction=features, bagging_fraction=rows, bagging_freq=int(rows < 1), seed=seed, verbose=-1, num_threads=2,
    )
    model = lightgbm.train(settings, lightgbm.Dataset(x, y, group=groups), int(trees))
    peers.append(ndcg(y_test, groups_test, model.predict(x_test)))
peer = numpy.mean(peers, axis=0)
difference = own - peer
error = difference.std() / len(difference) ** 0.5
by_seed = " ".join(f"{p.mean():.4f}" for p in peers)
print(f"ours {own.mean():.4f}, LightGBM {lightgbm.__version__} {peer.mean():.4f} (seeds {by_seed}), difference {difference.mean():+.4f} +- {1.96 * error:.4f}, {len(own)} requests")
