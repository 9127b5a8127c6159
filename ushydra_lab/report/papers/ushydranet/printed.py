"""What Tables 3 to 6 of the USHydraNet paper print, in %: variant -> data set -> values in the order of its columns."""

from __future__ import annotations

Printed = dict[str, dict[str, tuple[str, ...]]]

MIXTURE = "Mixture"
UNSEEN = "CardiacUDA"
OF_VIT: dict[str, tuple[str, ...]] = {
    "European": ("83.99", "83.90", "83.92", "83.90", "92.67"),
    "African": ("72.34", "64.50", "66.25", "64.50", "87.56"),
    "Macao": ("60.08", "60.00", "60.04", "60.00", "82.40"),
    MIXTURE: ("73.52", "68.97", "73.02", "75.39", "88.39"),
}
"""Printed twice: for ViT in Table 3 and for ResNet18 in Table 5."""
PLANES: Printed = {
    "vit": OF_VIT,
    "resnet50": {
        "European": ("88.04", "88.15", "89.12", "88.15", "94.83"),
        "African": ("78.93", "79.00", "78.89", "79.00", "84.05"),
        "Macao": ("66.80", "68.00", "66.36", "68.00", "82.70"),
        MIXTURE: ("91.79", "91.33", "91.38", "91.33", "98.49"),
    },
    "vgg16": {
        "European": ("86.12", "86.19", "86.20", "86.19", "95.29"),
        "African": ("80.52", "83.00", "79.93", "83.00", "84.00"),
        "Macao": ("77.30", "80.00", "78.60", "80.00", "82.67"),
        MIXTURE: ("87.09", "87.00", "86.72", "87.00", "96.51"),
    },
    "densenet121": {
        "European": ("87.30", "87.10", "87.14", "87.10", "93.77"),
        "African": ("78.01", "78.00", "77.02", "78.00", "84.01"),
        "Macao": ("66.80", "60.00", "68.30", "60.00", "82.25"),
        MIXTURE: ("92.74", "92.76", "92.69", "92.67", "98.75"),
    },
    "resnet18": OF_VIT,
    "weight_10": {
        "European": ("93.99", "93.75", "93.71", "93.75", "99.29"),
        "African": ("84.06", "80.00", "78.91", "80.00", "96.29"),
        "Macao": ("84.06", "85.05", "80.34", "85.05", "95.00"),
        MIXTURE: ("92.93", "93.70", "93.68", "93.70", "99.17"),
    },
}
"""Tables 3 and 5: precision, recall, F1, accuracy, AUC."""
HEART: Printed = {
    "unet": {"Camus": ("81.72", "69.09"), "EchoNet": ("91.14", "83.72"), MIXTURE: ("85.60", "78.30")},
    "dofe": {
        "Camus": ("86.86", "76.49"),
        "EchoNet": ("87.87", "81.14"),
        MIXTURE: ("89.81", "81.62"),
        UNSEEN: ("77.67", "69.72"),
    },
    "segnet": {
        "Camus": ("90.14", "82.28"),
        "EchoNet": ("89.66", "81.26"),
        MIXTURE: ("92.90", "85.84"),
        UNSEEN: ("87.16", "77.25"),
    },
    "deeplabv3": {
        "Camus": ("85.21", "74.23"),
        "EchoNet": ("89.31", "80.69"),
        MIXTURE: ("89.64", "81.23"),
        UNSEEN: ("74.62", "66.70"),
    },
    "fcn": {
        "Camus": ("88.44", "79.28"),
        "EchoNet": ("88.97", "80.13"),
        MIXTURE: ("89.81", "81.51"),
        UNSEEN: ("80.81", "73.62"),
    },
    "weight_10": {
        "Camus": ("93.95", "88.61"),
        "EchoNet": ("91.73", "84.77"),
        MIXTURE: ("92.90", "85.84"),
        UNSEEN: ("89.26", "84.14"),
    },
}
"""Tables 4 and 6: Dice, IoU."""
