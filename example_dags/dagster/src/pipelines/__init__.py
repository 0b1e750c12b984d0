"""Six example pipelines for Dagster."""
