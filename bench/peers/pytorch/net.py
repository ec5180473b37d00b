"""A net description (the JSON of crates/network, `Net`) as a PyTorch module.

Both towers share each tensor, tower 0's maps first: a layer that reads its own tower is a convolution in two groups,
one that reads both is an ordinary one. That is how PyTorch runs a two-tower net fastest, and `goldens.py` holds the
very module that `step.py` times against the engine.
"""

import json

import torch
import torch.nn.functional as F
from torch import nn


def read(path):
    """The description in the file at `path`."""
    with open(path, encoding="utf-8") as file:
        return json.load(file)


class PadEnd(nn.Module):
    """Zeros right of and below the maps, where the last window hangs over the edge."""

    def __init__(self, extra):
        super().__init__()
        self.extra = extra

    def forward(self, x):
        return F.pad(x, (0, self.extra, 0, self.extra))


class TowerNorm(nn.Module):
    """Local response normalisation within each tower: towers become images of their own while it runs.

    PyTorch divides alpha by the size of the window, as `Layer::Lrn` does.
    """

    def __init__(self, towers, layer):
        super().__init__()
        self.towers = towers
        self.settings = {key: layer[key] for key in ("size", "alpha", "beta", "k")}

    def forward(self, x):
        images, maps, *side = x.shape
        split = x.reshape(images * self.towers, maps // self.towers, *side)
        return F.local_response_norm(split, **self.settings).reshape(x.shape)


class Local(nn.Module):
    """Locally connected: weights `[rows, columns, outputs, inputs, size, size]`, biases `[rows, columns, outputs]`."""

    def __init__(self, maps, filters, side, size, stride):
        super().__init__()
        self.size, self.stride = size, stride
        self.weight = nn.Parameter(torch.zeros(side, side, filters, maps, size, size))
        self.bias = nn.Parameter(torch.zeros(side, side, filters))

    def forward(self, x):
        windows = x.unfold(2, self.size, self.stride).unfold(3, self.size, self.stride)
        return torch.einsum("niyxkl,yxoikl->noyx", windows, self.weight) + self.bias.permute(2, 0, 1)


class Net(nn.Module):
    """Images `[batch, 3, crop, crop]` to logits `[batch, classes]`."""

    def __init__(self, description):
        super().__init__()
        self.towers = description["towers"]
        # (name, module, layer) of the layers with parameters, in order.
        self.learned = []
        side, maps, flat = description["crop"], 3, False
        modules = []
        for layer in description["layers"]:
            kind = layer["type"]
            if kind == "local":
                if self.towers > 1:
                    raise ValueError(f"{layer['name']}: locally connected layers of two towers are not built here")
                size, stride, pad = layer["size"], layer["stride"], layer["pad"]
                output = 1 + -(-(2 * pad + side - size) // stride)
                end = max(0, (output - 1) * stride + size - side - pad)
                modules.append(nn.ZeroPad2d((pad, end, pad, end)))
                local = Local(maps, layer["filters"], output, size, stride)
                self.learned.append((layer["name"], local, layer))
                modules.append(local)
                side, maps = output, layer["filters"]
            elif kind == "conv":
                size, stride, pad = layer["size"], layer["stride"], layer["pad"]
                output = 1 + -(-(2 * pad + side - size) // stride)
                extra = (output - 1) * stride + size - (2 * pad + side)
                if extra > 0:
                    modules.append(PadEnd(extra))
                own = bool(self.learned) and layer.get("reads", "own") == "own"
                filters = self.towers * layer["filters"]
                conv = nn.Conv2d(maps, filters, size, stride, pad, groups=self.towers if own else 1)
                self.learned.append((layer["name"], conv, layer))
                modules.append(conv)
                side, maps = output, filters
            elif kind == "dense":
                joined = layer.get("joined", False)
                if self.towers > 1 and layer.get("reads", "own") == "own":
                    raise ValueError(f"{layer['name']}: a dense layer of one tower's outputs is not built here")
                if not flat:
                    modules.append(nn.Flatten())
                    maps, flat = maps * side * side, True
                units = layer["units"] * (1 if joined else self.towers)
                dense = nn.Linear(maps, units)
                self.learned.append((layer["name"], dense, layer))
                modules.append(dense)
                maps = units
            elif kind == "relu":
                modules.append(nn.ReLU(inplace=True))
            elif kind == "lrn":
                modules.append(TowerNorm(self.towers, layer))
            elif kind in ("max_pool", "avg_pool"):
                pool = nn.MaxPool2d if kind == "max_pool" else nn.AvgPool2d
                modules.append(pool(layer["size"], layer["stride"], ceil_mode=True))
                side = -(-(side - layer["size"]) // layer["stride"]) + 1
            elif kind == "dropout":
                # PyTorch scales in training where the paper scales at test; the same work, and equal at rate 0.
                modules.append(nn.Dropout(layer["rate"]))
            else:
                raise ValueError(f"layer type {kind} is not built here")
        self.layers = nn.Sequential(*modules)

    def forward(self, x):
        return self.layers(x)

    def parameter_slices(self):
        """(name in model files, number in its tower, layer, parameter, rows of it) for each tower's parameters."""
        for number, (name, module, layer) in enumerate(self.learned):
            towers = 1 if layer.get("joined", False) else self.towers
            rows = module.weight.shape[0] // towers
            for tower in range(towers):
                own = slice(tower * rows, (tower + 1) * rows)
                prefix = f"tower{tower}.{name}"
                yield f"{prefix}.weight", (tower, 2 * number), layer, module.weight, own
                yield f"{prefix}.bias", (tower, 2 * number + 1), layer, module.bias, own
