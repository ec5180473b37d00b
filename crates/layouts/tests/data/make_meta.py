#!/usr/bin/env python3
"""Writes meta-2012.mat, meta-2010.mat and meta-plain.mat: what ImageNet's development kits hold, made by SciPy.

    python3 make_meta.py LOC_synset_mapping.txt FOLDER      (needs scipy and numpy)

The mapping has the 1,000 classes, a line each: WNID and words. As in the real kit of 2012, IDs are in another order than
sorted WNIDs, leaves come first, and inner nodes follow with IDs above 1000.
"""

import sys
from pathlib import Path

import numpy as np
from scipy.io import savemat


def structs(year, nodes):
    fields = [f"ILSVRC{year}_ID", "WNID", "words", "gloss", "num_children", "children", "wordnet_height", "num_train_images"]
    array = np.zeros((len(nodes), 1), dtype=[(field, object) for field in fields])
    for i, (wnid, words, children, images) in enumerate(nodes):
        array[i, 0] = (float(i + 1), wnid, words, "a gloss", float(len(children)), np.array([children], dtype=float),
                       1.0 if children else 0.0, float(images))
    return array


def write(path, array, compressed):
    savemat(path, {"synsets": array}, do_compression=compressed, format="5")
    # SciPy puts the date into the header; the same input gives the same file.
    header = b"MATLAB 5.0 MAT-file, written by make_meta.py".ljust(116)
    data = path.read_bytes()
    path.write_bytes(header + data[116:])


def main():
    mapping, folder = sys.argv[1], Path(sys.argv[2])
    lines = [line.split(maxsplit=1) for line in Path(mapping).read_text(encoding="utf-8").splitlines() if line.strip()]
    leaves = sorted((wnid, words.strip().removeprefix(": ")) for wnid, words in lines)
    # 389 and 1000 have no common divisor: a permutation. ID 1 is sorted place 151, ID 2 place 540.
    leaves = [leaves[(151 + i * 389) % len(leaves)] for i in range(len(leaves))]
    nodes = [(wnid, words, [], 732 + i % 569) for i, (wnid, words) in enumerate(leaves)]
    inner = [(f"n999{i:05}", f"inner node {i}", list(range(1 + 50 * i, 51 + 50 * i)), 0) for i in range(20)]
    write(folder / "meta-2012.mat", structs(2012, nodes + inner), True)
    write(folder / "meta-2010.mat", structs(2010, nodes[:3] + [("n99900000", "caf\u00e9", [1, 2, 3], 0)]), True)
    write(folder / "meta-plain.mat", structs(2012, nodes[:2] + [("n99900000", "inner", [1, 2], 0)]), False)


main()
