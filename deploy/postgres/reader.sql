\getenv password CILAKE_DATABASE_PASSWORD
create role iceberg_reader login password :'password';
grant connect on database iceberg to iceberg_reader;
\connect iceberg
grant select on all tables in schema public to iceberg_reader;
alter default privileges for role iceberg in schema public grant select on tables to iceberg_reader;
-- Sessions of a role of that name that was dropped are of no use to its successor, and Trino would keep its own.
select pg_terminate_backend(pid) from pg_stat_activity where usename is null and backend_type = 'client backend';
