"""The columns of per_image.csv, each declared once: what it holds, its unit, and how tables show it.

Plain Python, for tasks that emit them and reports that read them alike. A family is a column for each structure,
plane or decoder, `FAMILY_NAME`: `dice_csp` is of the family `dice`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ushydra_lab.tasks.column import Acceptable, higher, in_both
from ushydra_lab.tasks.column import Column as Column  # what a module that declares its own takes from here
from ushydra_lab.tasks.column import Metric as Metric

NO_PADDING = "PSNR and MS-SSIM without letterbox padding"
NT_DRIFT = (
    "NT drift: absolute change of the automatically measured NT thickness from original to reconstruction, not an "
    "error against a reference"
)
NT_LOST = "NT lost: share of reconstructions without measurable NT, of images whose original has one"
ASSD = (
    "ASSD: average symmetric surface distance where reference label and prediction both show the structure; misses are "
    "not counted, and two methods are compared where neither misses it"
)
HC_ERROR = "HC error: of the ellipse's perimeter, absolute"
EMPTY = "Dice (all images): over all, 1 where neither reference label nor prediction shows it, 0 where one does"
ENDS = {"ofd_1": "the OFD's first end", "ofd_2": "the OFD's second end"}
ENDS |= {"bpd_1": "the BPD's first end", "bpd_2": "the BPD's second end"}
LENGTHS = {"ofd": "OFD", "bpd": "BPD", "hc": "head circumference"}

CALLIPER_STEP = Acceptable(
    0.1, "mm", "the step of the callipers; ISUOG Practice Guidelines, Ultrasound Obstet. Gynecol. 41, 2013"
)
OBSERVERS = Acceptable(
    3.0, "%", "limits of agreement of one observer's repeats; I. Sarris et al., Ultrasound Obstet. Gynecol. 39, 2012"
)
ACCEPTABLE = {"hc": OBSERVERS}


def _in_regions(name: str, holds: str, metric: Metric) -> list[Column]:
    """A column of the main region, and a family for further ones, NaN where an image lacks it."""
    further = replace(metric, label=f"{metric.label} {{}}")
    return [Column(name, holds, metric=metric), Column(name, f"{holds}, of a further one", "", "region", further)]


KEYS = [
    Column("stage", "the stage whose weights answered"),
    Column("part", "val, seen_test (test images of the seen sites) or test"),
    Column("record", "the image's row in the data, from 0"),
    Column("site", "hospital, region or device"),
]
RECONSTRUCTION = [
    Column("psnr_content", "PSNR without padding", "dB", metric=higher("PSNR (dB)", 2, NO_PADDING)),
    Column("ms_ssim_content", "MS-SSIM without padding", metric=higher("MS-SSIM", 4, NO_PADDING, most=1)),
    Column("psnr", "PSNR of the full canvas", "dB"),
    Column("ms_ssim", "MS-SSIM of the full canvas"),
    *_in_regions("roi_mae", "mean absolute error in the ROI", Metric("ROI-MAE", "lower", 5)),
    *_in_regions("roi_ms_ssim", "MS-SSIM in the ROI", higher("ROI MS-SSIM", 4, most=1)),
    *_in_regions("roi_edge_mae", "mean absolute error of edges in the ROI", Metric("ROI Edge-MAE", "lower", 5)),
    *in_both("nt", "NT thickness measured in the original", acceptable=CALLIPER_STEP),
    *in_both("nt_drift", "change of that from original to reconstruction"),
    *in_both("nt_abs_drift", "absolute change of it", metric=Metric("NT drift", "lower", 3, note=NT_DRIFT)),
    Column(
        "nt_lost",
        "1 where the reconstruction has no measurable NT, NaN where the original has none",
        metric=Metric("NT lost", "lower", 3, "difference", NT_LOST, most=1),
    ),
    Column("nt_true_mm", "NT thickness given with the image", "mm"),
]
NME = Metric("NME", "lower", 4, note="NME: mean distance of the end points over the reference OFD")
LANDMARKS = [
    Column("nme", "mean distance of the end points over the true OFD", metric=NME),
    Column("nme_own", "mean distance over each diameter's own length"),
    Column("ofd_nme", "distance of the OFD's ends over the true OFD"),
    Column("bpd_nme", "distance of the BPD's ends over the true BPD"),
    *(column for end, words in ENDS.items() for column in in_both(f"distance_{end}", f"distance of {words}")),
    *in_both("distance", "mean distance of the end points"),
    *(
        column
        for key, words in LENGTHS.items()
        for column in in_both(key, f"{words}, predicted", acceptable=ACCEPTABLE.get(key))
    ),
    *(column for key, words in LENGTHS.items() for column in in_both(f"{key}_true", f"{words}, reference")),
    *(column for key, words in LENGTHS.items() for column in in_both(f"{key}_error", f"{words}, predicted - true")),
    *(
        column
        for key, words in LENGTHS.items()
        for column in in_both(
            f"{key}_abs_error",
            f"{words}, absolute error",
            metric=Metric(f"{key.upper()} error", "lower", 2, note=HC_ERROR if key == "hc" else ""),
        )
    ),
    *(Column(f"{key}_percent_error", f"{words}, error of the true one", "%") for key, words in LENGTHS.items()),
    *(Column(f"{key}_abs_percent_error", f"{words}, absolute error", "%") for key, words in LENGTHS.items()),
    Column("entropy", "mean entropy of the heatmaps", "nats"),
    *in_both("ofd_spread", "spread of the OFD's heatmaps"),
    *in_both("bpd_spread", "spread of the BPD's heatmaps"),
    Column("hc_expert_mm", "head circumference given with the image", "mm"),
]
EDGES = ("x1", "y1", "x2", "y2")
BOXES = [
    Column("box_iou", "IoU of the box found and the given one", metric=higher("Box IoU", 3, most=1)),
    *(Column(f"box_{edge}_px", f"the found box's {edge}, in what is shown of the image", "px") for edge in EDGES),
    *in_both("box_centre", "distance of their middles", metric=Metric("Box centre error", "lower", 2)),
]
PLANES = [
    Column("correct", "1 where the plane was told", metric=higher("Accuracy", 3, most=1)),
    Column("true", "place of the true plane, -1 for another"),
    Column("predicted", "place of the predicted plane"),
    Column("confidence", "probability of the predicted plane"),
    Column("prob", "probability", each="plane"),
]
ROUTING = [
    Column("domain", "place of the image's own quality, -1 where unknown"),
    Column("route", "place of the decoder that answered"),
    Column("score", "accuracy or mean Dice of the answer"),
    Column(
        "router_hit",
        "1 where the own quality's decoder answered",
        metric=higher("Routed as labelled", 3, "Routed as labelled: to the decoder of the image's own quality", 1),
    ),
    Column(
        "regret",
        "score by the own quality's decoder - score",
        metric=Metric("Regret", "lower", 3, "difference", "Regret: score by the decoder of the image's own quality - "
        "the routed one's", most=2),
    ),
    Column("regret_best", "best score of any decoder - score"),
    Column("score", "score of the answer by this decoder", each="decoder"),
]  # fmt: skip
DICE = higher("Dice {}", 3, "Dice: mean over the images that show the structure", most=1)
TOLERANCE_MM, TOLERANCE_PX = 1.0, 2.0
"""Of NSD. Nobody's measurement: it should be what two experts' outlines of a structure differ by (L. Maier-Hein et al.,
Metrics Reloaded, Nat. Methods 21, 2024), which is not known of these structures in ultrasound."""
SEGMENTATION = [
    Column("dice", "Dice, NaN where absent from the truth", each="structure", metric=DICE),
    Column(
        "dice_empty",
        "Dice, 1 where absent from both, 0 where from one",
        each="structure",
        metric=higher("Dice (all images) {}", 3, EMPTY, most=1),
    ),
    *in_both("assd", "average symmetric surface distance", "structure", Metric("ASSD {}", "lower", 2, note=ASSD)),
    *in_both("hd95", "95th percentile of the surface distance", "structure"),
    Column("nsd_mm", f"NSD within {TOLERANCE_MM:g} mm, 0 if missed, NaN where absent from the truth", each="structure"),
    Column("nsd_px", f"NSD within {TOLERANCE_PX:g} px of the canvas, likewise", each="structure"),
    Column("iou", "IoU, NaN where absent from the truth", each="structure"),
    Column("precision", "precision, NaN where absent from the truth", each="structure"),
    Column("recall", "recall, NaN where absent from the truth", each="structure"),
    Column("hits", "pixels of truth and prediction both; also of the background", each="structure"),
    Column("true_px", "area in the truth; also of the background", "px", "structure"),
    Column("found_px", "area in the prediction", "px", "structure"),
    Column("true_mm2", "area in the truth", "mm2", "structure"),
    Column("found_mm2", "area in the prediction", "mm2", "structure"),
    Column("present", "1 where the truth shows it", each="structure"),
    Column("found", "1 where the prediction shows it", each="structure"),
    Column("disagreement", "pixels of one of both alone over those of the truth", each="structure"),
    Column("shape", "distance from the shapes in training masks", each="structure"),
    Column("anomaly", "the same, an empty mask being the farthest", each="structure"),
    Column("eccentricity", "eccentricity of the prediction", each="structure"),
    *in_both("x", "centroid to the right of that of all structures", "structure"),
    *in_both("y", "centroid below that of all structures", "structure"),
]
SYSTEMS = {
    "every system": KEYS,
    "reconstruction": RECONSTRUCTION,
    "end points": LANDMARKS,
    "boxes": BOXES,
    "planes": PLANES,
    "routed decoders": ROUTING,
    "segmentation": SEGMENTATION,
}
"""What emits a column -> the columns, in the order of the tables."""
COLUMNS = [column for columns in SYSTEMS.values() for column in columns]
SINGLE = {column.name: column for column in COLUMNS if not column.each}
FAMILIES = {column.name: column for column in COLUMNS if column.each}
RESERVED = {"held_out", "fold", "seed", "variant", "method", "method_name", "missing_runs", "subject"}
"""What tables over runs say of each image beside its columns."""
OF_THE_LAB = frozenset(COLUMNS)
"""All others were declared by `declare`; a run carries their declarations, so that reports know them without its code.
"""


class ColumnConflict(ValueError):
    """Two declarations of one column."""


def declare(*columns: Column) -> None:
    """Make columns that a task of your own emits known, in the module that defines it: tables show those with a metric.

    Raises:
        ColumnConflict: another column of that name is known, or it means something else in every table.
    """
    for column in columns:
        if column in COLUMNS:
            continue
        if split_name(column.name) or column.name in FAMILIES or column.name in RESERVED:
            raise ColumnConflict(f"the column {column.name!r} has another meaning already, here or in another run")
        if column.metric and column.metric.label in {known.metric.label for known in COLUMNS if known.metric}:
            raise ColumnConflict(f"the column {column.name!r} has the label of another one, {column.metric.label!r}")
        COLUMNS.append(column)
        (FAMILIES if column.each else SINGLE)[column.name] = column


def declared_elsewhere(names: Iterable[object]) -> list[Column]:
    """The columns among some names that the lab itself does not declare."""
    return list(dict.fromkeys(column for _, column in declared_in(names) if column not in OF_THE_LAB))


def split_name(name: str) -> tuple[Column, str] | None:
    """The declaration of a column and what it is of, '' for a single one; None for one that is not declared."""
    if name in SINGLE:
        return SINGLE[name], ""
    families = [family for family in FAMILIES if name.startswith(f"{family}_") and name != f"{family}_"]
    if not families:
        return None
    family = max(families, key=len)  # dice_empty_csp is of dice_empty, not of dice
    return FAMILIES[family], name.removeprefix(f"{family}_")


def members(names: Iterable[object], family: str) -> list[str]:
    """Structures, planes or decoders that a table has a family's column of, in the table's order."""
    found = (split_name(str(name)) for name in names)
    return [of for pair in found if pair for column, of in [pair] if column is FAMILIES[family]]


def declared_in(names: Iterable[object]) -> Iterator[tuple[str, Column]]:
    """Those names that are declared, in the order of the declaration, each with its column."""
    there = {str(name): pair[0] for name in names if (pair := split_name(str(name)))}
    order = {id(column): place for place, column in enumerate(COLUMNS)}
    yield from sorted(there.items(), key=lambda item: order[id(item[1])])
