#!/usr/bin/env python3
"""Vectors like those of faces, and what faiss and hnswlib make of them, beside `rollcall bench gallery`.

    gallery.py make ROWS DIR               writes gallery.f32, queries.f32 and truth.u32 (little-endian, row after row)
    gallery.py peers DIR --threads N       one JSON object a line, as `rollcall bench gallery` prints them
    gallery.py compare DIR --rollcall BIN  runs both in turn and prints a Markdown table of ratios

Most of a vector's length lies in few directions, so strangers are as unlike each other as in a real gallery; a query
and its person's row are two noisy pictures of one face, of cosine 0.52 on average. truth.u32 has the ten nearest rows
of each query, best first, by an exact search.
"""

import argparse
import json
import platform
import datetime
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

DIMENSION = 512
QUERIES = 1000
NEAREST = 10
BLOCK_ROWS = 50_000
# Cosines of a stored and of a new picture with the face itself, and how they vary.
STORED, ASKED, SPREAD = 0.85, 0.62, 0.08
# hnswlib: its usual building parameters, and the widths of search that are tried.
LINKS, BUILD_WIDTH, SEARCH_WIDTHS = 16, 200, (64, 256, 1024)
# Of faiss one query at a time, which takes long, only so many.
SINGLE_QUERIES = 50
BATCH = 32


class Faces:
    """Draws faces and pictures of them."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.weights = np.arange(1, DIMENSION + 1, dtype=np.float32) ** np.float32(-0.45)

    def centers(self, count):
        return unit(self.random.standard_normal((count, DIMENSION), dtype=np.float32) * self.weights)

    def pictures(self, centers, cosine):
        noise = self.random.standard_normal(centers.shape, dtype=np.float32) * np.sqrt(self.weights)
        noise -= np.einsum("ij,ij->i", noise, centers)[:, None] * centers
        cosines = self.random.normal(cosine, SPREAD, len(centers)).clip(0.3, 0.95).astype(np.float32)[:, None]
        return unit(cosines * centers + np.sqrt(1 - cosines**2) * unit(noise))


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def make(args):
    out = Path(args.folder)
    out.mkdir(parents=True, exist_ok=True)
    faces = Faces(args.seed)
    asked = np.sort(faces.random.choice(args.rows, min(QUERIES, args.rows), replace=False))
    queries = []
    with open(out / "gallery.f32", "wb") as file:
        for start in range(0, args.rows, BLOCK_ROWS):
            centers = faces.centers(min(BLOCK_ROWS, args.rows - start))
            faces.pictures(centers, STORED).astype("<f4").tofile(file)
            mine = asked[(asked >= start) & (asked < start + len(centers))] - start
            queries.append(faces.pictures(centers[mine], ASKED))
    queries = np.concatenate(queries).astype("<f4")
    queries.tofile(out / "queries.f32")
    truth = nearest(np.memmap(out / "gallery.f32", "<f4", "r").reshape(-1, DIMENSION), queries)
    truth.astype("<u4").tofile(out / "truth.u32")
    report(rows=args.rows, queries=len(queries), nearest_is_the_person=round(float((truth[:, 0] == asked).mean()), 4))


def nearest(gallery, queries):
    """The nearest rows of each query, block by block."""
    best = np.empty((len(queries), 0), np.float32)
    rows = np.empty((len(queries), 0), np.int64)
    for start in range(0, len(gallery), BLOCK_ROWS):
        products = queries @ np.asarray(gallery[start : start + BLOCK_ROWS]).T
        best = np.hstack([best, products])
        rows = np.hstack([rows, np.broadcast_to(np.arange(start, start + products.shape[1]), products.shape)])
        order = np.argsort(-best, axis=1)[:, :NEAREST]
        best, rows = np.take_along_axis(best, order, 1), np.take_along_axis(rows, order, 1)
    return np.pad(rows, ((0, 0), (0, NEAREST - rows.shape[1])), mode="edge")


def peers(args):
    import faiss
    import hnswlib

    read = lambda name, kind, width: np.fromfile(Path(args.folder) / name, kind).reshape(-1, width)
    gallery, queries = read("gallery.f32", "<f4", DIMENSION), read("queries.f32", "<f4", DIMENSION)
    truth = read("truth.u32", "<u4", NEAREST)
    recall = lambda found: round(float((np.asarray(found)[:, 0] == truth[: len(found), 0]).mean()), 4)
    common = {"rows": len(gallery), "threads": args.threads}

    faiss.omp_set_num_threads(args.threads)
    flat = faiss.IndexFlatIP(DIMENSION)
    flat.add(gallery)
    flat.search(queries[:BATCH], 1)
    single_s, _ = timed(lambda: [flat.search(query[None], 1) for query in queries[:SINGLE_QUERIES]])
    starts = range(0, len(queries), BATCH)
    batch_s, found = timed(lambda: np.vstack([flat.search(queries[at : at + BATCH], 1)[1] for at in starts]))
    report(what="faiss flat", **common, recall_at_1=recall(found),
           single_ms=round(single_s * 1e3 / min(SINGLE_QUERIES, len(queries)), 4),
           batch32_ms_per_query=round(batch_s * 1e3 / len(queries), 4))
    del flat

    graph = hnswlib.Index("ip", DIMENSION)
    graph.init_index(len(gallery), M=LINKS, ef_construction=BUILD_WIDTH)
    graph.set_num_threads(args.threads)
    build_s, _ = timed(lambda: graph.add_items(gallery))
    graph.set_num_threads(1)
    for width in SEARCH_WIDTHS:
        graph.set_ef(width)
        single_s, found = timed(lambda: np.vstack([graph.knn_query(query, 1)[0] for query in queries]))
        report(what="hnswlib", **common, ef=width, recall_at_1=recall(found),
               single_ms=round(single_s * 1e3 / len(queries), 4), build_s=round(build_s, 1))


def timed(work):
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def compare(args):
    bench = lambda threads: lines([args.rollcall, "bench", "gallery", args.folder, "--threads", str(threads), "--no-store"])
    ours = {threads: {line["what"]: line for line in bench(threads)} for threads in (1, 2)}
    theirs = lines([sys.executable, __file__, "peers", args.folder, "--threads", "2"])
    flat = next(line for line in theirs if line["what"] == "faiss flat")
    graphs = [line for line in theirs if line["what"] == "hnswlib"]
    # The nearest to ours of those that find nearly everybody, or the best there is.
    graph = next((line for line in graphs if line["recall_at_1"] >= 0.97), graphs[-1])
    single, batch = ours[1]["planner"], ours[2]["planner"]
    print("| | rollcall | peer | ratio |\n|---|---|---|---|")
    row(f"one query, 1 thread, hnswlib ef {graph['ef']} (recall {graph['recall_at_1']})", single["single_ms"], graph["single_ms"])
    row("32 queries, 2 threads, a query, faiss flat", batch["batch32_ms_per_query"], flat["batch32_ms_per_query"])
    print(f"\n{single['rows']} rows of {DIMENSION} numbers, recall@1 of rollcall {single['recall_at_1']}, "
          f"{single['bytes_per_row']} bytes a row above the vector; {platform.machine()}, {datetime.date.today()}")


def row(what, ours, theirs):
    print(f"| {what} | {ours} ms | {theirs} ms | {theirs / ours:.1f}× |")


def lines(command):
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def report(**line):
    print(json.dumps(line), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    made = commands.add_parser("make")
    made.add_argument("rows", type=int)
    made.add_argument("folder")
    made.add_argument("--seed", type=int, default=1)
    made.set_defaults(run=make)
    against = commands.add_parser("peers")
    against.add_argument("folder")
    against.add_argument("--threads", type=int, default=2)
    against.set_defaults(run=peers)
    compared = commands.add_parser("compare")
    compared.add_argument("folder")
    compared.add_argument("--rollcall", required=True, metavar="BIN")
    compared.set_defaults(run=compare)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
