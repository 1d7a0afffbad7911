\getenv name CILAKE_DATABASE
\getenv password CILAKE_DATABASE_PASSWORD
create role :"name" login password :'password';
create database :"name" owner :"name";
revoke connect on database :"name" from public;
