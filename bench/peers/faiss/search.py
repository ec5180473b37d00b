"""Nearest neighbours by faiss: python search.py BASE.npy QUERIES.npy K BATCH THREADS.

Builds a flat index (all vectors compared, f32) and a graph (HNSW, f32), and prints a line {version, truth, indexes}: truth
are the K nearest rows of each query by f64 arithmetic on all of them. Then, for each line on stdin, a line of queries a
second of both: one at a time, and BATCH at a time.
"""
import json
import os
import sys
import tempfile
import time

import faiss
import numpy as np


def truth(base, queries, k):
    """Rows by squared distance in f64, ties by number."""
    parts = np.array_split(base, len(base) // 2000 + 1)
    wide = queries.astype(np.float64)
    products = np.concatenate([part.astype(np.float64) @ wide.T for part in parts])
    lengths = np.concatenate([(part.astype(np.float64) ** 2).sum(1) for part in parts])
    distances = lengths[:, None] - 2 * products
    return [np.lexsort((np.arange(len(base)), column))[:k].tolist() for column in distances.T]


def size(index):
    """Bytes of the index as a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "index")
        faiss.write_index(index, path)
        return os.path.getsize(path)


def build(index, base):
    start = time.perf_counter()
    index.add(base)
    return index, time.perf_counter() - start


def rate(index, queries, k, batch):
    start = time.perf_counter()
    for first in range(0, len(queries), batch):
        index.search(queries[first : first + batch], k)
    return len(queries) / (time.perf_counter() - start)


def main(base, queries, k, batch, threads):
    base, queries, k, batch = np.load(base), np.load(queries), int(k), int(batch)
    faiss.omp_set_num_threads(int(threads))
    dimension = base.shape[1]
    graph = faiss.IndexHNSWFlat(dimension, 16)
    graph.hnsw.efConstruction = graph.hnsw.efSearch = 128
    built = {"flat": build(faiss.IndexFlatL2(dimension), base), "HNSW": build(graph, base)}
    indexes = {
        name: {"build_seconds": seconds, "bytes": size(index), "rows": index.search(queries, k)[1].tolist()}
        for name, (index, seconds) in built.items()
    }
    first = {"version": f"faiss {faiss.__version__}", "truth": truth(base, queries, k), "indexes": indexes}
    print(json.dumps(first), flush=True)
    for _ in sys.stdin:
        rates = {name: [rate(index, queries, k, 1), rate(index, queries, k, batch)] for name, (index, _) in built.items()}
        print(json.dumps(rates), flush=True)


main(*sys.argv[1:])
