"""One copy of the weights: a graph reads its constants out of weights.safetensors, where torch reads them too."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from safetensors.numpy import load_file, save_file

from handler.bundle import GRAPH_CONSTANTS

LENGTH = 8
"""Bytes at the start of a safetensors file that tell its header's length."""
WORD = np.dtype(np.int64)


def share(graph: Path, weights: Path) -> None:
    """Point a graph (.xml) into `weights`, add to it the few constants that it lacks, and remove the graph's .bin."""
    stored = graph.with_suffix(".bin")
    constants = stored.read_bytes()
    tree = ElementTree.parse(graph)
    needed = {
        data: constants[first : first + int(data.attrib["size"])]
        for data in tree.iterfind("layers/layer[@type='Const']/data")
        for first in [int(data.attrib["offset"])]
    }
    tensors = load_file(weights)
    held = {tensor.tobytes() for tensor in tensors.values()}
    lacking = list(dict.fromkeys(raw for raw in needed.values() if raw not in held))
    words = [raw + bytes(-len(raw) % WORD.itemsize) for raw in lacking]
    save_file(tensors | {GRAPH_CONSTANTS: np.frombuffer(b"".join(words), WORD)}, weights)
    places = _places(weights.read_bytes())
    place = places[b"".join(words)]
    for raw, padded in zip(lacking, words, strict=True):
        places[raw] = place
        place += len(padded)
    for data, raw in needed.items():
        data.set("offset", str(places[raw]))
    tree.write(graph, encoding="utf-8", xml_declaration=True)
    stored.unlink()


def _places(safetensors: bytes) -> dict[bytes, int]:
    """Where the bytes of every tensor begin in the file."""
    start = LENGTH + int.from_bytes(safetensors[:LENGTH], "little")
    header = json.loads(safetensors[LENGTH:start])
    ends = [tensor["data_offsets"] for name, tensor in header.items() if name != "__metadata__"]
    return {safetensors[start + first : start + end]: start + first for first, end in ends}
