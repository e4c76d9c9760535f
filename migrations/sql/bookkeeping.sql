-- name: columns
-- Of the table that says what was applied; none: there is no such table.
select a.attname as name from pg_attribute a
where a.attrelid = to_regclass('applied_migrations') and a.attnum > 0 and not a.attisdropped

-- name: tables
-- What else stands where the tables would be made, but for what an extension put there.
select c.relname as name from pg_class c
where c.relnamespace = to_regnamespace(quote_ident(current_schema())) and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    and c.relname <> 'applied_migrations'
    and not exists (
        select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
order by c.relname

-- name: create
create table if not exists applied_migrations (
    name text primary key,
    sha256 text not null,
    applied_at timestamptz not null default now()
)

-- name: applied
select name, sha256 from applied_migrations

-- name: note
-- A function is applied again when its text has changed, nothing else is.
insert into applied_migrations (name, sha256) values ($1, $2)
on conflict (name) do update set sha256 = excluded.sha256, applied_at = excluded.applied_at

-- name: schema
select quote_ident(current_schema())

-- name: present
select p.proname as name from pg_proc p where p.pronamespace = to_regnamespace(quote_ident(current_schema()))
union
select c.relname from pg_class c where c.relnamespace = to_regnamespace(quote_ident(current_schema())) and c.relkind = 'v'
union
select t.tgname from pg_trigger t join pg_class c on c.oid = t.tgrelid
where c.relnamespace = to_regnamespace(quote_ident(current_schema())) and not t.tgisinternal

-- name: overloaded
-- Functions with more than one list of parameters: with defaults a call would fit several.
select p.proname as name, string_agg(p.oid::regprocedure::text, ', ' order by p.oid) as signatures from pg_proc p
where p.pronamespace = to_regnamespace(quote_ident(current_schema())) and p.proname = any ($1)
group by p.proname having count(*) > 1

-- name: months
select ensure_partitions()

-- name: forget
delete from applied_migrations where name = any ($1)
