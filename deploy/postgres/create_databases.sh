#!/bin/sh
# Run once by the PostgreSQL image, on an empty volume: a database and its owner for each service. Passwords
# reach psql in its environment, where no other user of the machine can read them.
set -eu

run() {
  CILAKE_DATABASE="$1" CILAKE_DATABASE_PASSWORD="$2" \
    psql -X -q -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres -f "/opt/cilake/postgres/$3"
}

run iceberg "$CILAKE_CATALOG_PASSWORD" database.sql
run airflow "$CILAKE_AIRFLOW_DB_PASSWORD" database.sql
run superset "$CILAKE_SUPERSET_DB_PASSWORD" database.sql
run marquez "$CILAKE_MARQUEZ_DB_PASSWORD" database.sql
run iceberg_reader "$CILAKE_CATALOG_READER_PASSWORD" reader.sql
