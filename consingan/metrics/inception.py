"""The first layers of Inception v3, the features of SIFID; its weights come from the person's own file.

C. Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016. Layer names are
torchvision's, so its weights load by name. Input: [N, 3, H, W] in [0, 1], mapped to [-1, 1] and not resized,
as in the published SIFID.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from consingan.errors import UserError

MIN_SIDE = {64: 7, 192: 19}  # channels of the features -> smallest picture with one feature position


class ConvolutionLayer(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class InceptionTrunk(nn.Module):
    """``[N, 3, H, W]`` in [0, 1] -> ``[N, 64, ~H/2, ~W/2]`` or ``[N, 192, ~H/4, ~W/4]``.

    64 channels: before the first max pooling, what the published SIFID code uses. 192: before the second,
    what the paper says. Pictures are brought to the device of the weights.
    """

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        if channels not in MIN_SIDE:
            raise ValueError(f"the trunk has features of 64 or 192 channels, not {channels}")
        self.channels = channels
        self.Conv2d_1a_3x3 = ConvolutionLayer(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = ConvolutionLayer(32, 32, 3)
        self.Conv2d_2b_3x3 = ConvolutionLayer(32, 64, 3, padding=1)
        if channels == 192:
            self.Conv2d_3b_1x1 = ConvolutionLayer(64, 80, 1)
            self.Conv2d_4a_3x3 = ConvolutionLayer(80, 192, 3)

    def forward(self, pictures: Tensor) -> Tensor:
        height, width = pictures.shape[2:]
        if min(height, width) < MIN_SIDE[self.channels]:
            raise UserError(
                f"a picture of {width} x {height} px is too small for SIFID on {self.channels} channels: "
                f"use one of at least {MIN_SIDE[self.channels]} px on each side."
            )
        x = 2 * pictures.to(self.Conv2d_1a_3x3.conv.weight.device) - 1
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        if self.channels == 192:
            x = F.max_pool2d(x, 3, stride=2)
            x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))
        return x


def load_inception(path: str | Path, channels: int = 64) -> InceptionTrunk:
    """The trunk with the weights of torchvision's inception_v3, on the CPU, frozen and in evaluation mode.

    Only the layers needed are read. A .pth file is refused: reading it means unpickling, and a pickle may run any code.

    Args:
        path: a .safetensors file that holds the state dict.
        channels: of the features, 64 or 192.

    Raises:
        UserError: the file is of another kind, missing or broken, or holds other tensors.
    """
    path = Path(path)
    refuse_other_formats(path)
    trunk = InceptionTrunk(channels)
    trunk.load_state_dict(read_weights(path, trunk.state_dict()))
    return trunk.requires_grad_(False).eval()


def refuse_other_formats(path: Path) -> None:
    """Refuse what is no .safetensors file.

    Raises:
        UserError: it is of another kind, or does not exist.
    """
    if path.suffix != ".safetensors":
        raise UserError(
            f"Inception weights are read from a .safetensors file only, not from {path.name}, since a "
            "pickled file may run any code: convert it with the two lines of Python "
            "`import torch, safetensors.torch` and "
            f"`safetensors.torch.save_file(torch.load({path.name!r}, weights_only=True), "
            f"{path.stem + '.safetensors'!r})`."
        )
    if not path.is_file():
        raise UserError(f"the file of Inception weights {path} does not exist: check its path.")


def read_weights(path: Path, wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file that have the names and shapes of a state dict.

    Args:
        path: a .safetensors file.
        wanted: the state dict.

    Raises:
        UserError: the file cannot be read, or lacks one of them.
    """
    from safetensors import SafetensorError, safe_open

    found = {}
    try:
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())
            for name, tensor in wanted.items():
                if name in names:
                    found[name] = file.get_tensor(name)
                elif name.endswith(".num_batches_tracked"):  # a counter of training; older files lack it
                    found[name] = torch.zeros_like(tensor)
    except SafetensorError as error:
        raise UserError(
            f"{path} cannot be read as safetensors ({error}): write it again with safetensors.torch.save_file."
        ) from error
    check_shapes(path, found, wanted)
    return found


def check_shapes(path: Path, found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    """Refuse a file whose tensors do not fit a state dict.

    Raises:
        UserError: names the first that is missing or of another shape.
    """
    problems = [name for name in wanted if name not in found or found[name].shape != wanted[name].shape]
    if problems:
        name = problems[0]
        seen = f"a shape of {list(found[name].shape)}" if name in found else "no such tensor"
        raise UserError(
            f"{path} is not the state dict of torchvision's inception_v3: for {name} it has {seen} instead "
            f"of {list(wanted[name].shape)}, and {len(problems)} of {len(wanted)} tensors do not fit: "
            "save inception_v3(...).state_dict() with its own names."
        )
