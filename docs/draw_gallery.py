"""`python docs/draw_gallery.py RUNS`: the pictures of gallery.md, from finished experiments below RUNS.

These make the runs, on the phantom (an hour or two on two cores; five seeds where a claim is shown):

    python -m ushydra_lab +experiment=nt_phase2 scale=laptop data.difficulty=hard seed=1000,1001,1002,1003,1004
    python -m ushydra_lab +experiment=nt_code scale=laptop data.difficulty=real seed=1000,1001
    python -m ushydra_lab probes multirun/nt_code
    python -m ushydra_lab +experiment=brain_attention_unet scale=laptop seed=1000,1001
    python -m ushydra_lab +experiment=hydra_vit scale=laptop arm=hydra/weight_10,hydra/random seed=1000,1001
    python -m ushydra_lab +experiment=biometry_new_hospital scale=laptop seed=1000
"""

import sys
from pathlib import Path

from PIL import Image

PICTURES = Path(__file__).with_name("pictures") / "gallery"
WIDEST, COLOURS = 800, 64
REPORT = "report/*_"
FIGURES = {
    "forest": ("nt_phase2", f"{REPORT}forest"),
    "curves": ("nt_phase2", "report/curves"),
    "nt_agreement": ("nt_phase2", f"{REPORT}nt_agreement"),
    "referral": ("nt_phase2", f"{REPORT}referral"),
    "panel": ("nt_phase2", "*/seed1000/roi/figures/test"),
    "hardest": ("nt_phase2", "*/seed1000/roi/figures/hardest"),
    "easiest": ("nt_phase2", "*/seed1000/roi/figures/easiest"),
    "sites": ("nt_phase2", "*/seed1000/roi/figures/sites"),
    **{f"probes_{name}": ("nt_code", f"{REPORT}probes_{name}") for name in ("confidence", "roc", "knn", "pca", "umap")},
    "areas": ("brain_attention_unet", f"{REPORT}test_areas"),
    "confusion": ("hydra_vit", f"{REPORT}test_confusion"),
    "reliability": ("hydra_vit", f"{REPORT}test_reliability"),
    "routes": ("hydra_vit", f"{REPORT}test_routes"),
    "ofd_agreement": ("biometry_new_hospital", f"{REPORT}test_ofd_agreement"),
    "risk_coverage": ("biometry_new_hospital", f"{REPORT}risk_coverage"),
    "calibration": ("biometry_new_hospital", f"{REPORT}calibration"),
    "density": ("biometry_new_hospital", "*/seed1000/stage2/figures/density"),
}
"""Name of a picture -> its experiment, and where in the experiment's folder it lies; the first of several is taken."""
PROBES = [name for name in FIGURES if name.startswith("probes")]
SHOWN = {
    "panel": (1, 0.5),
    "hardest": (1, 0.2),
    "easiest": (1, 0.5),
    "sites": (1, 0.68),
    "density": (1, 0.35),
    **dict.fromkeys(PROBES, (0.345, 1)),
}
"""Shares of width and height, from the upper left, of what is too large for a page."""


def main() -> None:
    (runs,) = map(Path, sys.argv[1:])
    PICTURES.mkdir(exist_ok=True)
    for name, (experiment, place) in FIGURES.items():
        found = sorted((runs / experiment).glob(f"{place}.png"))
        if not found:
            print(f"{name}: no {experiment}/{place}.png; the picture stays as it is")
            continue
        picture = Image.open(found[0]).convert("RGB")
        across, down = SHOWN.get(name, (1, 1))
        picture = picture.crop((0, 0, round(picture.width * across), round(picture.height * down)))
        picture.thumbnail((WIDEST, 10 * WIDEST), Image.Resampling.LANCZOS)
        picture.quantize(COLOURS).save(PICTURES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
