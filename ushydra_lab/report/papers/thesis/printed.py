"""Numbers printed in Tables 4.1 to 4.4 and A.1 of the fetal brain thesis, and the captions of our tables."""

from __future__ import annotations

from ushydra_lab.report.tables import NOTHING

PRINTED_4_1 = {
    "background": ("0.979", "0.989", NOTHING, NOTHING),
    "parenchyma": ("0.931", "0.964", NOTHING, NOTHING),
    "csp": ("0.655", "0.792", "0.774", "0.930"),
    "lv": ("0.616", "0.762", "0.681", "0.930"),
}
"""IoU, Dice, precision, recall."""
PRINTED_4_2 = ("0.780", "0.714", "0.606", "0.966")
"""Mean IoU of all classes, without the background, of CSP and LV; FWIoU."""
PRINTED_4_3 = {
    "parenchyma": {"CSP-only": ("0.889", "0.801"), "CSP+LV": ("0.963", "0.929")},
    "csp": {"CSP-only": ("0.410", "0.258"), "CSP+LV": ("0.794", "0.659")},
    "lv": {"CSP+LV": ("0.712", "0.552")},
    "background": {"CSP-only": ("0.940", "0.887"), "CSP+LV": ("0.989", "0.979")},
}
"""Dice, IoU."""
PRINTED_A_1 = {"csp": ("0.152", "0.210", "0.255", "0.181"), "lv": ("0.088", "0.134", "0.186", "0.109")}
"""IoU, Dice, precision, recall."""
SPREAD = (
    "Mean ± SD over seeds (ddof 1), without SD where one seed alone has a value; n: seeds x images of a seed, at most; "
    "higher is better. "
)
CAPTIONS = {
    "4.1": "Micro: of the pixels of all images together, so images that show more of a structure weigh more; the Dice "
    "of the main tables is a mean over the images that show it. Dice (micro) is F1. The thesis prints two versions of "
    "some numbers: Dice 0.963 / 0.794 / 0.712 of parenchyma, CSP and LV in its text and Table 4.3, 0.964 / 0.792 / "
    "0.762 in Table 4.1, which stand here; its precision and recall give an F1 of 0.845 and 0.786, neither of them. "
    f"{NOTHING}: not printed, or a model of other structures.",
    "4.2": "Means of the IoU (micro) over the classes of the method; FWIoU: weighted by the pixels a class has in the "
    "reference label. The printed means follow from the IoU of Table 4.3; those of Table 4.1 would give 0.795, 0.734 "
    "and 0.636.",
    "4.3": "Micro: of the pixels of all images together. CSP-only: models without the LV; the thesis's segments the "
    "parenchyma too, ours what its name says, the rest being background. Printed as in its Table 4.3, where CSP and "
    "LV differ from Table 4.1.",
    "4.4": "Predicted by '{method}', first seed, the first {count} images by record number that show CSP or LV; n/a: "
    "not predicted. px: of the canvas; x and y: centroid, to the right of and below that of all structures together. "
    "Shape: distance from the shapes in training masks (area, eccentricity, centroid, bounding box). The thesis prints "
    "images of its own.",
    "A.1": "Means over single images. One counts 1 or 0 where reference label and prediction both lack the structure, "
    "always 0 where one of them does; or only images that show it are averaged, for precision those of them where it "
    "is predicted too. The thesis does not say what it does; since most of its images lack the structures, its numbers "
    "are too low for the first. The Dice of the first choice is called Dice (all images) in the main tables, that of "
    "the last Dice.",
}
TITLES = {
    "4.1": "every class",
    "4.2": "all classes together",
    "4.3": "with and without the LV",
    "4.4": "features of predicted masks",
    "A.1": "per image",
}
