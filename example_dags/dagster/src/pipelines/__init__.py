"""Four example pipelines for Dagster."""
