"""What explaining a folder of pictures costs: milliseconds a picture, overlays written, beside the Python libraries.

    folder.py EXPLAIN DATA [--openvino PYTHON] [--grad-cam PYTHON] [--copies 6] [--rounds 3]

EXPLAIN is our program, DATA a folder with images/ and models/mobilenet_v2.pt (and its state dict). Each PYTHON is that of an
environment: openvino-xai==1.1.0 with a torch that reads the TorchScript file; torch, torchvision and grad-cam==1.5.7. All
explain the same pictures, `copies` of each, at MobileNetV2's last convolution and write a PNG of the picture's own size for
each. Ours is timed as a whole process, reading the model included; of the others the loop alone, without imports, reading and
converting the model, and OpenVINO XAI is told the class, so that it need not ask the model first. Medians of rounds in turn.
"""

import argparse
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def prepared(picture):
    """BGR of any size -> float32 [1, 3, 224, 224]"""
    import cv2
    import numpy

    small = cv2.cvtColor(cv2.resize(picture, (224, 224), interpolation=cv2.INTER_LINEAR), cv2.COLOR_BGR2RGB)
    return (((small / 255.0 - MEAN) / STD).transpose(2, 0, 1)[None]).astype(numpy.float32)


def openvino(data):
    import cv2
    import openvino
    import openvino_xai
    import torch

    script = torch.jit.load(data / "models/mobilenet_v2.pt").eval()
    model = openvino.convert_model(script, example_input=torch.zeros(1, 3, 224, 224), input=[1, 3, 224, 224])
    model.reshape([1, 3, 224, 224])
    last = [op.get_friendly_name() for op in model.get_ordered_ops() if op.get_type_name() == "Clamp"][-1]
    explainer = openvino_xai.Explainer(
        model,
        task=openvino_xai.Task.CLASSIFICATION,
        explain_method=openvino_xai.common.parameters.Method.RECIPROCAM,
        explain_mode=openvino_xai.explainer.explainer.ExplainMode.WHITEBOX,
        target_layer=last,
    )

    def explain(path, out):
        picture = cv2.imread(str(path))
        explanation = explainer(prepared(picture), targets=[281], original_input_image=picture, overlay=True)
        cv2.imwrite(str(out / (path.stem + ".png")), explanation.saliency_map[281])

    return explain


def grad_cam(data):
    import cv2
    import torch

    try:
        import torchvision
    except RuntimeError:  # its operators are built for another torch; it asks for them, and needs none here
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        for name in "nms", "qnms", "roi_align", "qroi_align", "roi_pool", "ps_roi_align", "ps_roi_pool", "deform_conv2d":
            torch.library.define(f"torchvision::{name}", "(Tensor x) -> Tensor")
        for name in "roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool", "deform_conv2d":
            torch.library.define(f"torchvision::_{name}_backward", "(Tensor x) -> Tensor")
        import torchvision
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.image import show_cam_on_image

    model = torchvision.models.mobilenet_v2().eval()
    model.load_state_dict(torch.load(data / "models/mobilenet_v2_state_dict.pt"))
    method = GradCAM(model=model, target_layers=[model.features[-1]])

    def explain(path, out):
        picture = cv2.imread(str(path))
        cam = method(input_tensor=torch.from_numpy(prepared(picture)), targets=None)[0]  # the prediction
        cam = cv2.resize(cam, picture.shape[1::-1])
        cv2.imwrite(str(out / (path.stem + ".png")), show_cam_on_image(picture / 255.0, cam, use_rgb=False))

    return explain


def one_by_one(explain, pictures, out):
    for path in pictures[:3]:
        explain(path, out)
    before = time.perf_counter()
    for path in pictures:
        explain(path, out)
    return time.perf_counter() - before


def ours(program, data, pictures, out):
    before = time.perf_counter()
    command = [program, data / "models/mobilenet_v2.pt", pictures[0].parent, "--out", f"{out}/"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - before


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("explain", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--openvino", type=pathlib.Path)
    parser.add_argument("--grad-cam", type=pathlib.Path)
    parser.add_argument("--copies", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", nargs=3, help=argparse.SUPPRESS)  # WHICH PICTURES OUT: a peer's own process
    given = parser.parse_args()
    if given.alone:
        which, pictures, out = given.alone
        explain = {"openvino": openvino, "grad_cam": grad_cam}[which](given.data)
        print(one_by_one(explain, sorted(pathlib.Path(pictures).iterdir()), pathlib.Path(out)))
        return

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "in").mkdir()
        for path in (given.data / "images").iterdir():
            for copy in range(given.copies):
                shutil.copy(path, folder / "in" / f"{copy}_{path.name}")
        pictures = sorted((folder / "in").iterdir())

        def peer(python, which, out):
            command = [python, __file__, given.explain, given.data, "--alone", which, folder / "in", out]
            return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])

        ways = {"sightglass": lambda out: ours(given.explain, given.data, pictures, out)}
        if given.openvino:
            ways["OpenVINO XAI"] = lambda out: peer(given.openvino, "openvino", out)
        if given.grad_cam:
            ways["pytorch-grad-cam"] = lambda out: peer(given.grad_cam, "grad_cam", out)
        times = {name: [] for name in ways}
        for turn in range(given.rounds):
            for name, run in ways.items():
                out = folder / f"{name} {turn}"
                out.mkdir()
                times[name].append(1e3 * run(out) / len(pictures))
                assert len(list(out.iterdir())) == len(pictures), f"{name} did not write a picture for each"
                shutil.rmtree(out)
        print(f"{len(pictures)} pictures, milliseconds a picture")
        for name, each in times.items():
            print(f"{name:18} {statistics.median(each):6.1f}   (" + ", ".join(f"{value:.1f}" for value in each) + ")")


if __name__ == "__main__":
    main()
