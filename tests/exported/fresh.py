#!/usr/bin/env python3
"""Exports small models of many kinds by this Python's torch, and writes beside each what it gives: outputs, activations, gradients, ten steps of SGD.

fresh.py FOLDER; exits with 77 where this Python has no torch. For PyTorch 2.4 to 2.14.
"""
import inspect
import io
import os
import shutil
import sys
import warnings
import zipfile

try:
    import torch
    from torch import nn
except ImportError:
    sys.exit(77)  # no torch: skipped

warnings.filterwarnings("ignore")
Dim = torch.export.Dim


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(6, 12)
        self.lstm = nn.LSTM(12, 8, num_layers=2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        steps, _ = self.lstm(torch.tanh(self.embed(x)))
        return self.head(steps[:, -1])


class Double(nn.Sequential):
    def __init__(self, cin, cout):
        super().__init__(nn.Conv2d(cin, cout, 3, padding=1, bias=False), nn.BatchNorm2d(cout), nn.ReLU(inplace=True))


class UNet(nn.Module):
    """Skips, in-place activations, sizes computed from the input's."""

    def __init__(self):
        super().__init__()
        self.down1, self.down2, self.up1 = Double(3, 8), Double(8, 16), Double(24, 8)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x):
        one = self.down1(x)
        two = self.down2(self.pool(one))
        large = nn.functional.interpolate(two, size=one.shape[2:], mode="bilinear", align_corners=False)
        return {"out": self.head(self.up1(torch.cat([one, large], 1))), "deep": two.mean((2, 3))}


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(dim, dim * 3), nn.Linear(dim, dim)

    def forward(self, x):
        n, t, c = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        return self.proj(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, c))


class Block(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norm1, self.norm2, self.attention = nn.LayerNorm(dim), nn.LayerNorm(dim), Attention(dim, 2)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 8, 8)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.place = nn.Parameter(torch.randn(1, 17, 16))
        self.blocks = nn.Sequential(Block(16), Block(16))
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 4)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.place
        return self.head(self.norm(self.blocks(x))[:, 0])


class TwoInputs(nn.Module):
    """A dictionary and a keyword argument in; one encoder for both pictures, a tied weight."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.mix, self.again = nn.Linear(6, 6), nn.Linear(6, 6)
        self.again.weight = self.mix.weight
        self.head = nn.Linear(8, 3)

    def forward(self, pictures, *, table):
        left, right = self.encoder(pictures["left"]), self.encoder(pictures["right"])
        return self.head(torch.cat([self.again(torch.relu(self.mix(left - right))), table], 1)), left


class Pyramid(nn.Module):
    """Height and width are open; channels-last weights, a constant, a mask by comparison, split and stack."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.act = nn.Hardswish()
        self.deep = nn.Conv2d(8, 8, 3, 2, 1, groups=2)
        self.norm = nn.GroupNorm(2, 8)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        one = self.act(self.stem(x - torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1)))
        two = self.norm(self.act(self.deep(one)))
        one, two = one.mean((2, 3)), torch.where(two > 0, two, two * 0.1).amax((2, 3))
        a, b = torch.cat([one, two], 1).chunk(2, 1)
        return self.head(torch.stack([a, b], 2).flatten(1))


class Branch(nn.Module):
    """A branch by value, and a part without gradients."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        with torch.no_grad():
            scale = x.abs().amax() + 1
        branches = (lambda v: self.one(v)), (lambda v: self.two(v).relu())
        if torch.compiler.is_exporting():
            return self.head(torch.cond(x.sum() > 0, *branches, (x / scale,)))
        return self.head(branches[0 if x.sum() > 0 else 1](x / scale))


class Training(nn.Module):
    """Exported in training mode: batch norm writes its statistics."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(torch.relu(self.norm(self.conv(x))).mean((2, 3)))


def cases():
    batch = Dim("batch", min=1, max=64)
    picture = lambda n=3, c=3, h=32, w=32: torch.randn(n, c, h, w)
    yield "lstm", Lstm(), (torch.randn(3, 5, 6),), {}, ({0: batch},), {}
    yield "unet", UNet(), (picture(3, 3, 16, 24),), {}, ({0: batch, 2: 4 * Dim("h", min=1, max=16), 3: 4 * Dim("w", min=1, max=16)},), {}
    yield "vit", ViT(), (picture(),), {}, ({0: batch},), {}
    yield ("two_inputs", TwoInputs(), ({"left": picture(3, 1), "right": picture(3, 1)},), {"table": torch.randn(3, 2)},
           ({"left": {0: batch}, "right": {0: batch}},), {"table": {0: batch}})
    if hasattr(Dim, "AUTO"):
        yield "pyramid", Pyramid().to(memory_format=torch.channels_last), (picture(3, 3, 20, 28),), {}, ({0: batch, 2: Dim.AUTO, 3: Dim.AUTO},), {}
    yield "branch", Branch(), (torch.randn(3, 4),), {}, None, {}
    yield "training", Training().train(), (picture(4),), {}, ({0: batch},), {}
    yield "half", ViT().to(torch.bfloat16), (picture().to(torch.bfloat16),), {}, ({0: batch},), {}


def flat(value):
    return [t for t in torch.utils._pytree.tree_leaves(value) if isinstance(t, torch.Tensor)]


def loss_of(outputs):
    return sum((o * torch.linspace(-1, 1, o.numel(), dtype=o.dtype).view(o.shape)).sum() for o in flat(outputs))


def write_older_layouts(folder, name):
    """The program in the layouts of PyTorch 2.8 and 2.7, which names tied weights alike."""
    path = f"{folder}/{name}.pt2"
    program = torch.export.load(path)
    saved = io.BytesIO()
    torch.save(program.state_dict, saved)
    with zipfile.ZipFile(path) as archive:
        text = next(archive.read(n) for n in archive.namelist() if n.endswith("models/model.json"))
    none = io.BytesIO()
    torch.save({}, none)
    with zipfile.ZipFile(f"{folder}/{name}_2.8.pt2", "w") as archive:
        archive.writestr(f"{name}/archive_format", "pt2")
        archive.writestr(f"{name}/byteorder", "little")
        archive.writestr(f"{name}/models/model.json", text)
        archive.writestr(f"{name}/data/weights/model.pt", saved.getvalue())
        archive.writestr(f"{name}/data/constants/model.pt", none.getvalue())
    with zipfile.ZipFile(f"{folder}/{name}_2.7.pt2", "w") as archive:
        told = '"parameter_name": "mix.weight"'
        assert text.decode().count(told) == 1
        archive.writestr("serialized_exported_program.json", text.decode().replace(told, '"parameter_name": "again.weight"'))
        archive.writestr("serialized_state_dict.pt", saved.getvalue())
        archive.writestr("serialized_constants.pt", none.getvalue())
        archive.writestr("version", "8.7")
    for layout in "2.8", "2.7":
        shutil.copy(f"{folder}/{name}.facts", f"{folder}/{name}_{layout}.facts")


def main(folder):
    os.makedirs(folder, exist_ok=True)
    torch.set_num_threads(1)
    for name, model, args, kwargs, shapes, more in cases():
        torch.manual_seed(0)
        if name != "training":
            model.eval()
        dynamic = None
        if shapes is not None:
            names = [p for p in inspect.signature(model.forward).parameters]
            dynamic = {**dict(zip(names, shapes)), **more}
        try:
            program = torch.export.export(model, args, kwargs, dynamic_shapes=dynamic)
        except Exception as error:
            print(f"{name}: torch.export refuses: {str(error).splitlines()[0]}", file=sys.stderr)
            continue
        torch.export.save(program, f"{folder}/{name}.pt2")
        try:
            torch.export.save(program.run_decompositions(), f"{folder}/{name}_core.pt2")
            forms = [name, f"{name}_core"]
        except Exception as error:
            print(f"{name}: run_decompositions refuses: {str(error).splitlines()[0]}", file=sys.stderr)
            forms = [name]
        facts = {}
        for i, t in enumerate(flat((args, kwargs))):
            facts[f"in.{i}"] = t.detach().clone()
        heard = {}
        def listen(layer):
            def hook(module, given, output):
                if isinstance(output, torch.Tensor):
                    heard[layer] = output.detach().clone()
            return hook
        hooks = [m.register_forward_hook(listen(n)) for n, m in model.named_modules() if n]
        before = {k: v.clone() for k, v in model.state_dict().items()}
        outputs = model(*args, **kwargs)
        for hook in hooks:
            hook.remove()
        for i, t in enumerate(flat(outputs)):
            facts[f"out.{i}"] = t.detach().clone()
        facts.update({f"layer.{n}": t for n, t in heard.items()})
        loss_of(outputs).backward()
        facts.update({f"grad.{n}": p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
        model.load_state_dict(before)
        optimiser = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
        for _ in range(10):
            optimiser.zero_grad()
            loss_of(model(*args, **kwargs)).backward()
            optimiser.step()
        facts.update({f"after.{n}": t.detach().clone() for n, t in model.state_dict().items()})
        for form in forms:
            torch.save({k: v.contiguous() for k, v in facts.items()}, f"{folder}/{form}.facts")
            print(form)
        if name == "two_inputs" and tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 9):
            write_older_layouts(folder, name)


main(sys.argv[1])
