"""Writes files of weights as PyTorch does, without PyTorch."""

import pickle
import zipfile


def write_zip(path, state) -> None:
    """The zip format from NumPy arrays, opcode by opcode: independent of the reader, and needs no PyTorch."""

    def text(value: str) -> bytes:
        return pickle.BINUNICODE + len(value).to_bytes(4, "little") + value.encode()

    def integers(values) -> bytes:
        return pickle.MARK + b"".join(pickle.BININT + v.to_bytes(4, "little") for v in values) + pickle.TUPLE

    ordered = pickle.GLOBAL + b"collections\nOrderedDict\n" + pickle.EMPTY_TUPLE + pickle.REDUCE
    out = pickle.PROTO + b"\x02" + ordered + pickle.MARK
    for number, (key, value) in enumerate(state.items()):
        storage = text("storage") + pickle.GLOBAL + b"torch\nFloatStorage\n" + text(str(number)) + text("cpu")
        storage = pickle.MARK + storage + pickle.BININT + value.size.to_bytes(4, "little") + pickle.TUPLE
        strides = [stride // value.itemsize for stride in value.strides]
        tensor = storage + pickle.BINPERSID + pickle.BININT1 + b"\0" + integers(value.shape) + integers(strides)
        rebuild = pickle.GLOBAL + b"torch._utils\n_rebuild_tensor_v2\n"
        rest = pickle.NEWFALSE + ordered
        out += text(key) + rebuild + pickle.MARK + tensor + rest + pickle.TUPLE + pickle.REDUCE
    out += pickle.SETITEMS + pickle.STOP
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/data.pkl", out)
        for number, value in enumerate(state.values()):
            archive.writestr(f"weights/data/{number}", value.tobytes())
