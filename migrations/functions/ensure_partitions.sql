-- needs: uuid_of_time

-- It belongs to the owner of the tables and runs with its rights, so that the role of the services needs no more than to read and
-- write rows; who may call it is granted (docs/operations.md). Whoever calls must not be able to put tables of the same names
-- before ours: the migrations apply it with the schema alone in the search path.
--
-- It needs `messages` and `attempts` alone for a moment. While somebody reads them for long (an export, a campaign of a million
-- being accepted) it does not get them, and meanwhile every gate stands in line behind it: 2 s at each try with the timeout of
-- the connection. It tries again some minutes later, months have time.
create or replace function ensure_partitions(p_months_ahead integer default 2) returns integer language plpgsql volatile
set lock_timeout = '100ms'
security definer set search_path from current
as $$
-- Makes the partitions of this month and the next ones where they are missing; returns how many it made. Safe to run
-- at the same time as itself.
declare
    v_month timestamptz;
    v_name text;
    v_made integer := 0;
begin
    perform pg_advisory_xact_lock(hashtextextended('paceline partitions', 0));
    for step in 0..p_months_ahead loop
        v_month := date_trunc('month', clock_timestamp() at time zone 'UTC') at time zone 'UTC' + make_interval(months => step);
        v_name := to_char(v_month at time zone 'UTC', 'YYYY_MM');
        if to_regclass('messages_' || v_name) is null then
            execute format(
                'create table %I partition of messages for values from (%L) to (%L) with (fillfactor = 50)',
                'messages_' || v_name, uuid_of_time(v_month), uuid_of_time(v_month + interval '1 month'));
            execute format(
                'create table %I partition of attempts for values from (%L) to (%L)',
                'attempts_' || v_name, uuid_of_time(v_month), uuid_of_time(v_month + interval '1 month'));
            v_made := v_made + 1;
        end if;
    end loop;
    return v_made;
end
$$;
revoke execute on function ensure_partitions from public;
