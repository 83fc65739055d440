#!/usr/bin/env python3
"""The pipeline of `rollcall bench nets` and `rollcall bench photos` on ONNX Runtime and OpenCV.

    peer.py --models DIR nets [--batch 1 8 16] [--repeat 40]
    peer.py --models DIR photos FILE... [--threads 1] [--seconds 8] [--liveness] [--long-side 1280]

DIR holds the published networks as yunet.onnx, mobilefacenet.onnx, minifasnet.onnx and headpose.onnx
(models/derive.sh --keep DIR). A photo goes from the file's bytes to one unit vector a face. Threads are processes, each
with single-threaded sessions: on a queue of photos that is the fastest way to run ONNX Runtime. One JSON object a line,
with the keys of `rollcall bench`.
"""

import argparse
import json
import multiprocessing
import statistics
import time
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime

MIN_SCORE = 0.6
NMS_IOU = 0.3
STRIDES = (8, 16, 32)
LIVENESS_GROWTH = 2.7
WARM_UP = 5
# The ArcFace template: eyes, nose and corners of the mouth in an aligned crop of 112x112.
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)


class Network:
    """A published network on one thread; the axes of its input in `free_axes` may have any length."""

    def __init__(self, folder, name, free_axes=()):
        model = onnx.load(str(Path(folder) / f"{name}.onnx"))
        if free_axes:
            release(model.graph, free_axes)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.input = self.session.get_inputs()[0].name
        self.outputs = [output.name for output in self.session.get_outputs()]

    def __call__(self, tensor):
        return self.session.run(None, {self.input: tensor})


def release(graph, free_axes):
    """Frees axes that the file pins: of the input those that are named, of the outputs all."""
    pinned = [(graph.input[0], free_axes)] + [(output, None) for output in graph.output]
    for value, axes in pinned:
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            if axes is None or axis in axes:
                dimension.dim_param = f"{value.name}_{axis}"
    # MobileFaceNet's last Reshape pins a batch of one in its constant.
    if 0 in free_axes:
        for constant in graph.initializer:
            if onnx.numpy_helper.to_array(constant).tolist() == [1, -1]:
                constant.CopyFrom(onnx.numpy_helper.from_array(np.array([-1, 512], np.int64), constant.name))


class Pipeline:
    def __init__(self, models, long_side, liveness):
        self.detector = Network(models, "yunet", free_axes=(2, 3))
        self.embedder = Network(models, "mobilefacenet", free_axes=(0,))
        self.anti_spoof = Network(models, "minifasnet") if liveness else None
        self.long_side = long_side

    def photo(self, path):
        """From the file to vectors (and liveness); returns the number of faces."""
        photo = cv2.imdecode(np.frombuffer(Path(path).read_bytes(), np.uint8), cv2.IMREAD_COLOR)
        faces = self.detect(photo)
        self.embed(photo, [landmarks for _, _, landmarks in faces])
        if self.anti_spoof:
            for _, box, _ in faces:
                self.liveness(photo, box)
        return len(faces)

    def detect(self, photo):
        """(score, box, landmarks) of each face, best first, in pixels of the photo."""
        height, width = photo.shape[:2]
        scale = min(1.0, self.long_side / max(height, width))
        if scale < 1:
            photo = cv2.resize(photo, (round(width * scale), round(height * scale)))
        height, width = photo.shape[:2]
        padded = np.zeros((-(-height // 32) * 32, -(-width // 32) * 32, 3), np.float32)
        padded[:height, :width] = photo
        answer = dict(zip(self.detector.outputs, self.detector(padded.transpose(2, 0, 1)[None])))
        found = [face for stride in STRIDES for face in at_stride(answer, stride, padded.shape[1] // stride)]
        found.sort(key=lambda face: -face[0])
        kept = []
        for face in found:
            if all(overlap(face[1], other[1]) <= NMS_IOU for other in kept):
                kept.append(face)
        return [(score, box / scale, (landmarks / scale).astype(np.float32)) for score, box, landmarks in kept]

    def embed(self, photo, faces):
        """One unit vector of 512 a face."""
        if not faces:
            return np.zeros((0, 512), np.float32)
        crops = np.stack([align(photo, landmarks) for landmarks in faces]).astype(np.float32)
        tensor = ((crops - 127.5) / 128).transpose(0, 3, 1, 2).copy()
        vectors = self.embedder(tensor)[0]
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def liveness(self, photo, box):
        """The probabilities of a live face, a spoof and neither."""
        crop = cv2.resize(grown(photo, box), (128, 128)).astype(np.float32)
        logits = self.anti_spoof(crop.transpose(2, 0, 1)[None].copy())[0][0]
        powers = np.exp(logits - logits.max())
        return powers / powers.sum()


def at_stride(answer, stride, columns):
    """The faces over the least score in one of the detector's three grids."""
    classes, objects = answer[f"cls_{stride}"].ravel(), answer[f"obj_{stride}"].ravel()
    scores = np.sqrt(np.clip(classes, 0, 1) * np.clip(objects, 0, 1))
    for cell in np.flatnonzero(scores >= MIN_SCORE):
        corner = np.array([cell % columns, cell // columns])
        offset, points = answer[f"bbox_{stride}"][0, cell], answer[f"kps_{stride}"][0, cell]
        centre, half = (corner + offset[:2]) * stride, np.exp(offset[2:]) * stride / 2
        box = np.concatenate([centre - half, centre + half])
        yield float(scores[cell]), box, (points.reshape(5, 2) + corner) * stride


def overlap(a, b):
    """Intersection over union."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / (union + 1e-9)


def align(photo, landmarks):
    """The least-squares similarity of Umeyama (1991) from the landmarks onto the template, as a crop of 112x112."""
    source_mean, target_mean = landmarks.mean(0), TEMPLATE.mean(0)
    source, target = landmarks - source_mean, TEMPLATE - target_mean
    left, values, right = np.linalg.svd(target.T @ source / len(source))
    signs = np.array([1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    scaled = (left * signs) @ right * ((values * signs).sum() / source.var(0).sum())
    return cv2.warpAffine(photo, np.hstack([scaled, (target_mean - scaled @ source_mean)[:, None]]), (112, 112))


def grown(photo, box):
    """The box grown about its centre, moved into the photo and never larger than it."""
    limit = np.array([photo.shape[1], photo.shape[0]]) - 1
    size = box[2:] - box[:2]
    size = size * min(*(limit / size), LIVENESS_GROWTH)
    start = np.clip((box[:2] + box[2:] - size) / 2, 0, limit - size)
    (left, top), (right, bottom) = start.astype(int), (start + size).astype(int)
    return photo[top : bottom + 1, left : right + 1]


def bench_nets(args):
    noise = np.random.default_rng(0)
    cases = [("yunet", (2, 3), (3, 640, 640), [1]), ("yunet", (2, 3), (3, 960, 1280), [1])]
    cases += [("mobilefacenet", (0,), (3, 112, 112), args.batch)]
    cases += [("minifasnet", (), (3, 128, 128), [1]), ("headpose", (), (3, 224, 224), [1])]
    for name, free_axes, shape, batches in cases:
        network = Network(args.models, name, free_axes)
        for batch in batches:
            tensor = noise.random((batch, *shape), np.float32)
            for _ in range(WARM_UP):
                network(tensor)
            times = sorted(milliseconds(lambda: network(tensor)) for _ in range(args.repeat))
            median = statistics.median(times)
            report(what=name, shape=[batch, *shape], threads=1, median_ms=round(median, 3), min_ms=round(times[0], 3),
                   ms_per_item=round(median / batch, 3))


def milliseconds(work):
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def start_worker(*options):
    global pipeline
    cv2.setNumThreads(1)
    pipeline = Pipeline(*options)


def one_photo(path):
    return pipeline.photo(path)


def bench_photos(args):
    options = (args.models, args.long_side, args.liveness)
    with multiprocessing.Pool(args.threads, start_worker, options) as pool:
        pool.map(one_photo, args.files * args.threads, chunksize=1)
        photos, faces, start = 0, 0, time.perf_counter()
        while time.perf_counter() - start < args.seconds:
            found = pool.map(one_photo, args.files * 2 * args.threads, chunksize=1)
            photos, faces = photos + len(found), faces + sum(found)
        seconds = time.perf_counter() - start
    report(what="photos", threads=args.threads, liveness=args.liveness, long_side=args.long_side,
           photos_per_s=round(photos / seconds, 2), faces_per_s=round(faces / seconds, 1))


def report(**line):
    print(json.dumps(line), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", required=True, metavar="DIR")
    commands = parser.add_subparsers(required=True)
    nets = commands.add_parser("nets")
    nets.add_argument("--batch", type=int, nargs="+", default=[1, 8, 16])
    nets.add_argument("--repeat", type=int, default=40)
    nets.set_defaults(run=bench_nets)
    photos = commands.add_parser("photos")
    photos.add_argument("files", nargs="+", metavar="FILE")
    photos.add_argument("--threads", type=int, default=1)
    photos.add_argument("--seconds", type=float, default=8)
    photos.add_argument("--liveness", action="store_true")
    photos.add_argument("--long-side", type=int, default=1280)
    photos.set_defaults(run=bench_photos)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
