"""Small exports in the tools' own formats, all of the same three images; and what a person would write of these."""

import base64
import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from ..readers.layouts import nifti as nifti_file

ROWS, COLUMNS = 40, 60
IMAGES = ("st_anna/p1_a.png", "st_anna/p2_a.png", "st_josef/p7_b.png")
STATED = ["--pattern", "{site}/{subject}_*.png"]
BRAIN, CSP = (8, 10, 40, 30), (15, 14, 25, 20)  # edges, whole px
NT = (5.0, 6.5, 20.0, 18.0)
ENDS = {"ofd": ((10.0, 20.5), (39.0, 21.0)), "bpd": ((25.0, 11.0), (24.5, 29.0))}
MM = (0.2, 0.2)


def labels() -> NDArray[np.uint8]:
    """1 brain, 2 csp within it."""
    drawn = np.zeros((ROWS, COLUMNS), np.uint8)
    for label, (x1, y1, x2, y2) in enumerate((BRAIN, CSP), 1):
        drawn[y1:y2, x1:x2] = label
    return drawn


def pixels(index: int) -> NDArray[np.uint8]:
    return np.random.default_rng(index).integers(1, 256, (ROWS, COLUMNS), dtype=np.uint8)


def write_images(folder: Path) -> None:
    for index, name in enumerate(IMAGES):
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(index)).save(path)


def png(values: NDArray[Any]) -> bytes:
    Image.fromarray(values).save(file := io.BytesIO(), "PNG")
    return file.getvalue()


def corners(edges: tuple[int, int, int, int]) -> list[list[float]]:
    x1, y1, x2, y2 = map(float, edges)
    return [[x1, y1], [x2, y1], [x2, y2], [x1, y2]]


def labelme(folder: Path) -> list[str]:
    """Polygon, mask (as its box and a PNG), rectangle, lines, a flag; one file names its image as Windows does."""
    write_images(folder)
    x1, y1, x2, y2 = CSP
    csp = base64.b64encode(png(np.full((y2 - y1, x2 - x1), 255, np.uint8))).decode()
    shapes = [
        {"label": "Brain", "shape_type": "polygon", "points": corners(BRAIN), "group_id": None, "flags": {}},
        {"label": "csp", "shape_type": "mask", "points": [[x1, y1], [x2 - 1, y2 - 1]], "mask": csp},
        {"label": "nt", "shape_type": "rectangle", "points": [[NT[2], NT[1]], [NT[0], NT[3]]]},
        *({"label": name, "shape_type": "line", "points": [*map(list, ends)]} for name, ends in ENDS.items()),
    ]
    for index, name in enumerate(IMAGES):
        path = (folder / "images" / name).with_suffix(".json")
        named = Path(name).name if index else f"C:\\scans\\{Path(name).name}"
        size = {"imagePath": named, "imageData": None, "imageHeight": ROWS, "imageWidth": COLUMNS}
        path.write_text(
            json.dumps({"version": "5.5.0", "flags": {"low": True, "high": False}, "shapes": shapes, **size})
        )
    return ["labelme", str(folder / "images"), *STATED, "--label", "Brain=brain", "--structures", "brain", "csp"]


def run_lengths(inside: NDArray[np.bool_]) -> list[int]:
    """Of a mask, column by column."""
    flat = inside.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff([0, *changes, flat.size]).tolist()
    return [0, *lengths] if flat[0] else lengths


def coco(folder: Path) -> list[str]:
    """Polygons, run lengths, a box, key points."""
    write_images(folder)
    ends = [end for points in ENDS.values() for end in points]
    heads = [f"{name}_{number}" for name in ENDS for number in (1, 2)]
    categories = [
        {"id": 1, "name": "brain", "supercategory": ""},
        {"id": 2, "name": "csp"},
        {"id": 3, "name": "nt"},
        {"id": 5, "name": "head", "keypoints": heads, "skeleton": []},
    ]
    x1, y1, x2, y2 = NT
    parts: list[dict[str, Any]] = [
        {"category_id": 1, "segmentation": [[c for corner in corners(BRAIN) for c in corner]], "iscrowd": 0},
        {
            "category_id": 2,
            "segmentation": {"size": [ROWS, COLUMNS], "counts": run_lengths(labels() == 2)},
            "iscrowd": 1,
        },
        {"category_id": 3, "segmentation": [], "bbox": [x1, y1, x2 - x1, y2 - y1]},
        {
            "category_id": 5,
            "keypoints": [v for x, y in ends for v in (x, y, 2)],
            "num_keypoints": 4,
            "bbox": [0, 0, 9, 9],
        },
    ]
    images = [{"id": 7 + i, "file_name": n, "height": ROWS, "width": COLUMNS} for i, n in enumerate(IMAGES)]
    annotations = [part | {"image_id": image["id"], "area": 1.0} for image in images for part in parts]
    content = {"info": {}, "images": images, "categories": categories}
    content["annotations"] = [annotation | {"id": number} for number, annotation in enumerate(annotations)]
    (folder / "instances.json").write_text(json.dumps(content))
    return ["coco", str(folder / "instances.json"), *STATED, "--structures", "brain", "csp"]


def cvat(folder: Path) -> list[str]:
    """Polygon, mask, box, points, a polyline, a tag."""
    write_images(folder)
    x1, y1, x2, y2 = CSP
    inner = f'rle="0, {(x2 - x1) * (y2 - y1)}" left="{x1}" top="{y1}" width="{x2 - x1}" height="{y2 - y1}"'
    polygon = ";".join(f"{x:.2f},{y:.2f}" for x, y in corners(BRAIN))
    first, second = ENDS["bpd"]
    shapes = [
        f'<polygon label="brain" source="manual" occluded="0" points="{polygon}" z_order="0"></polygon>',
        f'<mask label="csp" source="manual" occluded="0" {inner} z_order="1"></mask>',
        f'<box label="nt" occluded="0" xtl="{NT[0]}" ytl="{NT[1]}" xbr="{NT[2]}" ybr="{NT[3]}" z_order="0">'
        '<attribute name="sure">yes</attribute></box>',
        f'<polyline label="ofd" points="{";".join(f"{x},{y}" for x, y in ENDS["ofd"])}" occluded="0"></polyline>',
        f'<points label="bpd_1" points="{first[0]},{first[1]}"></points>',
        f'<points label="bpd_2" points="{second[0]},{second[1]}"></points>',
        '<tag label="low" source="manual"></tag>',
    ]
    images = [
        f'<image id="{number}" name="{name}" width="{COLUMNS}" height="{ROWS}">{"".join(shapes)}</image>'
        for number, name in enumerate(IMAGES)
    ]
    head = '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta></meta>'
    (folder / "annotations.xml").write_text("\n".join([head, *images, "</annotations>"]))
    return [
        "cvat",
        str(folder / "annotations.xml"),
        "--images",
        str(folder / "images"),
        *STATED,
        "--structures",
        "brain",
        "csp",
    ]


def nrrd(
    values: NDArray[np.uint8], fields: dict[str, str], mm: tuple[float, float] = MM, offset: str = "0 0 0"
) -> bytes:
    """As 3D Slicer writes it: values (rows, columns, layers), gzip."""
    rows, columns, layers = values.shape
    several = layers > 1
    lines = [
        *(
            "NRRD0004",
            "# Complete NRRD file format specification at:",
            "# http://teem.sourceforge.net/nrrd/format.html",
        ),
        *("type: unsigned char", f"dimension: {3 + several}", "space: left-posterior-superior"),
        f"sizes: {f'{layers} ' * several}{columns} {rows} 1",
        f"space directions: {'none ' * several}({mm[1]},0,0) (0,{mm[0]},0) (0,0,1)",
        f"kinds: {'list ' * several}domain domain domain",
        *("encoding: gzip", "space origin: (0,0,0)"),
        *(f"{key}:={value}" for key, value in fields.items()),
    ]
    if "Segment0_Name" in fields:
        lines.append(f"Segmentation_ReferenceImageExtentOffset:={offset}")
    return "\n".join([*lines, "", ""]).encode() + gzip.compress(values.tobytes())


def segments(**layer_and_value: tuple[int, int]) -> dict[str, str]:
    found = {}
    for number, (name, (layer, value)) in enumerate(layer_and_value.items()):
        found |= {f"Segment{number}_Name": name, f"Segment{number}_ID": f"Segment_{number + 1}"}
        found |= {f"Segment{number}_Layer": str(layer), f"Segment{number}_LabelValue": str(value)}
    return found


def slicer(folder: Path) -> list[str]:
    """Two layers with overlapping segments, first of a part of the image alone; one layer with two values."""
    write_images(folder)
    full = np.stack([labels() > 0, labels() == 2], axis=-1).astype(np.uint8)
    for index, name in enumerate(IMAGES):
        path = (folder / "images" / name).with_suffix(".seg.nrrd")
        layered = segments(brain=(0, 1), csp=(1, 1))
        if index == 0:
            path.write_bytes(nrrd(full[9:33, 7:45], layered, offset="7 9 0"))
        elif index == 1:
            path.write_bytes(nrrd(labels()[..., None], segments(brain=(0, 1), csp=(0, 2))))
        else:
            path.write_bytes(nrrd(full, layered))
    return ["slicer", str(folder / "images"), *STATED, "--structures", "brain", "csp"]


def nifti(folder: Path) -> list[str]:
    """Label maps beside pictures, named NAME_gt.nii.gz, compressed or not."""
    write_images(folder)
    for index, name in enumerate(IMAGES):
        stem = str(folder / "images" / name).removesuffix(".png")
        content = nifti_file(labels(), MM)
        Path(f"{stem}_gt.nii{'.gz' * (index > 0)}").write_bytes(gzip.compress(content) if index else content)
    return ["nifti", str(folder / "images"), *STATED, "--suffix", "_gt", "--colours", "brain=1", "csp=2"]


def masks(folder: Path) -> list[str]:
    """PNG masks in a folder of their own; each site has its colours."""
    write_images(folder)
    codes = {"st_anna": [(0, 0, 0), (255, 0, 0), (0, 255, 0)], "st_josef": [(0, 0, 0), (1, 1, 1), (2, 2, 2)]}
    for name in IMAGES:
        path = folder / "masks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.array(codes[name.partition("/")[0]], np.uint8)[labels()]).save(path)
    stated = ["st_anna:brain=255,0,0", "st_anna:csp=0,255,0", "st_josef:brain=1", "st_josef:csp=2"]
    return ["masks", str(folder / "masks"), "--images", str(folder / "images"), *STATED, "--colours", *stated]


FORMATS = {"labelme": labelme, "coco": coco, "cvat": cvat, "slicer": slicer, "nifti": nifti, "masks": masks}
SHAPES = ("labelme", "coco", "cvat")  # with boxes and points
WORDS = ("labelme", "cvat")


def by_hand(folder: Path, export: str) -> Path:
    """The manifest that a person would write of the same images, with masks {brain: 1, csp: 2}."""
    (folder / "hand").mkdir()
    Image.fromarray(labels()).save(folder / "hand" / "mask.png")
    rows = [{"image": str((folder / "images" / n).resolve()), "site": n[: n.index("/")]} for n in IMAGES]
    table = pd.DataFrame(rows).assign(subject=["p1", "p2", "p7"], width=COLUMNS, height=ROWS, mask="mask.png")
    if export in SHAPES:
        edges = {f"nt_{edge}": value for edge, value in zip(("x1", "y1", "x2", "y2"), NT, strict=True)}
        ends = {
            f"{n}_{i}_{a}": v for n, e in ENDS.items() for i, p in enumerate(e, 1) for a, v in zip("xy", p, strict=True)
        }
        table = table.assign(**edges, **ends)
    if export in WORDS:
        table = table.assign(quality="low")
    table.to_csv(folder / "hand" / "manifest.csv", index=False)
    return folder / "hand" / "manifest.csv"
