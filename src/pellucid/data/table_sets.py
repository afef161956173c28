"""Built-in tables: real ones that packages ship as csv."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from ..foundations.registry import Registry
from .arrays import Dataset
from .shipped import shipped
from .tables import open_table

Kinds = Mapping[str, str]


def penguins(kinds: Kinds | None = None) -> Dataset:
    """344 penguins of three species: island, bill, flipper, mass and sex, with missing cells.

    Source: K. B. Gorman, T. D. Williams and W. R. Fraser, "Ecological Sexual Dimorphism and Environmental Variability
    within a Community of Antarctic Penguins", 2014.
    """
    return _of_bokeh("penguins", "penguins.csv", kinds)


def titanic(kinds: Kinds | None = None) -> Dataset:
    """1,313 passengers of the Titanic: class, age (missing for many), sex, and whether they survived."""
    return _of_bokeh("titanic", "titanic_all.csv", kinds)


def cars(kinds: Kinds | None = None) -> Dataset:
    """392 cars of 1970 to 1982: consumption, cylinders, power, weight, acceleration, year and origin.

    Source: R. Quinlan, "Auto MPG", UCI Machine Learning Repository, 1993.
    """
    return _of_bokeh("cars", "auto-mpg.csv", kinds)


def orders(kinds: Kinds | None = None) -> Dataset:
    """9,994 orders of a shop: shipping, place, goods, and sales, discount and profit, which have heavy tails."""
    return _of_bokeh("orders", "SampleSuperstore.csv.gz", kinds)


TABLES: Registry[Callable[..., Dataset]] = Registry(
    "built-in table", {"penguins": penguins, "titanic": titanic, "cars": cars, "orders": orders}
)


def _of_bokeh(name: str, file: str, kinds: Kinds | None) -> Dataset:
    path = shipped("bokeh_sampledata", "bokeh-sampledata", f"the data set {name!r}", f"_data/{file}")
    return replace(open_table(path, kinds=kinds), name=name)
