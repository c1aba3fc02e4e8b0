"""Small networks of the kinds people have, in plain torch, and their ONNX files."""

import dataclasses
import io
import warnings
from collections.abc import Callable

import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, channels, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(channels, width, stride)

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        x += shortcut
        return self.relu(x)


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 ones, beside a shortcut."""

    expansion = 4

    def __init__(self, channels, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(channels, 4 * width, stride)

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        return self.relu(x + shortcut)


def _shortcut(channels, width, stride):
    if stride == 1 and channels == width:
        return None
    return nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))


class ResNet(nn.Module):
    """A stem, stages of blocks that halve the resolution, a pooled linear head."""

    def __init__(self, block, depths, width=4, classes=5):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels, stages = width, []
        for stage, depth in enumerate(depths):
            for place in range(depth):
                stride = 2 if stage and not place else 1
                stages.append(block(channels, width << stage, stride))
                channels = (width << stage) * block.expansion
        self.stages = nn.Sequential(*stages)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.avgpool(self.stages(x))
        return self.fc(torch.flatten(x, 1))


class SqueezeExcitation(nn.Module):
    """Scale channels by a gate computed from their means."""

    def __init__(self, channels, squeezed):
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.activation, self.gate = nn.ReLU(), nn.Hardsigmoid()

    def forward(self, x):
        scale = self.activation(self.fc1(self.avgpool(x)))
        return self.gate(self.fc2(scale)) * x


class InvertedResidual(nn.Module):
    """Expand, convolve each channel alone, gate, project; beside a shortcut where shapes agree."""

    def __init__(self, channels, kernel, expanded, width, squeeze, activation, stride):
        super().__init__()
        layers = []
        if expanded != channels:
            layers += [nn.Conv2d(channels, expanded, 1, bias=False), nn.BatchNorm2d(expanded), activation()]
        depthwise = nn.Conv2d(
            expanded, expanded, kernel, stride, (kernel - 1) // 2, groups=expanded, bias=False
        )
        layers += [depthwise, nn.BatchNorm2d(expanded), activation()]
        if squeeze:
            layers.append(SqueezeExcitation(expanded, max(expanded // 4, 2)))
        layers += [nn.Conv2d(expanded, width, 1, bias=False), nn.BatchNorm2d(width)]
        self.block = nn.Sequential(*layers)
        self.residual = stride == 1 and channels == width

    def forward(self, x):
        return x + self.block(x) if self.residual else self.block(x)


class MobileNet(nn.Module):
    """A MobileNetV3-small cut to a few narrow blocks."""

    def __init__(self, classes=5):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 4, 3, 2, 1, bias=False),
            nn.BatchNorm2d(4),
            nn.Hardswish(),
            InvertedResidual(4, 3, 4, 4, True, nn.ReLU, 2),
            InvertedResidual(4, 3, 12, 6, False, nn.ReLU, 2),
            InvertedResidual(6, 3, 16, 6, False, nn.ReLU, 1),
            InvertedResidual(6, 5, 18, 8, True, nn.Hardswish, 1),
            nn.Conv2d(8, 24, 1, bias=False),
            nn.BatchNorm2d(24),
            nn.Hardswish(),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(24, 32), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(32, classes)
        )

    def forward(self, x):
        x = self.avgpool(self.features(x))
        return self.classifier(torch.flatten(x, 1))


class EncoderLayer(nn.Module):
    """Attention and an MLP, each behind a layer norm and beside a shortcut."""

    def __init__(self, width, heads, ratio=2):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential(
            nn.Linear(width, ratio * width),
            nn.GELU(),
            nn.Dropout(0.1),
            nn.Linear(ratio * width, width),
            nn.Dropout(0.1),
        )

    def forward(self, x):
        normed = self.norm1(x)
        x = x + self.attention(normed, normed, normed, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """Patches and a class token through encoder layers."""

    def __init__(self, size=16, patch=4, width=12, heads=3, depth=2, classes=5):
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, (size // patch) ** 2 + 1, width))
        self.layers = nn.Sequential(*(EncoderLayer(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], dim=1)
        x = self.norm(self.layers(x + self.positions))
        return self.head(x[:, 0])


class CausalAttention(nn.Module):
    """Every position attends to itself and those before it."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = self.qkv(x).split(width, dim=2)
        q, k, v = (part.view(batch, length, self.heads, -1).transpose(1, 2) for part in (q, k, v))
        x = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.projection(x.transpose(1, 2).reshape(batch, length, width))


class DecoderLayer(nn.Module):
    """Causal attention and a GELU MLP, each behind a layer norm and beside a shortcut."""

    def __init__(self, width, heads, ratio=4):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = CausalAttention(width, heads)
        self.mlp = nn.Sequential(
            nn.Linear(width, ratio * width), nn.GELU(approximate="tanh"), nn.Linear(ratio * width, width)
        )

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class LanguageModel(nn.Module):
    """A decoder-only transformer over tokens."""

    def __init__(self, vocabulary=20, length=8, width=12, heads=3, depth=2):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(length, width)
        self.layers = nn.ModuleList(DecoderLayer(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens):
        places = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.tokens(tokens) + self.positions(places)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


class Tagger(nn.Module):
    """A bidirectional LSTM that names a tag for every token."""

    def __init__(self, vocabulary=20, width=6, hidden=5, tags=4):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.lstm = nn.LSTM(width, hidden, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * hidden, tags)

    def forward(self, tokens):
        return self.head(self.lstm(self.tokens(tokens))[0])


@dataclasses.dataclass(frozen=True)
class Network:
    """How to build a network, and the inputs to run it on."""

    build: Callable[[], nn.Module]
    inputs: Callable[[], tuple[Tensor, ...]]

    def module(self):
        """Return the network in evaluation mode, all numbers random, for exporters join equal weights."""
        module = self.build().eval()
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for tensor in (*module.parameters(), *module.buffers()):
                if tensor.is_floating_point():
                    tensor.uniform_(0.5, 1.5, generator=generator)
        return module

    @property
    def has_batch_norm(self):
        """Whether exporters can multiply batch norms into its convolutions."""
        return any(isinstance(part, nn.BatchNorm2d) for part in self.build().modules())


def _image(size):
    return lambda: (torch.zeros(1, 3, size, size),)


def _tokens():
    return (torch.zeros(1, 8, dtype=torch.int64),)


NETWORKS = {
    "resnet-basic": Network(lambda: ResNet(BasicBlock, (2, 2)), _image(32)),
    "resnet-bottleneck": Network(lambda: ResNet(Bottleneck, (1, 2)), _image(32)),
    "mobilenet": Network(MobileNet, _image(32)),
    "vision-transformer": Network(VisionTransformer, _image(16)),
    "language-model": Network(LanguageModel, _tokens),
    "tagger": Network(Tagger, _tokens),
}


def to_onnx(module, inputs, *, opset, dynamo=True, optimize=True):
    """Return the ONNX model of a module, and say nothing of what the exporters warn of.

    Without `optimize`, batch norms stay apart from convolutions.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            options = {"opset_version": opset, "optimize": optimize, "verbose": False}
            return torch.onnx.export(module, inputs, dynamo=True, **options).model_proto
        file = io.BytesIO()
        training = torch.onnx.TrainingMode
        torch.onnx.export(
            module,
            inputs,
            file,
            dynamo=False,
            opset_version=opset,
            do_constant_folding=optimize,
            training=training.EVAL if optimize else training.PRESERVE,
        )
    return onnx.load_model_from_string(file.getvalue())


class Function(nn.Module):
    """A function of at most three inputs and of named weights, buffers and modules, as a module."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function, self.names = function, list(parts)
        for name, part in parts.items():
            if isinstance(part, nn.Parameter):
                self.register_parameter(name, part)
            elif isinstance(part, Tensor):
                self.register_buffer(name, part)
            else:
                self.add_module(name, part)

    def forward(self, x, y=None, z=None):
        inputs = [value for value in (x, y, z) if value is not None]
        return self.function(*inputs, **{name: getattr(self, name) for name in self.names})
