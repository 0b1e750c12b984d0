"""backbeat for Apache Airflow: an operator per step, a connection type, sign-off without a slot.

Airflow reads this package's provider info while it is itself being imported: nothing here, nor in
`provider_info`, may import Airflow.
"""

__version__ = "0.2.0"
