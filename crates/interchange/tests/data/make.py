"""Small models as torchvision and Caffe store them, and what PyTorch computes with them. Needs torch; once by hand:

    python crates/interchange/tests/data/make.py

Weights are seeded, so the files come out the same. Caffe's are written field by field (numbers: caffe.proto of BVLC/caffe).
"""
import json
import struct
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

HERE = Path(__file__).parent
CLASSES = 5


def photo(side):
    """The photo of the goldens: the tests draw it by the same formula."""
    y, x, c = torch.meshgrid(torch.arange(side), torch.arange(side), torch.arange(3), indexing='ij')
    return ((y * y // 9 + 3 * x * (c + 1) + 17 * ((x * y) % 13) + 40 * c) % 256).double()


def centre(pixels, crop):
    """`side x side x 3` to `1 x 3 x crop x crop`."""
    corner = (pixels.shape[0] - crop) // 2
    return pixels[corner : corner + crop, corner : corner + crop].permute(2, 0, 1)[None]


def draw(*shape, gain=2.0):
    fan_in = torch.Size(shape[1:]).numel()
    return torch.randn(shape) * (gain / fan_in) ** 0.5


# safetensors


def write_safetensors(path, tensors):
    header, end = {}, 0
    for name, tensor in tensors.items():
        begin, end = end, end + 4 * tensor.numel()
        header[name] = {'dtype': 'F32', 'shape': list(tensor.shape), 'data_offsets': [begin, end]}
    text = json.dumps(header).encode()
    data = b''.join(tensor.numpy().tobytes() for tensor in tensors.values())
    path.write_bytes(struct.pack('<Q', len(text)) + text + data)


def torchvision_alexnet(widths):
    """torchvision.models.alexnet with other widths (its own are 64, 192, 384, 256, 256, 4096, 4096, 1000)."""
    a, b, c, d, e, f, g, classes = widths
    features = nn.Sequential(
        nn.Conv2d(3, a, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(a, b, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(b, c, 3, 1, 1), nn.ReLU(),
        nn.Conv2d(c, d, 3, 1, 1), nn.ReLU(),
        nn.Conv2d(d, e, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2),
    )  # fmt: skip
    classifier = nn.Sequential(
        nn.Dropout(), nn.Linear(e * 36, f), nn.ReLU(), nn.Dropout(), nn.Linear(f, g), nn.ReLU(), nn.Linear(g, classes)
    )
    net = nn.Module()
    net.features, net.classifier = features, classifier
    net.forward = lambda x: classifier(features(x).flatten(1))
    return net.eval()


def torchvision():
    torch.manual_seed(1)
    net = torchvision_alexnet([4, 6, 8, 6, 6, 12, 10, CLASSES])
    for parameter in net.parameters():
        parameter.data = draw(*parameter.shape) if parameter.dim() > 1 else torch.randn(parameter.shape) * 0.1
    write_safetensors(HERE / 'alexnet.safetensors', net.state_dict())
    mean, std = (torch.tensor(v).double()[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with torch.no_grad():
        return net.double()((centre(photo(256), 224) / 255 - mean) / std).softmax(1)


# Caffe


def varint(number):
    out = b''
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def field(number, value):
    """A field by the type of its value: int, float, or str, bytes and lists of fields (messages)."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack('<f', value)
    if isinstance(value, list):
        value = b''.join(value)
    elif isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def old_blob(tensor):
    sides = [1] * (4 - tensor.dim()) + list(tensor.shape)
    return [field(n + 1, side) for n, side in enumerate(sides)] + [field(5, tensor.float().numpy().tobytes())]


def new_blob(tensor):
    sides = b''.join(map(varint, tensor.shape))
    return [field(7, [field(1, sides)]), field(5, tensor.float().numpy().tobytes())]


class Old:
    """V1LayerParameter: types are numbers."""

    layer, name, kind, bottom, top, blobs = 2, 4, 5, 2, 3, 6
    conv, dropout, dense, lrn, pool = 10, 12, 17, 18, 19
    types = {'conv': 4, 'dense': 14, 'relu': 18, 'pool': 17, 'lrn': 15, 'dropout': 6, 'loss': 21, 'data': 5}
    blob = staticmethod(old_blob)


class New:
    """LayerParameter: types are names."""

    layer, name, kind, bottom, top, blobs = 100, 1, 2, 3, 4, 7
    conv, dropout, dense, lrn, pool = 106, 108, 117, 118, 121
    types = {'conv': 'Convolution', 'dense': 'InnerProduct', 'relu': 'ReLU', 'pool': 'Pooling', 'lrn': 'LRN',
             'dropout': 'Dropout', 'loss': 'SoftmaxWithLoss', 'data': 'Input'}  # fmt: skip
    blob = staticmethod(new_blob)


class Caffe:
    """Writes layers and computes them on the way."""

    def __init__(self, form, name, x):
        self.form, self.x, self.bottom = form, x.double(), 'data'
        self.bytes = field(1, name)

    def layer(self, kind, name, more=(), in_place=False, bottoms=None, tops=None):
        form = self.form
        tops = tops or [self.bottom if in_place else name]
        parts = [field(form.name, name), field(form.kind, form.types[kind])]
        parts += [field(form.bottom, bottom) for bottom in (bottoms if bottoms is not None else [self.bottom])]
        parts += [field(form.top, top) for top in tops]
        self.bytes += field(form.layer, parts + list(more))
        self.bottom = tops[0]

    def weights(self, weight, bias):
        return [field(self.form.blobs, self.form.blob(tensor)) for tensor in (weight, bias)]

    def conv(self, name, outputs, size, stride=1, pad=0, group=1):
        weight, bias = draw(outputs, self.x.shape[1] // group, size, size), torch.randn(outputs) * 0.1
        if name == 'conv1':
            weight /= 60
        self.x = F.conv2d(self.x, weight.double(), bias.double(), stride, pad, groups=group)
        settings = [field(1, outputs), field(3, pad), field(4, size), field(5, group), field(6, stride)]
        self.layer('conv', name, [field(self.form.conv, settings), *self.weights(weight, bias)])

    def relu(self, name):
        self.x = self.x.relu()
        self.layer('relu', name, in_place=True)

    def lrn(self, name):
        # Large enough that neighbours across the groups show.
        self.x = F.local_response_norm(self.x, 5, alpha=2.0, beta=0.75, k=1.0)
        self.layer('lrn', name, [field(self.form.lrn, [field(1, 5), field(2, 2.0), field(3, 0.75)])])

    def pool(self, name):
        self.x = F.max_pool2d(self.x, 3, 2, ceil_mode=True)
        self.layer('pool', name, [field(self.form.pool, [field(1, 0), field(2, 3), field(3, 2)])])

    def dense(self, name, outputs):
        self.x = self.x.flatten(1)
        weight, bias = draw(outputs, self.x.shape[1]), torch.randn(outputs) * 0.1
        self.x = F.linear(self.x, weight.double(), bias.double())
        self.layer('dense', name, [field(self.form.dense, [field(1, outputs)]), *self.weights(weight, bias)])

    def dropout(self, name, rate):
        # Nothing at test: Caffe divides by 1 - rate in training.
        self.layer('dropout', name, [field(self.form.dropout, [field(1, rate)])], in_place=True)


def bvlc_alexnet():
    """Of the published AlexNet: V1 layers, four-sided blobs, normalisation before pooling, channel means."""
    torch.manual_seed(2)
    means = torch.tensor([123.0, 117.0, 104.0]).double()
    net = Caffe(Old, 'AlexNet', centre(photo(256) - means, 99).flip(1))
    net.layer('data', 'data', [field(36, [field(3, 99)])], bottoms=[], tops=['data', 'label'])
    net.conv('conv1', 8, 11, 4)
    net.relu('relu1')
    net.lrn('norm1')
    net.pool('pool1')
    net.conv('conv2', 12, 5, pad=2, group=2)
    net.relu('relu2')
    net.lrn('norm2')
    net.pool('pool2')
    net.conv('conv3', 8, 3, pad=1)
    net.relu('relu3')
    net.conv('conv4', 8, 3, pad=1, group=2)
    net.relu('relu4')
    net.conv('conv5', 6, 3, pad=1, group=2)
    net.relu('relu5')
    net.pool('pool5')
    net.dense('fc6', 16)
    net.relu('relu6')
    net.dropout('drop6', 0.5)
    net.dense('fc7', 14)
    net.relu('relu7')
    net.dropout('drop7', 0.5)
    net.dense('fc8', CLASSES)
    net.layer('loss', 'loss', bottoms=['fc8', 'label'])
    (HERE / 'bvlc_alexnet.caffemodel').write_bytes(net.bytes)
    return net.x.softmax(1)


def caffenet():
    """Of CaffeNet: new layers, pooling before normalisation, a mean image; a first layer whose windows end inside."""
    torch.manual_seed(3)
    side, crop = 40, 35
    mean = (110 + 20 * torch.randn(side, side, 3)).float()
    net = Caffe(New, 'CaffeNet', centre(photo(side) - mean.double(), crop).flip(1))
    shape = b''.join(map(varint, [1, 3, crop, crop]))
    net.layer('data', 'data', [field(143, [field(1, [field(1, shape)])])], bottoms=[])
    net.conv('conv1', 8, 5, 3, 1)
    net.relu('relu1')
    net.pool('pool1')
    net.lrn('norm1')
    net.conv('conv2', 12, 3, pad=1, group=2)
    net.relu('relu2')
    net.pool('pool2')
    net.lrn('norm2')
    net.conv('conv3', 8, 3, pad=1)
    net.relu('relu3')
    net.conv('conv4', 8, 3, pad=1, group=2)
    net.relu('relu4')
    net.conv('conv5', 6, 3, pad=1, group=2)
    net.relu('relu5')
    net.dense('fc6', 16)
    net.relu('relu6')
    net.dropout('drop6', 0.3)
    net.dense('fc7', 14)
    net.relu('relu7')
    net.dropout('drop7', 0.5)
    net.dense('FC8/own', CLASSES)
    net.layer('loss', 'loss', bottoms=['FC8/own', 'label'])
    (HERE / 'caffenet.caffemodel').write_bytes(net.bytes)
    planes = mean.permute(2, 0, 1).flip(0)[None].contiguous()
    (HERE / 'mean.binaryproto').write_bytes(b''.join(old_blob(planes)))
    return net.x.softmax(1)


goldens = {
    'torch': torch.__version__,
    'alexnet.safetensors': torchvision()[0].tolist(),
    'bvlc_alexnet.caffemodel': bvlc_alexnet()[0].tolist(),
    'caffenet.caffemodel': caffenet()[0].tolist(),
}
(HERE / 'goldens.json').write_text(json.dumps(goldens, indent=1) + '\n')
