"""Batches of 128 crops of 224 pixels by torchvision's ImageFolder and DataLoader: python torch_load.py FOLDER HOW WORKERS EPOCHS.

HOW is crop (RandomCrop and mirror of prepared images, u8, the work that ours does) or usual (RandomResizedCrop, mirror,
f32, normalised: the recipe of its examples, for photos of any size). One epoch is not counted. Prints {images, seconds,
version}.
"""
import json
import sys
import time

import torch
import torchvision
from torchvision.transforms import v2

RECIPES = {
    "crop": [v2.RandomCrop(224), v2.RandomHorizontalFlip(), v2.PILToTensor()],
    "usual": [
        v2.RandomResizedCrop(224),
        v2.RandomHorizontalFlip(),
        v2.PILToTensor(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ],
}


def main(folder, how, workers, epochs):
    torch.set_num_threads(1)
    images = torchvision.datasets.ImageFolder(folder, v2.Compose(RECIPES[how]))
    loader = torch.utils.data.DataLoader(
        images, batch_size=128, shuffle=True, num_workers=int(workers), persistent_workers=True, prefetch_factor=4
    )
    for _ in loader:
        pass
    start = time.perf_counter()
    for _ in range(int(epochs)):
        for _ in loader:
            pass
    seconds = time.perf_counter() - start
    version = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    print(json.dumps({"images": len(images) * int(epochs), "seconds": seconds, "version": version}))


if __name__ == "__main__":
    main(*sys.argv[1:])
