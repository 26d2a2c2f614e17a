"""Wines of three growers."""

from nnrun.datasets.public.bundled import BundledClasses


class Wine(BundledClasses):
    """178 wines, 13 chemical measurements, 3 growers with 59, 71 and 48 wines.

    Source: Forina et al., PARVUS (1988), UCI repository; the file of scikit-learn.
    """

    file = "wine_data.csv"
    input_names = (
        "alcohol",
        "malic_acid",
        "ash",
        "alcalinity_of_ash",
        "magnesium",
        "total_phenols",
        "flavanoids",
        "nonflavanoid_phenols",
        "proanthocyanins",
        "color_intensity",
        "hue",
        "od280/od315_of_diluted_wines",
        "proline",
    )
    target_names = ("grower",)
    class_names = ("class_0", "class_1", "class_2")
