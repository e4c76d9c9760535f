-- Old rows for `bench/growth.py`: what a busy installation has after a year, made in the server since a million messages take
-- a minute that way and an hour by the API. For a database of its own, never for one with messages.
--
-- Of each 10,000 messages 9,000 are of a finished campaign and the others single; 97 in 100 were sent, half of those read, one
-- failed, one expired, one is unknown. Each recipient had two.

create function bench_id(p_at timestamptz, p_number bigint) returns uuid language sql immutable
as $$
    -- A UUIDv7 of that millisecond whose random part is the number.
    select (lpad(to_hex((extract(epoch from p_at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(p_number & 4095), 3, '0')
        || '8' || lpad(to_hex(p_number), 15, '0'))::uuid
$$;

create function bench_campaign(p_number bigint) returns uuid language sql immutable
as $$ select ('00000000-0000-7000-8000-' || lpad(to_hex(p_number / 10000), 12, '0'))::uuid $$;

create function bench_phone(p_number bigint, p_rows bigint) returns text language sql immutable
as $$
    -- Recipients in no order: the multiplier has no factor in common with a round number of rows.
    select '1555' || lpad((p_number * 7919 % (p_rows / 2))::text, 7, '0')
$$;

create procedure bench_partitions(p_months integer) language plpgsql
as $$
declare
    v_month timestamptz;
    v_name text;
    v_end timestamptz;
begin
    for step in 1..p_months loop
        v_month := (date_trunc('month', clock_timestamp() at time zone 'UTC') - make_interval(months => step)) at time zone 'UTC';
        v_end := (v_month at time zone 'UTC' + interval '1 month') at time zone 'UTC';
        v_name := to_char(v_month at time zone 'UTC', 'YYYY_MM');
        execute format('create table %I partition of messages for values from (%L) to (%L) with (fillfactor = 50)',
            'messages_' || v_name, uuid_of_time(v_month), uuid_of_time(v_end));
        execute format('create table %I partition of attempts for values from (%L) to (%L)',
            'attempts_' || v_name, uuid_of_time(v_month), uuid_of_time(v_end));
    end loop;
end
$$;

create procedure bench_fill(p_rows bigint, p_days double precision, p_endpoints text[]) language plpgsql
as $$
-- p_rows messages of the last p_days days but two, each with its attempt: what the accounts did lately is the same however
-- many rows there are.
declare
    v_begin timestamptz := clock_timestamp() - make_interval(secs => p_days * 86400);
    v_step interval := make_interval(secs => (p_days - 2) * 86400 / p_rows);
begin
    alter table whatsapp_ids drop constraint whatsapp_ids_pkey;
    alter table contacts drop constraint contacts_pkey;
    create temporary table bench_rows on commit drop as
    select n, bench_id(v_begin + n * v_step, n) as id, v_begin + n * v_step as at,
        case when n % 10000 < 9000 then bench_campaign(n) end as campaign,
        bench_phone(n, p_rows) as phone,
        case n % 100 when 97 then 'failed' when 98 then 'expired' when 99 then 'unknown' else 'sent' end as status,
        p_endpoints[1 + n % cardinality(p_endpoints)] as endpoint,
        '3EB0' || upper(md5(n::text)) as whatsapp_id
    from generate_series(0, p_rows - 1) n;

    insert into messages (id, campaign, lane, kind, phone, phone_key, content, on_unknown, reference, expires_at, created_at,
        status, attempt, tries_used, token, endpoint, reason, receipt, changed_at)
    select r.id, r.campaign, case when r.campaign is null then 'transactional' else 'bulk' end, 'message',
        r.phone || '@s.whatsapp.net', r.phone,
        case when r.campaign is null then '{"message": "Your code is 123456. It is valid for ten minutes."}'::jsonb end,
        'hold', null, case when r.campaign is null then r.at + interval '1 day' end, r.at,
        r.status, 1, 1, md5(r.n::text)::uuid, r.endpoint,
        case r.status when 'failed' then 'the number is not on WhatsApp' end,
        case when r.status <> 'sent' then 'none' when r.n % 2 = 0 then 'read' else 'delivered' end, r.at + interval '1 minute'
    from bench_rows r order by r.n;
    insert into attempts
    select r.id, 1, r.endpoint, 'dispatcher-' || r.n % 4,
        case r.status when 'sent' then 'sent' when 'failed' then 'refused' else 'unknown' end, 200, null, r.whatsapp_id,
        r.at + interval '59 seconds', r.at + interval '1 minute'
    from bench_rows r order by r.n;
    insert into whatsapp_ids
    select r.whatsapp_id, r.endpoint, r.id, 1 from bench_rows r where r.status = 'sent' order by r.whatsapp_id;
    insert into contacts
    select r.phone, r.endpoint, max(r.at) from bench_rows r where r.status = 'sent' group by r.phone, r.endpoint;
    insert into unknown_messages
    select r.id, r.campaign, r.at from bench_rows r where r.status = 'unknown';
    -- None of them is sent to again.
    insert into optouts (phone_key, scope, source)
    select '1777' || lpad(n::text, 7, '0'), 'bulk', 'api' from generate_series(1, p_rows / 1000) n;

    insert into campaigns (token, status, kind, lane, content, on_unknown, reference, total, first_id, last_id, created_at,
        expires_at, last_fed_at, finished_at)
    select r.campaign, 'finished', 'message', 'bulk', '{"message": "Our shop is open on Sunday"}', 'hold',
        'campaign ' || min(r.n) / 10000, count(*), min(r.id::text)::uuid, max(r.id::text)::uuid, min(r.at),
        min(r.at) + interval '7 days', min(r.at), max(r.at) + interval '1 hour'
    from bench_rows r where r.campaign is not null group by r.campaign;
    insert into chunks (campaign, number, first_id, last_id, size, fed_at, closed_at)
    select r.campaign, r.n % 10000 / 500, min(r.id::text)::uuid, max(r.id::text)::uuid, count(*), min(r.at),
        max(r.at) + interval '1 hour'
    from bench_rows r where r.campaign is not null group by r.campaign, r.n % 10000 / 500;
    insert into campaign_counts (campaign, shard, sent, failed, unknown, expired, delivered, read)
    select r.campaign, r.n % 4, count(*) filter (where r.status = 'sent'), count(*) filter (where r.status = 'failed'),
        count(*) filter (where r.status = 'unknown'), count(*) filter (where r.status = 'expired'),
        count(*) filter (where r.status = 'sent'), count(*) filter (where r.status = 'sent' and r.n % 2 = 0)
    from bench_rows r where r.campaign is not null group by r.campaign, r.n % 4;

    alter table whatsapp_ids add primary key (whatsapp_id, endpoint);
    alter table contacts add primary key (phone_key, endpoint);
end
$$;
