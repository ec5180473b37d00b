"""Reads a data set that `ilsvrc prep` wrote with Python's webdataset: python read.py FOLDER [--out FILE].

Counts images and classes of each split and compares them with dataset.json; prints the sizes, into FILE as well. Needs the packages of
requirements.txt.
"""
import argparse
import collections
import json
from pathlib import Path

import webdataset


def read(folder):
    """Lines that say what is there; an assertion fails where dataset.json says otherwise."""
    manifest = json.loads((Path(folder) / "dataset.json").read_text())
    size = (manifest["size"], manifest["size"])
    for split in manifest["splits"]:
        shards = [str(Path(folder) / shard["file"]) for shard in split["shards"]]
        if not shards:
            continue
        images = webdataset.WebDataset(shards, shardshuffle=False).decode("pil").to_tuple("jpg", "cls")
        classes, sizes = collections.Counter(), collections.Counter()
        for image, label in images:
            classes[label] += 1
            sizes[image.size] += 1
        count = sum(classes.values())
        yield f"{split['name']}: {count} images in {len(shards)} shards, {len(classes)} classes, sizes {dict(sizes)}"
        for label, number in sorted(classes.items())[:5]:
            yield f"  {manifest['classes'][label]['wnid']}: {number}"
        assert count == split["images"], f"dataset.json says {split['images']} images"
        assert set(sizes) == {size}, f"dataset.json says {size}"
    yield f"webdataset {webdataset.__version__} reads what dataset.json says"


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder")
    arguments.add_argument("--out")
    given = arguments.parse_args()
    lines = []
    for line in read(given.folder):
        print(line)
        lines.append(line)
    if given.out:
        Path(given.out).write_text("\n".join(["# A data set read by webdataset", "", "```", *lines, "```", ""]))
