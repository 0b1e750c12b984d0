#!/bin/sh
# Makes every secret of compose.yaml in a folder, from the kernel's random numbers. What is there
# already is kept, so that a second run changes nothing: a database does not forget its passwords.
#
#   sh make-secrets.sh [FOLDER]      default: `secrets` beside this file
set -eu

folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"
# Compose mounts the files as they are, and the containers' users are not the host's: each file may
# be read, but on the host nobody else gets into the folder.
chmod 700 "$folder"

random() {
  od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}

# keep NAME: the words on standard input become the secret, unless there is one
keep() {
  [ -s "$folder/$1" ] && return
  tr -d '\n' >"$folder/$1.new"
  chmod 444 "$folder/$1.new"
  mv "$folder/$1.new" "$folder/$1"
}

# database ROLE PASSWORD-FILE DATABASE SCHEME SECRET
database() {
  printf '%s://%s:%s@postgres:5432/%s' "$4" "$1" "$(cat "$folder/$2")" "$3" | keep "$5"
}

for name in \
  postgres_password airflow_db_password dagster_db_password mlflow_db_password \
  ledger_owner_password ledger_worker_password \
  redis_password airflow_api_key airflow_jwt_key airflow_admin_password s3_secret_key; do
  random | keep "$name"
done
random | cut -c1-20 | keep s3_access_key
# Fernet (its specification): 32 bytes, URL-safe base64
head -c 32 /dev/urandom | base64 | tr '+/' '-_' | keep airflow_fernet_key

database airflow airflow_db_password airflow postgresql+psycopg2 airflow_database
database airflow airflow_db_password airflow db+postgresql+psycopg2 airflow_results
database dagster dagster_db_password dagster postgresql dagster_database
database mlflow mlflow_db_password mlflow postgresql+psycopg2 mlflow_database
database backbeat_owner ledger_owner_password backbeat postgresql ledger_owner
database backbeat_worker ledger_worker_password backbeat postgresql ledger_worker

printf '{"admin": "%s"}' "$(cat "$folder/airflow_admin_password")" | keep airflow_passwords.json
printf 'requirepass %s' "$(cat "$folder/redis_password")" | keep redis.conf
printf 'redis://:%s@redis:6379/0' "$(cat "$folder/redis_password")" | keep airflow_broker

echo "the secrets are in $folder"
