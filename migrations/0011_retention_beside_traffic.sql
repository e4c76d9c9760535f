-- Retention beside a running system, with ten million rows: who wants a table whole does not keep others waiting, and what
-- is to be forgotten is found without reading all that stays.

-- Making and dropping a month needs `messages` and `attempts` alone for a moment. While somebody reads them for long (an
-- export, a campaign of a million being accepted) it does not get them, and meanwhile every gate stands in line behind it:
-- 2 s at each try with the timeout of the connection. It tries again some minutes later, months have time.
alter function ensure_partitions(integer) set lock_timeout = '100ms';

create table dropped_months (
    first_id uuid primary key,
    end_id uuid not null,
    next_block bigint not null default 0
);
comment on table dropped_months is
    'Months whose messages are gone while what belonged to them is still being deleted. No index says which WhatsApp ids those '
    'are: it would cost every send, and 400 MB for ten million, for what is wanted once a month. They are read through once.';
comment on column dropped_months.next_block is 'Of whatsapp_ids: those before are done.';

-- What older schedulers have dropped and not cleared up after.
insert into dropped_months (first_id, end_id)
select '00000000-0000-0000-0000-000000000000',
    uuid_of_time(min(to_timestamp(substr(c.relname, 10) || '_01 00 +00', 'YYYY_MM_DD HH24 TZH')))
from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'messages'::regclass and c.relname ~ '^messages_\d{4}_\d{2}$' and exists (select from whatsapp_ids)
having count(*) > 0;

create or replace function drop_old_partitions(p_keep interval) returns text[] language plpgsql volatile
set lock_timeout = '100ms'
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

create or replace function forget_dropped(p_limit integer) returns integer language plpgsql volatile
set plan_cache_mode = force_custom_plan
as $$
-- Goes on with deleting what belonged to a dropped month: WhatsApp ids, of which it looks at about p_limit, then finished
-- campaigns, a hundredth as many at most since each has chunks, then the notes of unknown outcomes. Answers how many blocks
-- or campaigns it was; 0: all is done.
declare
    v_month record;
    v_blocks bigint := greatest(p_limit / 100, 1);
    v_campaigns uuid[];
begin
    select * into v_month from dropped_months d order by d.first_id limit 1 for update skip locked;
    if not found then
        return 0;
    end if;
    if v_month.next_block * current_setting('block_size')::bigint < pg_relation_size('whatsapp_ids') then
        delete from whatsapp_ids w
        where w.ctid >= format('(%s,0)', v_month.next_block)::tid
            and w.ctid < format('(%s,0)', v_month.next_block + v_blocks)::tid
            and w.message >= v_month.first_id and w.message < v_month.end_id;
        update dropped_months d set next_block = d.next_block + v_blocks where d.first_id = v_month.first_id;
        return v_blocks;
    end if;
    v_campaigns := array(
        select c.token from campaigns c
        where c.last_id >= v_month.first_id and c.last_id < v_month.end_id and c.finished_at is not null
        limit greatest(p_limit / 100, 1));
    delete from chunks k where k.campaign = any (v_campaigns);
    delete from campaign_counts n where n.campaign = any (v_campaigns);
    delete from campaigns c where c.token = any (v_campaigns);
    if v_campaigns = '{}' then
        delete from unknown_messages u
        where u.message >= v_month.first_id and u.message < v_month.end_id
            and not exists (select from messages m where m.id = u.message);
        delete from dropped_months d where d.first_id = v_month.first_id;
    end if;
    return greatest(cardinality(v_campaigns), 1);
end
$$;

create or replace function note_cold_contact(
    p_message uuid, p_endpoint text, p_seconds double precision, p_contacts integer, p_hold_seconds double precision
) returns boolean language plpgsql volatile
as $$
-- WhatsApp refused p_endpoint a new chat: not this recipient again through it for p_seconds; after p_contacts different
-- recipients within a day no new one at all for p_hold_seconds. Answers whether the account is held now.
declare
    v_count integer;
begin
    insert into cold_locks as l (phone_key, endpoint, until)
    select m.phone_key, p_endpoint, clock_timestamp() + make_interval(secs => p_seconds) from messages m where m.id = p_message
    on conflict (phone_key, endpoint) do update set locked_at = clock_timestamp(), until = excluded.until;
    -- With clock_timestamp(), which is volatile, the index would be read from the account's first lock on.
    select count(*) into v_count from cold_locks l
    where l.endpoint = p_endpoint and l.locked_at > statement_timestamp() - interval '1 day';
    if v_count < p_contacts then
        return false;
    end if;
    insert into endpoints as e (id, cold_held_until)
    values (p_endpoint, clock_timestamp() + make_interval(secs => p_hold_seconds))
    on conflict (id) do update set cold_held_until = excluded.cold_held_until;
    return true;
end
$$;

create function recent_sends(
    p_endpoints text[], p_first_id uuid, p_last_id uuid, p_attempts integer, p_seconds double precision, p_from uuid, p_to uuid
) returns table (endpoint text, attempts bigint, sent bigint, since_first double precision) language plpgsql stable
-- Planned without the values, it read the campaign's months by message id for each account: 8 s in place of 0.02 s.
set plan_cache_mode = force_custom_plan
as $$
-- What each account sent for a campaign lately: of its newest p_attempts attempts in the last p_seconds those that were of
-- messages between p_first_id and p_last_id, through attempts_by_endpoint, so a campaign of a million costs as little as one
-- of ten. Only attempts of messages between p_from and p_to are looked at, so that old months are not. statement_timestamp:
-- with clock_timestamp, which is volatile, the index was read from the account's first attempt on, 17 s with ten million.
begin
    return query
    select e.id, count(a.message),
        count(a.message) filter (where a.verdict = 'sent' and a.message between p_first_id and p_last_id),
        extract(epoch from clock_timestamp() - min(a.finished_at))::double precision
    from unnest(p_endpoints) as e (id)
    left join lateral (
        select t.message, t.verdict, t.finished_at from attempts t
        where t.endpoint = e.id and t.finished_at > statement_timestamp() - make_interval(secs => p_seconds)
            and t.message >= p_from and t.message <= p_to
        order by t.finished_at desc limit p_attempts
    ) a on true
    group by e.id;
end
$$;
