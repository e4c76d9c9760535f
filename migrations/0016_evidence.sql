-- Evidence about outcomes that nobody knows. "Not in the account's chat storage" is a proof only of the account that sent,
-- and only once its sender has answered long enough without a gap: what waited in a frozen or cut off sender goes out after
-- it is back. A send that the sender gave up (504) is never in the storage; its receipts prove it. And a file stands there
-- under the name that it was sent with, which the caller's URL does not tell. Which ids people wrote by hand, and which number is
-- behind a hidden id, stands in tables that the next file makes.

create table account_answers (
    endpoint text primary key,
    asked_at timestamptz not null,
    answered_at timestamptz,
    answering_since timestamptz
) with (fillfactor = 50);
comment on table account_answers is
    'Since when the sender of an account answers without a gap, as the schedulers find when they ask it who it is.';
comment on column account_answers.asked_at is 'Whoever asks next is chosen by it; nothing else follows from it.';
comment on column account_answers.answering_since is 'Null: it did not answer when it was asked last.';

create table account_numbers (
    endpoint text not null,
    since timestamptz not null,
    jid text not null,
    primary key (endpoint, since)
);
comment on table account_numbers is
    'Which WhatsApp number an account was paired with, and since when it was noticed. Its sender files chats by this number, so '
    'after a logout, or a pairing with another number, the chats of before seem empty.';
create index account_numbers_by_jid on account_numbers (jid);

create function note_answer(p_endpoint text, p_jid text, p_gap double precision) returns double precision
language plpgsql volatile
as $$
-- The sender answered: the account is p_jid (empty: it is logged out; null: the sender does not say). Answers for how many
-- seconds it has now answered without a gap; one of more than p_gap seconds between two answers begins anew, since nobody
-- knows what was in between.
declare
    v_since timestamptz;
begin
    insert into account_answers as a (endpoint, asked_at, answered_at, answering_since)
    values (p_endpoint, clock_timestamp(), clock_timestamp(), clock_timestamp())
    on conflict (endpoint) do update set
        answered_at = clock_timestamp(),
        answering_since = case
            when a.answered_at >= clock_timestamp() - make_interval(secs => p_gap)
                then coalesce(a.answering_since, clock_timestamp())
            else clock_timestamp() end
    returning a.answering_since into v_since;
    if p_jid <> '' and p_jid is distinct from (
        select n.jid from account_numbers n where n.endpoint = p_endpoint order by n.since desc limit 1) then
        insert into account_numbers (endpoint, since, jid) values (p_endpoint, clock_timestamp(), p_jid)
        on conflict do nothing;
    end if;
    return extract(epoch from clock_timestamp() - v_since)::double precision;
end
$$;

create function number_at(p_endpoint text, p_time timestamptz) returns text language sql stable
as $$
-- The number that the account was paired with then: the last one noticed before, else the first one ever noticed. Null: none.
select n.jid from account_numbers n where n.endpoint = p_endpoint
order by n.since > p_time, case when n.since <= p_time then n.since end desc, n.since limit 1
$$;

create table sent_names (
    url_sha256 bytea not null,
    name text not null,
    noted_at timestamptz not null default clock_timestamp(),
    primary key (url_sha256, name)
);
comment on table sent_names is
    'Under which names files from a URL were uploaded to senders. A redirect or a header gives them, so the URL does not tell.';
create index sent_names_by_age on sent_names (noted_at);

create table unanswered_attempts (
    message uuid not null,
    number integer not null,
    endpoint text not null,
    phone_key text not null,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    primary key (message, number)
);
comment on table unanswered_attempts is
    'Attempts of the last day whose outcome nobody knows, for receipts to be compared with. A trigger keeps it, so that no '
    'statement that writes a verdict can forget to.';
create index unanswered_attempts_by_person on unanswered_attempts (endpoint, phone_key);

create function note_unanswered() returns trigger language plpgsql
as $$
begin
    if new.verdict = 'unknown' then
        insert into unanswered_attempts (message, number, endpoint, phone_key, started_at, finished_at)
        select new.message, new.number, new.endpoint, m.phone_key, new.started_at, new.finished_at
        from messages m where m.id = new.message
        on conflict do nothing;
    else
        delete from unanswered_attempts u where u.message = new.message and u.number = new.number;
    end if;
    return null;
end
$$;

-- The conditions are looked at before the function is called: other verdicts, which are nearly all, cost nothing.
create trigger attempts_unanswered after insert on attempts for each row
when (new.verdict = 'unknown') execute function note_unanswered();
create trigger attempts_answered after update of verdict on attempts for each row
when (old.verdict = 'unknown' and new.verdict <> 'unknown') execute function note_unanswered();

insert into unanswered_attempts (message, number, endpoint, phone_key, started_at, finished_at)
select a.message, a.number, a.endpoint, m.phone_key, a.started_at, a.finished_at
from due d
join attempts a on a.message = d.message and a.verdict = 'unknown'
join messages m on m.id = d.message
where d.why = 'check';

alter table pending_receipts add column phone_key text;
comment on column pending_receipts.phone_key is
    'Whose phone said it, where the webhook tells: with an attempt of unknown outcome to this person it may be the proof.';
create index pending_receipts_by_person on pending_receipts (endpoint, phone_key) where phone_key is not null;

create function prove_by_receipt(p_shard integer, p_endpoint text, p_phone_key text) returns text
language plpgsql volatile
set plan_cache_mode = force_custom_plan
as $$
-- Whether a receipt proves an attempt of unknown outcome of this account to this person: 'proven', and its message is sent;
-- 'busy', something is under way to the person, whose receipt it may be; 'no'. It is a proof when nothing else can be meant:
-- a single message of theirs is without an answer, and since that attempt began exactly one WhatsApp id was reported by the
-- person, or under a hidden id of theirs, that is nobody's. Ids of messages that the phone itself sent have another shape;
-- those of the web client have not, but a webhook tells of them. Once the outcome is decided, only what came until then,
-- or within 90 seconds of the attempt's end, counts: later somebody may have written by hand.
declare
    v_attempt unanswered_attempts%rowtype;
    v_status text;
    v_until timestamptz;
    v_ids text[];
    v_names text[];
begin
    select u.* into v_attempt from unanswered_attempts u
    where u.endpoint = p_endpoint and u.phone_key = p_phone_key
    order by u.finished_at desc, u.number desc limit 1;
    if not found or exists (
        select from unanswered_attempts u
        where u.endpoint = p_endpoint and u.phone_key = p_phone_key and u.message <> v_attempt.message) then
        return 'no';
    end if;
    select m.status, case when m.status in ('unknown', 'retrying') then m.changed_at end into v_status, v_until
    from messages m where m.id = v_attempt.message for no key update;
    if v_status is null or v_status = 'sent' then
        return 'no';
    end if;
    v_until := case
        when exists (select from due d where d.message = v_attempt.message and d.why = 'check') then 'infinity'
        else greatest(v_until, v_attempt.finished_at + interval '90 seconds') end;
    v_names := p_phone_key || array(select h.lid from hidden_numbers h where h.phone_key = p_phone_key);
    v_ids := array(
        select r.whatsapp_id from pending_receipts r
        where r.endpoint = p_endpoint and r.phone_key = any (v_names) and r.whatsapp_id ~ '^3EB0[0-9A-F]{18}$'
            and not exists (select from inbound_ids i where i.whatsapp_id = r.whatsapp_id)
        group by r.whatsapp_id
        having min(r.received_at) between v_attempt.started_at and v_until
        limit 2);
    if v_ids = '{}' then
        return 'no';
    elsif exists (select from open_attempts o where o.endpoint = p_endpoint and o.phone_key = p_phone_key) then
        return 'busy';
    elsif cardinality(v_ids) > 1 then
        return 'no';
    end if;
    insert into whatsapp_ids (whatsapp_id, endpoint, message, number)
    values (v_ids[1], p_endpoint, v_attempt.message, v_attempt.number) on conflict do nothing;
    if not found then
        return 'no';
    end if;
    update attempts a set whatsapp_id = v_ids[1], reason = 'proven by a receipt'
    where a.message = v_attempt.message and a.number = v_attempt.number and a.verdict = 'unknown';
    perform join_receipts(p_shard, v_ids);
    return 'proven';
end
$$;

-- The two further arguments have defaults, since gateways of before call it without.
drop function record_receipts(integer, text[], text, text);
create function record_receipts(
    p_shard integer, p_whatsapp_ids text[], p_endpoint text, p_receipt text, p_phone_key text default null,
    p_account text default null
) returns integer language plpgsql volatile
as $$
-- One webhook's receipts: inserted, then joined where the message is known, or taken as the proof of an attempt without an
-- answer. p_phone_key: whose they are, the hidden id where no number is said, or null. p_account: the number of the account that
-- reports, for where p_endpoint is empty since the settings do not tell. May be repeated. Answers how many messages changed.
declare
    v_endpoint text := p_endpoint;
    v_person text := coalesce((select h.phone_key from hidden_numbers h where h.lid = p_phone_key), p_phone_key);
    v_changed integer;
begin
    if v_endpoint = '' and p_account is not null then
        select coalesce(min(n.endpoint), '') into v_endpoint from account_numbers n where n.jid = p_account
        having count(distinct n.endpoint) = 1;
    end if;
    v_endpoint := coalesce(v_endpoint, '');
    insert into pending_receipts as r (whatsapp_id, endpoint, receipt, phone_key)
    select distinct id, v_endpoint, p_receipt, v_person from unnest(p_whatsapp_ids) id order by id
    on conflict (whatsapp_id, endpoint, receipt) do update set phone_key = excluded.phone_key
    where r.phone_key is null and excluded.phone_key is not null;
    v_changed := join_receipts(p_shard, p_whatsapp_ids);
    if v_person is not null and prove_by_receipt(p_shard, v_endpoint, v_person) = 'proven' then
        v_changed := v_changed + 1;
    end if;
    return v_changed;
end
$$;

create or replace function find_unanswered(p_check_seconds jsonb, p_limit integer default 500)
returns integer language plpgsql volatile
set plan_cache_mode = force_custom_plan
as $$
-- Attempts whose answer nobody can still be waiting for: their outcome is unknown and a check is due.
-- p_check_seconds: from the deadline to the check, by kind of message; a kind that is not among them, as a newer version
-- has it, waits for the longest. Answers how many it found.
declare
    v_found integer;
begin
    with overdue as (
        delete from open_attempts o where o.token in (
            select x.token from open_attempts x where x.deadline < clock_timestamp()
            order by x.deadline limit p_limit for update skip locked)
        returning o.*
    ), history as (
        insert into attempts (message, number, endpoint, dispatcher, verdict, reason, started_at, finished_at)
        select o.message, o.number, o.endpoint, o.dispatcher, 'unknown', 'no answer was recorded before its deadline',
            o.started_at, clock_timestamp()
        from overdue o
        on conflict do nothing
    ), waits as (
        insert into due (message, due_at, why, campaign, lane)
        select m.id,
            clock_timestamp() + make_interval(secs => coalesce(
                (p_check_seconds ->> m.kind)::double precision,
                (select max(s.value::double precision) from jsonb_each_text(p_check_seconds) s))),
            'check', m.campaign, m.lane
        from overdue o
        join messages m on m.id = o.message and m.status = 'sending' and m.token = o.token
        on conflict (message) do nothing
    )
    select count(*) into v_found from overdue;
    return v_found;
end
$$;
