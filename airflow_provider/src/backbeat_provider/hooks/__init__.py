"""Hooks: the way from an Airflow connection to a platform."""
