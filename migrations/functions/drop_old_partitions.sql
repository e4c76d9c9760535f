-- needs: uuid_of_time

-- Of the owner and with its lock_timeout, as ensure_partitions is.
create or replace function drop_old_partitions(p_keep interval) returns text[] language plpgsql volatile
set lock_timeout = '100ms'
security definer set search_path from current
as $$
-- Drops the oldest month that ended longer than p_keep ago and answers its name; none: nothing is left to drop. A month
-- with anything open in it stays. Gives up when it cannot have the tables within lock_timeout. One at a time, and nothing
-- slow in here, since everybody waits for the tables meanwhile; forget_dropped clears the rest.
declare
    v_month record;
begin
    perform pg_advisory_xact_lock(hashtextextended('paceline partitions', 0));
    for v_month in
        select t.name, uuid_of_time(t.starts) as first_id, uuid_of_time(t.starts + interval '1 month') as end_id
        from (
            select substr(c.relname, 10) as name,
                to_timestamp(substr(c.relname, 10) || '_01 00 +00', 'YYYY_MM_DD HH24 TZH') as starts
            from pg_inherits i join pg_class c on c.oid = i.inhrelid
            where i.inhparent = 'messages'::regclass and c.relname ~ '^messages_\d{4}_\d{2}$'
        ) t
        where t.starts + interval '1 month' < clock_timestamp() - p_keep
        order by t.name
    loop
        continue when exists (select from due d where d.message >= v_month.first_id and d.message < v_month.end_id)
            or exists (select from open_attempts o where o.message >= v_month.first_id and o.message < v_month.end_id)
            or exists (
                select from campaigns c
                where c.finished_at is null and c.last_id >= v_month.first_id and c.first_id < v_month.end_id);
        execute format('drop table %I, %I', 'messages_' || v_month.name, 'attempts_' || v_month.name);
        insert into dropped_months (first_id, end_id) values (v_month.first_id, v_month.end_id);
        return array[v_month.name::text];
    end loop;
    return '{}';
end
$$;
revoke execute on function drop_old_partitions from public;
