"""Turns `cifar-10-binary.tar.gz` into folders of JPEGs that `ilsvrc prep` reads: OUT/{train,val}/<class>/<number>.jpg.

The test batch becomes `val`. JPEG quality 95 without chroma subsampling. Needs Pillow.

    python datasets/cifar10.py cifar-10-binary.tar.gz data/cifar10-photos
"""

import sys
import tarfile
from pathlib import Path

from PIL import Image

SIDE = 32
PLANE = SIDE * SIDE
# A record is the label, then the red, green and blue planes.
RECORD = 1 + 3 * PLANE


def main() -> None:
    """Reads the archive once, from front to back."""
    if len(sys.argv) != 3:
        sys.exit("usage: cifar10.py cifar-10-binary.tar.gz OUT")
    out = Path(sys.argv[2])
    with tarfile.open(sys.argv[1]) as archive:
        members = {Path(member.name).name: member for member in archive if member.isfile()}

        def read(name: str) -> bytes:
            if name not in members:
                sys.exit(f"{sys.argv[1]} holds no {name}: is it the binary version of CIFAR-10?")
            return archive.extractfile(members[name]).read()

        classes = read("batches.meta.txt").decode().split()
        for split, batches in (("train", [f"data_batch_{i}.bin" for i in range(1, 6)]), ("val", ["test_batch.bin"])):
            records = b"".join(read(batch) for batch in batches)
            for name in classes:
                (out / split / name).mkdir(parents=True, exist_ok=True)
            for number in range(len(records) // RECORD):
                record = records[number * RECORD : (number + 1) * RECORD]
                planes = [record[1 + i * PLANE : 1 + (i + 1) * PLANE] for i in range(3)]
                image = Image.merge("RGB", [Image.frombytes("L", (SIDE, SIDE), plane) for plane in planes])
                image.save(out / split / classes[record[0]] / f"{number:05}.jpg", quality=95, subsampling=0)


if __name__ == "__main__":
    main()
