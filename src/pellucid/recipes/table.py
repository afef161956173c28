"""Tables."""

from .base import Recipe

TABLE = Recipe(
    name="table",
    summary="Rows of a csv file with a header, or a built-in table: numbers, dates, categories and missing cells.",
    settings={
        "kind": "table",
        "data": {"source": "penguins", "holdout": 0.2},
        "process": {"kind": "absorbing", "schedule": "rectified", "sigma_data": 1.0},
        "training": {"budget": "60s", "batch_size": 256, "lr": 2e-3, "weight_decay": 0.01, "pictures": 4},
        "sampling": {"solver": "ancestral", "steps": 100, "grid": "uniform"},
    },
)
