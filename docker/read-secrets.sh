#!/bin/sh
# Programs that take a secret from a variable only: for each NAME below whose NAME_FILE is set, the
# file's words become NAME, for this process and no other container. Then the program is started.
set -eu

for name in \
  AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY \
  BACKBEAT_LEDGER BACKBEAT_LEDGER_TOKEN \
  DAGSTER_DATABASE MLFLOW_BACKEND_STORE_URI \
  ROOT_ACCESS_KEY ROOT_SECRET_KEY; do
  eval "file=\${${name}_FILE:-}"
  [ -n "$file" ] || continue
  if [ ! -s "$file" ]; then
    echo "$0: ${name}_FILE names $file, which is missing or empty: run make-secrets.sh" >&2
    exit 1
  fi
  # a variable of an `eval` is never the value itself, which may hold any character
  value=$(cat "$file")
  export "$name=$value"
  unset "${name}_FILE"
done

exec "$@"
