-- name: process
select pg_backend_pid()

-- name: read_only
select pg_is_in_recovery() or current_setting('default_transaction_read_only')::boolean

-- name: usable
-- A newer schema has the rows of all before it. Names of functions are among them, and are no version.
select max(m.name) filter (where m.name ~ '^[0-9]') as newest, coalesce(bool_or(m.name = $1), false) as fits,
    current_setting('transaction_read_only')::boolean as read_only
from applied_migrations m

-- name: lacking
-- What the role may not do with the tables and sequences of Paceline: those that belong to who made them all.
select c.relname || ' (' || string_agg(lower(p.wanted), ', ') || ')' as lacks
from pg_class c, unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) as p (wanted)
where (c.relnamespace, c.relowner) = (select m.relnamespace, m.relowner from pg_class m where m.oid = 'messages'::regclass)
    and not c.relispartition and c.relname <> 'applied_migrations'
    and case
        when c.relkind in ('r', 'p') then not has_table_privilege(c.oid, p.wanted)
        when c.relkind = 'S' and p.wanted in ('SELECT', 'UPDATE') then not has_sequence_privilege(c.oid, p.wanted)
        else false
    end
group by c.relname
order by c.relname
limit 5
