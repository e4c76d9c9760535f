-- What people write to the accounts: who talks with which account, which account has a message that may be answered, and
-- which number is behind a hidden id (`<digits>@lid`).
--
-- Locks, in this order: lid_key, the gate's, held_key, contact_key, then rows.

create function held_key() returns bigint language sql immutable parallel safe as $$ select 7205759403792794 $$;
create function contact_key() returns integer language sql immutable parallel safe as $$ select 1677722 $$;
create function lid_key() returns integer language sql immutable parallel safe as $$ select 1677723 $$;

create table conversations (
    phone_key text not null,
    endpoint text not null,
    heard_at timestamptz not null,
    noted_at timestamptz not null,
    primary key (phone_key, endpoint)
);
comment on table conversations is
    'Who wrote to which account: they stay with the one they wrote to last, and it may answer them whatever it is held for. A '
    'table of its own, since `contacts` is updated with every send and an index to forget by would make that dear.';
comment on column conversations.phone_key is 'Of the person; the hidden id itself while its number is not known.';
comment on column conversations.heard_at is 'When they wrote last, by the account''s clock and never later than ours.';
comment on column conversations.noted_at is 'By our clock; it follows within a minute.';
create index conversations_by_age on conversations (noted_at);

create table inbound_ids (
    whatsapp_id text not null,
    endpoint text not null,
    noted_at timestamptz not null default clock_timestamp(),
    primary key (whatsapp_id, endpoint)
);
comment on table inbound_ids is
    'Messages that an account has and Paceline did not send, so that an answer goes through the account that can quote them.';
create index inbound_ids_by_age on inbound_ids (noted_at);

create table hidden_numbers (
    lid text primary key,
    phone_key text not null,
    phone text not null,
    seen_at timestamptz not null default clock_timestamp()
);
comment on table hidden_numbers is 'The number behind a hidden id, from events that named both.';
create index hidden_numbers_by_age on hidden_numbers (seen_at);
create index hidden_numbers_by_person on hidden_numbers (phone_key);

create table unresolved_optouts (
    lid text primary key,
    wish text not null check (wish in ('out', 'in')),
    said_at timestamptz not null,
    endpoint text not null,
    noted_at timestamptz not null default clock_timestamp()
);
comment on table unresolved_optouts is
    'The last word of somebody whose number is not known yet; it takes effect with the event that names it.';

alter table due add column held_for text;
comment on column due.held_for is
    'Phone key of a recipient to whom no account, or not the chosen one, may write yet: looked at again when they write or a hold '
    'is released.';
create index due_held on due (held_for, message) where held_for is not null;

alter table endpoints add column hold_released_at timestamptz;
comment on column endpoints.hold_released_at is 'When an operator last ended its hold for new contacts.';

create function note_conversation(p_key text, p_endpoint text, p_heard_at timestamptz) returns void language plpgsql volatile
as $$
-- Somebody wrote to an account: they are bound to it, it may write to them, and what waited for that is looked at now. In
-- any order, doubled or late, the newest heard_at wins; within a minute only what changes the order is written.
declare
    v_unlocked boolean;
begin
    perform pg_advisory_xact_lock(contact_key(), hashtext(p_key));
    delete from cold_locks l where l.phone_key = p_key and l.endpoint = p_endpoint;
    v_unlocked := found;
    insert into conversations as c (phone_key, endpoint, heard_at, noted_at)
    values (p_key, p_endpoint, least(coalesce(p_heard_at, clock_timestamp()), clock_timestamp()), clock_timestamp())
    on conflict (phone_key, endpoint) do update set
        heard_at = greatest(c.heard_at, excluded.heard_at), noted_at = excluded.noted_at
    where v_unlocked or c.noted_at < excluded.noted_at - interval '1 minute' or exists (
        select from conversations o
        where o.phone_key = p_key and o.endpoint <> p_endpoint and o.heard_at between c.heard_at and excluded.heard_at);
    update due d set due_at = clock_timestamp(), enqueued_at = null, held_for = null
    from (select x.message from due x where x.held_for = p_key order by x.message for no key update) w
    where d.message = w.message and d.why <> 'check';
end
$$;

create function note_number(p_lid text, p_phone_key text, p_phone text) returns boolean language plpgsql volatile
as $$
-- An event named a hidden id and its number: kept, and what was said under the id alone becomes the person's. Answers whether
-- a word of theirs took effect.
declare
    v_wish unresolved_optouts%rowtype;
    v_heard conversations%rowtype;
begin
    if exists (
        select from hidden_numbers h
        where h.lid = p_lid and h.phone_key = p_phone_key and h.seen_at > clock_timestamp() - interval '30 days') then
        return false;
    end if;
    -- Nobody keeps a word under the id while its number is being noted; see keep_unresolved.
    perform pg_advisory_xact_lock(lid_key(), hashtext(p_lid));
    insert into hidden_numbers (lid, phone_key, phone) values (p_lid, p_phone_key, p_phone)
    on conflict (lid) do update set phone_key = excluded.phone_key, phone = excluded.phone, seen_at = excluded.seen_at;
    delete from unresolved_optouts u where u.lid = p_lid returning u.* into v_wish;
    if v_wish.wish = 'out' then
        perform opt_out_by_message(p_phone_key, p_phone, v_wish.said_at);
    elsif v_wish.wish = 'in' then
        delete from optouts o where o.phone_key = p_phone_key and o.source = 'message' and o.said_at < v_wish.said_at;
    end if;
    for v_heard in delete from conversations c where c.phone_key = p_lid returning c.* loop
        perform note_conversation(p_phone_key, v_heard.endpoint, v_heard.heard_at);
    end loop;
    return v_wish.lid is not null;
end
$$;

create function hear(
    p_endpoint text, p_phone_key text, p_phone text, p_lid text, p_whatsapp_id text, p_heard_at timestamptz
) returns table (phone_key text, phone text) language plpgsql volatile
as $$
#variable_conflict use_column
-- One message that came to (or was typed on) an account. p_phone_key and p_lid: of the person in a chat of two, each '' where it
-- is not said, both '' where nobody is to be bound. p_whatsapp_id '': it cannot be answered. p_endpoint '': nobody knows which
-- account. Answers who it was, no row: unknown. May be repeated.
declare
    v_key text := p_phone_key;
    v_phone text := p_phone;
begin
    if p_lid <> '' and p_phone_key <> '' then
        perform note_number(p_lid, p_phone_key, p_phone);
    elsif p_lid <> '' then
        select h.phone_key, h.phone into v_key, v_phone from hidden_numbers h where h.lid = p_lid;
        if not found then
            perform pg_advisory_xact_lock(lid_key(), hashtext(p_lid));
            select h.phone_key, h.phone into v_key, v_phone from hidden_numbers h where h.lid = p_lid;
        end if;
    end if;
    if p_endpoint <> '' and p_whatsapp_id <> '' then
        insert into inbound_ids (whatsapp_id, endpoint) values (p_whatsapp_id, p_endpoint) on conflict do nothing;
    end if;
    if p_endpoint <> '' and coalesce(nullif(v_key, ''), p_lid) <> '' then
        perform note_conversation(coalesce(nullif(v_key, ''), p_lid), p_endpoint, p_heard_at);
    end if;
    if v_key <> '' then
        return query select v_key, v_phone;
    end if;
end
$$;

create function keep_unresolved(p_lid text, p_wish text, p_said_at timestamptz, p_endpoint text)
returns table (phone_key text, phone text) language plpgsql volatile
as $$
#variable_conflict use_column
-- Keeps the newest word of a hidden id until its number is known. Answers the number, and keeps nothing, where it became known
-- meanwhile.
begin
    perform pg_advisory_xact_lock(lid_key(), hashtext(p_lid));
    return query select h.phone_key, h.phone from hidden_numbers h where h.lid = p_lid;
    if not found then
        insert into unresolved_optouts as u (lid, wish, said_at, endpoint) values (p_lid, p_wish, p_said_at, p_endpoint)
        on conflict (lid) do update set wish = excluded.wish, said_at = excluded.said_at, endpoint = excluded.endpoint
        where u.said_at <= excluded.said_at;
    end if;
end
$$;

create function wait_alone(p_message uuid, p_seconds double precision, p_looked_at timestamptz default null)
returns void language plpgsql volatile
as $$
-- Has a waiting message enqueued again in p_seconds by a due row of its own, a campaign's too, so that it can come back before
-- the others of its chunk. With p_looked_at it waits for an account that may write to its recipient, as seen then: at once if
-- the recipient wrote, or a hold was released, since; and whoever does it later finds the row, for the locks are theirs too.
declare
    v_key text;
    v_now boolean := false;
begin
    if p_looked_at is not null then
        perform pg_advisory_xact_lock_shared(held_key());
        select m.phone_key into v_key from messages m where m.id = p_message;
        perform pg_advisory_xact_lock(contact_key(), hashtext(v_key));
        v_now := exists (select from conversations c where c.phone_key = v_key and c.noted_at >= p_looked_at)
            or exists (select from endpoints e where e.hold_released_at >= p_looked_at);
    end if;
    insert into due as d (message, due_at, why, campaign, lane, held_for)
    select m.id, clock_timestamp() + make_interval(secs => case when v_now then 0 else p_seconds end),
        case m.status when 'queued' then 'send' else 'retry' end, m.campaign, m.lane, case when not v_now then v_key end
    from messages m where m.id = p_message and m.status in ('queued', 'retrying')
    on conflict (message) do update set due_at = excluded.due_at, enqueued_at = null, held_for = excluded.held_for
    where d.why <> 'check';
end
$$;

create function release_hold(p_endpoint text) returns boolean language plpgsql volatile
as $$
-- Lets an account write to new contacts again, those included that it was refused. Answers whether it was held.
-- In the order of note_cold_contact: locks, then the account.
declare
    v_held boolean;
begin
    perform pg_advisory_xact_lock(held_key());
    delete from cold_locks l where l.endpoint = p_endpoint;
    v_held := found
        or exists (select from endpoints e where e.id = p_endpoint and e.cold_held_until > clock_timestamp());
    insert into endpoints as e (id, hold_released_at) values (p_endpoint, clock_timestamp())
    on conflict (id) do update set cold_held_until = null, hold_released_at = excluded.hold_released_at;
    return v_held;
end
$$;

create function wake_held(p_after_key text, p_after uuid, p_limit integer)
returns table (held_for text, message uuid) language plpgsql volatile
as $$
#variable_conflict use_column
-- Has the next p_limit messages looked at now that wait for an account that may write to their recipients; answers the last of
-- them, from where to go on; no row: that was all. What waits again meanwhile is not met twice.
begin
    return query with woken as (
        select d.held_for, d.message from due d
        where d.held_for is not null and (d.held_for, d.message) > (p_after_key, p_after)
        order by d.held_for, d.message limit p_limit for no key update
    ), changed as (
        update due d set due_at = clock_timestamp(), enqueued_at = null, held_for = null
        from woken w where d.message = w.message and d.why <> 'check'
    )
    select w.held_for, w.message from woken w order by w.held_for desc, w.message desc limit 1;
end
$$;

create function forget_heard(p_keep double precision, p_keep_numbers double precision, p_limit integer)
returns integer language plpgsql volatile
as $$
-- Forgets messages and conversations not heard of for p_keep seconds, numbers and unresolved words for p_keep_numbers: up to
-- p_limit of each. Answers the most that it was of one; p_limit: there may be more. statement_timestamp, since with
-- clock_timestamp, which is volatile, each index would be read to its end.
declare
    v_gone integer;
begin
    with ids as (
        delete from inbound_ids where ctid = any (array(
            select x.ctid from inbound_ids x where x.noted_at < statement_timestamp() - make_interval(secs => p_keep)
            order by x.noted_at limit p_limit for update skip locked)) returning 1
    ), talks as (
        delete from conversations where ctid = any (array(
            select x.ctid from conversations x where x.noted_at < statement_timestamp() - make_interval(secs => p_keep)
            order by x.noted_at limit p_limit for update skip locked)) returning 1
    ), numbers as (
        delete from hidden_numbers where ctid = any (array(
            select x.ctid from hidden_numbers x where x.seen_at < statement_timestamp() - make_interval(secs => p_keep_numbers)
            order by x.seen_at limit p_limit for update skip locked)) returning 1
    ), words as (
        delete from unresolved_optouts u where u.noted_at < statement_timestamp() - make_interval(secs => p_keep_numbers) returning 1
    )
    select greatest((select count(*) from ids), (select count(*) from talks), (select count(*) from numbers)) into v_gone;
    return v_gone;
end
$$;
