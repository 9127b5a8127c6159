"""The formats that can be imported, by the word that is typed."""

from collections.abc import Callable, Iterator, Mapping

from ushydra_lab.data.importers import coco, cvat, labelme, mask_files, nifti, slicer
from ushydra_lab.data.importers.form import Entry, Request

FORMATS: Mapping[str, Callable[[Request], Iterator[Entry]]] = {
    "labelme": labelme.read,
    "coco": coco.read,
    "cvat": cvat.read,
    "slicer": slicer.read,
    "nifti": nifti.read,
    "masks": mask_files.read,
}
