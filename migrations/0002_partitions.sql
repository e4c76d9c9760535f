-- Partitions of `messages` and `attempts` by the month that is written into a UUIDv7. Retention drops them whole.

create function uuid_of_time(p_time timestamptz) returns uuid language sql immutable strict
as $$
    -- The smallest UUIDv7 of that millisecond: 48 bits of Unix time, the rest zero.
    select (substr(hex, 1, 8) || '-' || substr(hex, 9, 4) || '-0000-0000-000000000000')::uuid
    from (select lpad(to_hex((extract(epoch from p_time) * 1000)::bigint), 12, '0')) as t (hex)
$$;

create function ensure_partitions(p_months_ahead integer default 2) returns integer language plpgsql
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

-- Rows whose month has no partition still find a place: a clock that is wrong must not lose a message.
create table messages_other partition of messages default with (fillfactor = 50);
create table attempts_other partition of attempts default;
select ensure_partitions();

create function drop_old_partitions(p_keep interval) returns text[] language plpgsql volatile
as $$
-- Drops the months that ended longer than p_keep ago and answers their names. A month with anything open in it stays.
-- Gives up when it cannot have the tables within lock_timeout. Nothing slow may be done in here, since everybody waits
-- for the tables meanwhile; forget_dropped clears the rest.
declare
    v_month record;
    v_dropped text[] := '{}';
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
        v_dropped := v_dropped || v_month.name::text;
    end loop;
    return v_dropped;
end
$$;

create function forget_dropped(p_limit integer) returns integer language plpgsql volatile
as $$
-- Deletes what belongs to messages older than the oldest month that is left: WhatsApp ids and finished campaigns, at most
-- p_limit of each. Answers how many rows went.
declare
    v_oldest uuid;
    v_ids integer;
    v_campaigns uuid[];
begin
    select uuid_of_time(min(to_timestamp(substr(c.relname, 10) || '_01 00 +00', 'YYYY_MM_DD HH24 TZH'))) into v_oldest
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'messages'::regclass and c.relname ~ '^messages_\d{4}_\d{2}$';
    delete from whatsapp_ids w where w.ctid = any (
        array(select x.ctid from whatsapp_ids x where x.message < v_oldest limit p_limit));
    get diagnostics v_ids = row_count;
    v_campaigns := array(
        select c.token from campaigns c where c.last_id < v_oldest and c.finished_at is not null limit p_limit);
    delete from chunks k where k.campaign = any (v_campaigns);
    delete from campaign_counts n where n.campaign = any (v_campaigns);
    delete from campaigns c where c.token = any (v_campaigns);
    return v_ids + coalesce(array_length(v_campaigns, 1), 0);
end
$$;
