"""Breast tumours."""

from nnrun.datasets.public.bundled import BundledClasses

MEASURES = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave points",
    "symmetry",
    "fractal dimension",
)


class BreastCancer(BundledClasses):
    """569 breast tumours, 30 measurements of their cell nuclei, 212 malignant and 357 benign.

    Source: Street, Wolberg & Mangasarian, Nuclear feature extraction for breast tumor diagnosis (1993); the file of
    scikit-learn.
    """

    file = "breast_cancer.csv"
    input_names = (
        *(f"mean {name}" for name in MEASURES),
        *(f"{name} error" for name in MEASURES),
        *(f"worst {name}" for name in MEASURES),
    )
    target_names = ("diagnosis",)
    class_names = ("malignant", "benign")
