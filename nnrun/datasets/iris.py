"""Iris flowers."""

from nnrun.datasets.public.bundled import BundledClasses


class Iris(BundledClasses):
    """150 iris flowers, 4 lengths in centimetres, 3 species of 50.

    Source: Fisher, The use of multiple measurements in taxonomic problems (1936); the file of scikit-learn.
    """

    file = "iris.csv"
    input_names = ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)")
    target_names = ("species",)
    class_names = ("setosa", "versicolor", "virginica")
