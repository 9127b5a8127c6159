"""Look-alikes of the public layouts that USHydraNet's paper mixes (Tables 1 and 2), and of a clinic's own manifest."""

import gzip
from collections.abc import Collection
from pathlib import Path

import av
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from .data.readers.layouts import nifti

SIZE = 48
PLANES = ("abdomen", "brain", "femur", "thorax")
COUNTRIES = {"Algeria": "DZA", "Egypt": "EGY", "Ghana": "GHA", "Malawi": "MWI", "Uganda": "UGA"}


def noise(*key: int, size: int = SIZE) -> NDArray[np.uint8]:
    return np.random.default_rng(key).integers(0, 256, (size, size), dtype=np.uint8)


def save(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def african(root: Path, patients: int) -> Path:
    """As many patients a country, numbered anew in each, one image of each plane."""
    rows = [
        {"Patient_num": n, "Plane": f"Fetal {plane}", "Train": 1, "Center": country, "Filename": f"{code}_{n}_{plane}"}
        for country, code in COUNTRIES.items()
        for n in range(patients)
        for plane in PLANES
    ]
    for k, row in enumerate(rows):
        save(root / str(row["Center"]) / f"{row['Filename']}.png", noise(1, k))
    pd.DataFrame(rows).to_csv(root / "African_planes_database.csv", index=False)
    return root


def spanish(root: Path, patients: int) -> Path:
    """FETAL_PLANES_DB: an image of each plane, and one of a plane that the paper does not use."""
    rows = [
        {"Image_name": f"Patient{n:05}_{k}", "Patient_num": n, "Plane": plane, "Brain_plane": "Not A Brain"}
        | {"Operator": "Op. 1", "US_Machine": "Aloka" if n % 2 else "Voluson E6", "Train ": n % 2}
        for n in range(patients)
        for k, plane in enumerate([*(f"Fetal {plane}" for plane in PLANES), "Other"])
    ]
    for k, row in enumerate(rows):
        save(root / "Images" / f"{row['Image_name']}.png", noise(2, k))
    pd.DataFrame(rows).to_csv(root / "FETAL_PLANES_DB_data.csv", index=False, sep=";")
    return root


def own_manifest(root: Path, patients: int, site: str = "clinic") -> Path:
    rows = []
    for n in range(patients):
        for k, plane in enumerate(PLANES):
            save(root / f"{n}_{plane}.png", noise(3, n, k))
            rows.append({"image": f"{n}_{plane}.png", "site": site, "subject": n, "plane": plane})
    pd.DataFrame(rows).to_csv(root / "manifest.csv", index=False)
    return root / "manifest.csv"


def _ventricle(value: int = 1) -> NDArray[np.uint8]:
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[10:30, 15:32] = value
    return mask


def _seed(seed: int, subject: str, others: Collection[str]) -> int:
    """others: subjects whose images are other noise."""
    return seed + 100 * (subject in others)


def camus(root: Path, patients: int, others: Collection[str] = ()) -> Path:
    """Four-chamber views at end diastole and end systole, labels 1 to 3."""
    for n in range(1, patients + 1):
        folder = root / "database_nifti" / f"patient{n:04}"
        folder.mkdir(parents=True, exist_ok=True)
        for k, phase in enumerate(("ED", "ES")):
            labels = _ventricle()
            labels[32:40, 15:32] = 3
            for name, pixels in (("", noise(_seed(4, folder.name, others), n, k)), ("_gt", labels)):
                packed = gzip.compress(nifti(pixels, (0.3, 0.3)))
                (folder / f"patient{n:04}_4CH_{phase}{name}.nii.gz").write_bytes(packed)
    return root


def echonet(root: Path, videos: int, others: Collection[str] = ()) -> Path:
    """Videos of two frames, both traced."""
    (root / "Videos").mkdir(parents=True, exist_ok=True)
    listed, traced = [], []
    for n in range(videos):
        with av.open(root / "Videos" / f"0X{n}.avi", "w", format="avi") as container:
            stream = container.add_stream("mjpeg", rate=50)
            stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, "yuvj420p"
            for frame in range(2):
                grey = np.repeat(noise(_seed(5, f"0X{n}", others), n, frame)[..., None], 3, axis=2)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
            container.mux(stream.encode())
        split = ("TRAIN", "VAL", "TEST")[n % 3]
        listed.append({"FileName": f"0X{n}", "EF": 60, "FrameHeight": SIZE, "FrameWidth": SIZE, "Split": split})
        for frame in range(2):
            top, wide = 10 + 3 * frame, 12 - 2 * frame
            chords = [(24, top, 24, 40), *((24 - wide, y, 24 + wide, y) for y in range(top, 40, 3))]
            names = {"FileName": f"0X{n}.avi", "Frame": frame}
            traced += [dict(zip(("X1", "Y1", "X2", "Y2"), chord, strict=True)) | names for chord in chords]
    pd.DataFrame(listed).to_csv(root / "FileList.csv", index=False)
    pd.DataFrame(traced).to_csv(root / "VolumeTracings.csv", index=False)
    return root


def cardiac_uda(root: Path, patients: int, others: Collection[str] = ()) -> Path:
    """Four-chamber videos of two hospitals, one frame of each labelled, the right ventricle too."""
    for n in range(patients):
        home = root / "cardiacUDC_dataset" / ("Site_G_20", "Site_R_126")[n % 2]
        home.mkdir(parents=True, exist_ok=True)
        labels = np.zeros((2, SIZE, SIZE), np.uint8)
        labels[0] = _ventricle()
        labels[0, 10:20, 34:44] = 4
        video = np.stack([noise(_seed(6, f"patient-{n}", others), n, frame) for frame in range(2)])
        for name, pixels in (("image", video), ("label", labels)):
            (home / f"patient-{n}-4_{name}.nii.gz").write_bytes(gzip.compress(nifti(pixels, (1.0, 1.0))))
    return root
