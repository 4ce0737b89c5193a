"""Writes a PyTorch weight file without PyTorch: tensors one after the other in one storage each."""

import struct
import zipfile


def number(n):
    return b"J" + struct.pack("<i", n) if abs(n) < 2**31 else b"\x8a\x08" + struct.pack("<q", n)


def numbers(all_of_them):
    return b"(" + b"".join(map(number, all_of_them)) + b"t"


def text(said):
    return b"X" + struct.pack("<I", len(said.encode())) + said.encode()


def tensor(key, numel, offset, size, stride):
    """The pickle of one float32 tensor."""
    storage = (
        b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + number(numel) + b"tQ"
    )
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage
        + number(offset)
        + numbers(size)
        + numbers(stride)
        + b"tR"
    )


def write_torch(path, arrays):
    """A file as `torch.save(state_dict)` makes it, from float32 arrays by name."""
    described = b"\x80\x02}"
    with zipfile.ZipFile(path, "w") as archive:
        for key, (name, array) in enumerate(arrays.items()):
            strides = [step // array.itemsize for step in array.strides]
            described += text(name) + tensor(str(key), array.size, 0, array.shape, strides) + b"s"
            archive.writestr(f"archive/data/{key}", array.tobytes())
        archive.writestr("archive/data.pkl", described + b".")
