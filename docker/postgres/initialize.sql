-- Run once by the image, as the superuser, when the volume is empty: a role and a database for each
-- tenant, with the passwords that make-secrets.sh made. They reach psql by file, never by argument.
\set airflow_password `cat /run/secrets/airflow_db_password`
\set dagster_password `cat /run/secrets/dagster_db_password`
\set mlflow_password `cat /run/secrets/mlflow_db_password`
\set owner_password `cat /run/secrets/ledger_owner_password`
\set worker_password `cat /run/secrets/ledger_worker_password`

CREATE ROLE airflow LOGIN PASSWORD :'airflow_password';
CREATE DATABASE airflow OWNER airflow;
REVOKE ALL ON DATABASE airflow FROM PUBLIC;

CREATE ROLE dagster LOGIN PASSWORD :'dagster_password';
CREATE DATABASE dagster OWNER dagster;
REVOKE ALL ON DATABASE dagster FROM PUBLIC;

CREATE ROLE mlflow LOGIN PASSWORD :'mlflow_password';
CREATE DATABASE mlflow OWNER mlflow;
REVOKE ALL ON DATABASE mlflow FROM PUBLIC;

-- The ledger: its owner makes the schema, and no worker has that role. What the others may do with
-- the tables is granted by `backbeat ledger roles`, which postgres/migrate_ledger.py applies.
CREATE ROLE backbeat_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE backbeat_worker LOGIN PASSWORD :'worker_password';
CREATE ROLE backbeat_reader NOLOGIN;
CREATE ROLE backbeat_auditor NOLOGIN;
CREATE ROLE backbeat_keeper NOLOGIN;
CREATE DATABASE backbeat OWNER backbeat_owner;
REVOKE ALL ON DATABASE backbeat FROM PUBLIC;
GRANT CONNECT ON DATABASE backbeat
  TO backbeat_worker, backbeat_reader, backbeat_auditor, backbeat_keeper;
