"""Photos of a folder to 256 x 256 JPEGs by OpenCV in processes of one thread: python cv2_prep.py FOLDER OUT FILTER PROCESSES.

FILTER is area (antialiased, as ours) or linear (its fastest that interpolates). Prints {images, seconds, version}.
"""
import json
import multiprocessing
import sys
import time
from pathlib import Path

import cv2
import numpy as np

FILTERS = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR}
OPTIONS = [cv2.IMWRITE_JPEG_QUALITY, 85, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]


def prepare(job):
    path, out, filter_ = job
    photo = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    height, width = photo.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = cv2.resize(photo[top : top + side, left : left + side], (256, 256), interpolation=FILTERS[filter_])
    cv2.imencode(".jpg", square, OPTIONS)[1].tofile(out)


def main(folder, out, filter_, processes):
    files = sorted(Path(folder).rglob("*.jpg"))
    Path(out).mkdir(parents=True, exist_ok=True)
    jobs = [(str(path), f"{out}/{path.parent.name}-{path.name}", filter_) for path in files]
    with multiprocessing.Pool(int(processes), cv2.setNumThreads, [1]) as pool:
        pool.map(prepare, jobs[:40])
        start = time.perf_counter()
        for _ in pool.imap_unordered(prepare, jobs, chunksize=8):
            pass
        seconds = time.perf_counter() - start
    print(json.dumps({"images": len(jobs), "seconds": seconds, "version": f"OpenCV {cv2.__version__}"}))


if __name__ == "__main__":
    main(*sys.argv[1:])
