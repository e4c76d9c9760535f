-- The state of before the baseline: the tables as its sixteen migrations made them, statement by statement; of its functions and
-- views only how they are called, since their texts are replaced and no text stands twice; of comments nothing. Goes with
-- migrations/takeover.py.

create table control (
    singleton boolean primary key default true check (singleton),
    epoch bigint not null default 1,
    rebuild_started_at timestamptz,
    stopped_lanes text[] not null default '{}',
    stop_reason text,
    rate_profile jsonb not null default '{}',
    beat bigint not null default 0
);
insert into control default values;
create table endpoints (
    id text primary key,
    suspended_at timestamptz,
    suspend_reason text,
    rate_profile jsonb not null default '{}',
    first_seen_at timestamptz not null default clock_timestamp(),
    cold_held_until timestamptz
);
create table campaigns (
    token uuid primary key,
    status text not null check (status in ('scheduled', 'running', 'paused', 'finished', 'canceled')),
    kind text not null check (kind in ('message', 'image', 'file')),
    lane text not null check (lane in ('transactional', 'bulk')),
    content jsonb not null,
    media uuid,
    endpoint text,
    on_unknown text not null check (on_unknown in ('hold', 'resend')),
    reference text,
    total integer not null check (total >= 0),
    rejected integer not null default 0,
    duplicates integer not null default 0,
    first_id uuid not null,
    last_id uuid not null,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    last_fed_at timestamptz not null default '-infinity',
    finished_at timestamptz
);
create index campaigns_by_age on campaigns (created_at desc, token desc);
create index campaigns_open on campaigns (token) where finished_at is null;
create table chunks (
    campaign uuid not null references campaigns (token),
    number integer not null,
    first_id uuid not null,
    last_id uuid not null,
    size integer not null check (size > 0),
    feeding_until timestamptz,
    fed_at timestamptz,
    again_at timestamptz,
    skipped jsonb not null default '{}',
    closed_at timestamptz,
    primary key (campaign, number)
);
create index chunks_open on chunks (campaign, number) where closed_at is null;
create table campaign_counts (
    campaign uuid not null references campaigns (token),
    shard smallint not null,
    sent integer not null default 0,
    failed integer not null default 0,
    unknown integer not null default 0,
    canceled integer not null default 0,
    expired integer not null default 0,
    suppressed integer not null default 0,
    delivered integer not null default 0,
    read integer not null default 0,
    possible_duplicates integer not null default 0,
    primary key (campaign, shard)
) with (fillfactor = 50);
create table messages (
    id uuid not null,
    campaign uuid,
    lane text not null check (lane in ('transactional', 'bulk')),
    kind text not null check (kind in ('message', 'image', 'file')),
    phone text not null,
    phone_key text not null,
    content jsonb,
    media uuid,
    chosen_endpoint text,
    on_unknown text not null check (on_unknown in ('hold', 'resend')),
    reference text,
    expires_at timestamptz,
    created_at timestamptz not null default clock_timestamp(),
    status text not null default 'queued' check (status in (
        'queued', 'sending', 'retrying', 'sent', 'failed', 'unknown', 'canceled', 'expired', 'suppressed')),
    previous_status text,
    attempt integer not null default 0,
    tries_used smallint not null default 0,
    crashes smallint not null default 0,
    possible_duplicate boolean not null default false,
    token uuid,
    endpoint text,
    reason text,
    receipt text not null default 'none' check (receipt in ('none', 'delivered', 'read')),
    changed_at timestamptz,
    primary key (id)
) partition by range (id);
create table attempts (
    message uuid not null,
    number integer not null,
    endpoint text not null,
    dispatcher text not null,
    verdict text not null check (verdict in (
        'sent', 'not_sent', 'refused', 'transient', 'logged_out', 'misconfigured', 'cold_contact_locked', 'unknown')),
    http_status integer,
    reason text,
    whatsapp_id text,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    primary key (message, number)
) partition by range (message);
create index attempts_by_endpoint on attempts (endpoint, finished_at desc);
create table open_attempts (
    endpoint text not null,
    slot integer not null,
    message uuid not null,
    number integer not null,
    token uuid not null unique,
    dispatcher text not null,
    campaign uuid,
    started_at timestamptz not null,
    deadline timestamptz not null,
    primary key (endpoint, slot)
) with (fillfactor = 50);
create index open_attempts_by_deadline on open_attempts (deadline);
create index open_attempts_by_campaign on open_attempts (campaign) where campaign is not null;
create table due (
    message uuid primary key,
    due_at timestamptz not null,
    why text not null check (why in ('send', 'retry', 'check')),
    campaign uuid,
    lane text not null,
    enqueued_at timestamptz,
    checks smallint not null default 0,
    first_check_at timestamptz
) with (fillfactor = 70);
create index due_by_time on due (due_at);
create index due_unqueued on due (due_at) where enqueued_at is null and why <> 'check';
create index due_by_campaign on due (campaign) where campaign is not null;
create table whatsapp_ids (
    whatsapp_id text not null,
    endpoint text not null,
    message uuid not null,
    number integer not null,
    primary key (whatsapp_id, endpoint)
);
create table contacts (
    phone_key text not null,
    endpoint text not null,
    last_sent_at timestamptz not null,
    primary key (phone_key, endpoint)
) with (fillfactor = 70);
create table cold_locks (
    phone_key text not null,
    endpoint text not null,
    locked_at timestamptz not null default clock_timestamp(),
    until timestamptz not null,
    primary key (phone_key, endpoint)
);
create index cold_locks_by_endpoint on cold_locks (endpoint, locked_at desc);
create table optouts (
    phone_key text primary key,
    scope text not null default 'bulk' check (scope in ('bulk', 'all')),
    source text not null default 'api',
    created_at timestamptz not null default clock_timestamp()
);
create table media (
    id uuid primary key,
    owner uuid,
    filename text not null,
    content_type text not null,
    size bigint not null check (size >= 0),
    sha256 bytea not null,
    created_at timestamptz not null default clock_timestamp()
);
create index media_by_owner on media (owner);
create table media_blocks (
    media uuid not null references media (id) on delete cascade,
    number integer not null,
    bytes bytea not null,
    primary key (media, number)
);
alter table media_blocks alter column bytes set storage external;

create table messages_other partition of messages default with (fillfactor = 50);
create table attempts_other partition of attempts default;

create table idempotency_keys (
    caller text not null,
    key text not null,
    request bytea not null,
    status smallint not null,
    body bytea not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (caller, key)
);
create index idempotency_keys_by_age on idempotency_keys (created_at);
create table unknown_messages (
    message uuid primary key,
    campaign uuid,
    since timestamptz not null
);
create index unknown_messages_by_campaign on unknown_messages (campaign, message) where campaign is not null;
alter table messages add column send_at timestamptz;
alter table campaigns add column send_at timestamptz;

create table pending_receipts (
    whatsapp_id text not null,
    endpoint text not null,
    receipt text not null check (receipt in ('delivered', 'read')),
    received_at timestamptz not null default clock_timestamp(),
    primary key (whatsapp_id, endpoint, receipt)
);
create table receipt_times (
    endpoint text primary key,
    first_at timestamptz not null,
    last_at timestamptz not null
) with (fillfactor = 50);
alter table optouts
    add column phone text,
    add column said_at timestamptz,
    add constraint optouts_source check (source in ('api', 'message'));

create table account_feedback (
    endpoint text primary key,
    state text not null default 'normal' check (state in ('normal', 'slowed', 'suspended', 'trial')),
    since timestamptz not null default clock_timestamp(),
    judged_from timestamptz not null default clock_timestamp(),
    until timestamptz,
    cause text check (cause in ('errors', 'deliveries')),
    reason text,
    slow_factor integer not null default 1 check (slow_factor >= 1),
    suspensions integer not null default 0 check (suspensions >= 0),
    check ((until is not null) = (state = 'suspended')),
    check ((cause is null) = (state = 'normal'))
) with (fillfactor = 50);
create table account_feedback_changes (
    id bigint generated always as identity primary key,
    endpoint text not null,
    changed_at timestamptz not null default clock_timestamp(),
    before text not null,
    after text not null,
    reason text not null
);
create index account_feedback_changes_by_endpoint on account_feedback_changes (endpoint, changed_at desc);
alter table endpoints add column suspended_by text check (suspended_by in ('operator', 'feedback'));
create table alerts (
    name text not null,
    endpoint text not null default '',
    severity text not null,
    text text not null,
    since timestamptz not null,
    seen_at timestamptz not null default clock_timestamp(),
    claim uuid,
    claimed_until timestamptz,
    sent_at timestamptz,
    primary key (name, endpoint)
) with (fillfactor = 50);

create sequence beat_number;
alter table control drop column beat;
alter table control
    add column went_back_at timestamptz,
    add column ahead_epoch bigint,
    add column ahead_beat bigint;

create table dropped_months (
    first_id uuid primary key,
    end_id uuid not null,
    next_block bigint not null default 0
);

alter table open_attempts add column phone_key text;

alter table attempts drop constraint attempts_verdict_check;
alter table attempts add constraint attempts_verdict_check check (verdict in (
    'sent', 'not_sent', 'refused', 'elsewhere', 'unfetched', 'transient', 'logged_out', 'misconfigured',
    'cold_contact_locked', 'unknown')) not valid;

create table account_answers (
    endpoint text primary key,
    asked_at timestamptz not null,
    answered_at timestamptz,
    answering_since timestamptz
) with (fillfactor = 50);
create table account_numbers (
    endpoint text not null,
    since timestamptz not null,
    jid text not null,
    primary key (endpoint, since)
);
create index account_numbers_by_jid on account_numbers (jid);
create table sent_names (
    url_sha256 bytea not null,
    name text not null,
    noted_at timestamptz not null default clock_timestamp(),
    primary key (url_sha256, name)
);
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
create index unanswered_attempts_by_person on unanswered_attempts (endpoint, phone_key);
alter table pending_receipts add column phone_key text;
create index pending_receipts_by_person on pending_receipts (endpoint, phone_key) where phone_key is not null;

create table conversations (
    phone_key text not null,
    endpoint text not null,
    heard_at timestamptz not null,
    noted_at timestamptz not null,
    primary key (phone_key, endpoint)
);
create index conversations_by_age on conversations (noted_at);
create table inbound_ids (
    whatsapp_id text not null,
    endpoint text not null,
    noted_at timestamptz not null default clock_timestamp(),
    primary key (whatsapp_id, endpoint)
);
create index inbound_ids_by_age on inbound_ids (noted_at);
create table hidden_numbers (
    lid text primary key,
    phone_key text not null,
    phone text not null,
    seen_at timestamptz not null default clock_timestamp()
);
create index hidden_numbers_by_age on hidden_numbers (seen_at);
create index hidden_numbers_by_person on hidden_numbers (phone_key);
create table unresolved_optouts (
    lid text primary key,
    wish text not null check (wish in ('out', 'in')),
    said_at timestamptz not null,
    endpoint text not null,
    noted_at timestamptz not null default clock_timestamp()
);
alter table due add column held_for text;
create index due_held on due (held_for, message) where held_for is not null;
alter table endpoints add column hold_released_at timestamptz;

create table applied_migrations (
    name text primary key, sha256 text not null, applied_at timestamptz not null default now());
insert into applied_migrations (name, sha256) values
    ('0001_tables.sql', '49f257f8fe16deb5a7f7cac56f85d1d841fc59f81652910d932142ad414ce0bd'),
    ('0002_partitions.sql', '09ef6622fab4d4f186f94a5741001abcd07f86fd488a49fc58f8138b6eb23c7a'),
    ('0003_gate.sql', '5e09ee95ba37b5244a476dd23e0a0f9bde293fa807cf074e66c31e8497c45089'),
    ('0004_settlement.sql', 'e8327eb5c3a609e62d46a9f61dbd3efd2e74be901f854cb12af1ff3edfc89bb3'),
    ('0005_control.sql', '160b0f08cb059cf02f8643f1bc5b63dcf15dd831b1086a08dc7cb02917021722'),
    ('0007_idempotency_and_unknown.sql', '60efdfdcdf54983e2253d9055217a22f970ce3ffc2b03f3fad58d1f08ec5d643'),
    ('0008_receipts_and_optouts.sql', 'd6c681f2fdb8a2074a0dfcf350437c0edeb1cd4d72e699259f9036c229fba607'),
    ('0009_account_feedback.sql', '59447e501c3fcccaab59705d4f8be5bdcac779155727d2053cabceda6a97be66'),
    ('0010_beat_number.sql', '6ca7e220bfbbb9e6325f84c6c41950c8156f9a1fa334e3022bfc168a41f30df8'),
    ('0011_retention_beside_traffic.sql', '1c95f54190c4e4ee66191aad8f833ee07a236c7a69e602b9f0bbb6b17998c181'),
    ('0012_cheaper_steps.sql', 'd7219bc0000c4a2ccafb49a124d45e202a97b81a625efca89393bd50be6cc763'),
    ('0013_months_of_the_batch.sql', '761425ad97e2144db7500547c44094a87efafb4b8ff380fc8bda2de10253ce2e'),
    ('0014_fewer_rights.sql', '1c9087e89818dce0702b9a56346062ea79979f688e468426b4f4b1dea8e9756c'),
    ('0015_who_is_to_blame.sql', '5c6f4263bb33eea76645d2dab25961de7b3285c8ad1407bee9a4f067f240c213'),
    ('0016_evidence.sql', 'd6d7763c82f8daa772ba1a29d381c5ab6d4708bd129e68445e29cbfbbec04d4e'),
    ('0017_conversations.sql', 'c96a186cdffde1b24e0df0ab04fffbcb4c1ec56569545c99a4463fc9a8bdef42');

do $make$
declare
    v_signature text;
begin
    foreach v_signature in array array[
        'add_campaign_counts(p_campaign uuid, p_shard integer, p_deltas jsonb) returns void',
        'analyze_messages() returns void',
        'beat_key() returns bigint',
        'begin_rebuild(p_lease_seconds integer DEFAULT 30) returns bigint',
        'cancel_campaign(p_token uuid) returns text',
        'change_account_feedback(p_endpoint text, p_before text, p_since timestamp with time zone, p_after text, p_cause text, p_reason text, p_slow_factor integer, p_suspended_seconds double precision, p_suspensions integer) returns boolean',
        'confirm_going_back() returns timestamp with time zone',
        'contact_key() returns integer',
        'decide_unknown(p_message uuid, p_whatsapp_id text, p_reason text, p_shard integer DEFAULT 0, p_resends integer DEFAULT 3) returns text',
        'drop_old_partitions(p_keep interval) returns text[]',
        'end_rebuild(p_epoch bigint) returns void',
        'end_unsendable(p_messages uuid[], p_status text, p_reason text, p_shard integer DEFAULT 0) returns integer',
        'ensure_partitions(p_months_ahead integer DEFAULT 2) returns integer',
        'find_unanswered(p_check_seconds jsonb, p_limit integer DEFAULT 500) returns integer',
        'finish_campaign(p_token uuid) returns boolean',
        'forget_dropped(p_limit integer) returns integer',
        'forget_heard(p_keep double precision, p_keep_numbers double precision, p_limit integer) returns integer',
        'forget_unknown(p_limit integer) returns integer',
        'gap_key() returns integer',
        'gate(p_epoch bigint, p_dispatcher text, p_messages uuid[], p_numbers integer[], p_tokens uuid[], p_endpoints text[], p_slots integer[], p_seconds integer[], p_gaps double precision[] DEFAULT NULL::double precision[]) returns TABLE(token uuid, outcome text)',
        'gate_key() returns bigint',
        'hear(p_endpoint text, p_phone_key text, p_phone text, p_lid text, p_whatsapp_id text, p_heard_at timestamp with time zone) returns TABLE(phone_key text, phone text)',
        'held_key() returns bigint',
        'join_receipts(p_shard integer, p_whatsapp_ids text[]) returns integer',
        'joinable_receipts(p_whatsapp_ids text[]) returns TABLE(pending_row tid, receipt text, message uuid, number integer, endpoint text)',
        'keep_unresolved(p_lid text, p_wish text, p_said_at timestamp with time zone, p_endpoint text) returns TABLE(phone_key text, phone text)',
        'lid_key() returns integer',
        'note_answer(p_endpoint text, p_jid text, p_gap double precision) returns double precision',
        'note_cold_contact(p_message uuid, p_endpoint text, p_seconds double precision, p_contacts integer, p_hold_seconds double precision) returns boolean',
        'note_conversation(p_key text, p_endpoint text, p_heard_at timestamp with time zone) returns void',
        'note_number(p_lid text, p_phone_key text, p_phone text) returns boolean',
        'note_unanswered() returns trigger',
        'note_unknown() returns trigger',
        'number_at(p_endpoint text, p_time timestamp with time zone) returns text',
        'open_chunks_again(p_campaign uuid) returns void',
        'opt_out(p_phone_key text, p_phone text, p_scope text) returns optouts',
        'opt_out_by_message(p_phone_key text, p_phone text, p_said_at timestamp with time zone) returns boolean',
        'pause_campaign(p_token uuid) returns text',
        'prove_by_receipt(p_shard integer, p_endpoint text, p_phone_key text) returns text',
        'raise_beat(p_seen_epoch bigint, p_seen_beat bigint) returns bigint',
        'recent_sends(p_endpoints text[], p_first_id uuid, p_last_id uuid, p_attempts integer, p_seconds double precision, p_from uuid, p_to uuid) returns TABLE(endpoint text, attempts bigint, sent bigint, since_first double precision)',
        'record_receipts(p_shard integer, p_whatsapp_ids text[], p_endpoint text, p_receipt text, p_phone_key text DEFAULT NULL::text, p_account text DEFAULT NULL::text) returns integer',
        'release_hold(p_endpoint text) returns boolean',
        'resolve_unknown(p_campaign uuid, p_messages uuid[], p_as text, p_reason text DEFAULT NULL::text, p_shard integer DEFAULT 0) returns integer',
        'resume_campaign(p_token uuid) returns text',
        'resume_endpoint(p_endpoint text) returns void',
        'retry_campaign(p_token uuid, p_reason text DEFAULT NULL::text, p_chunks integer[] DEFAULT NULL::integer[], p_shard integer DEFAULT 0) returns integer',
        'set_stopped_lanes(p_lanes text[], p_reason text) returns void',
        'settle(p_shard integer, p_messages uuid[], p_numbers integer[], p_tokens uuid[], p_endpoints text[], p_dispatchers text[], p_verdicts text[], p_http_statuses integer[], p_reasons text[], p_whatsapp_ids text[], p_statuses text[], p_due_seconds double precision[], p_uses_try boolean[]) returns TABLE(message uuid, status text)',
        'settle_and_join(p_shard integer, p_messages uuid[], p_numbers integer[], p_tokens uuid[], p_endpoints text[], p_dispatchers text[], p_verdicts text[], p_http_statuses integer[], p_reasons text[], p_whatsapp_ids text[], p_statuses text[], p_due_seconds double precision[], p_uses_try boolean[]) returns TABLE(message uuid, status text)',
        'start_campaigns(p_limit integer) returns SETOF uuid',
        'stop_after_going_back(p_epoch bigint, p_beat bigint, p_reason text) returns boolean',
        'suspend_endpoint(p_endpoint text, p_reason text) returns void',
        'uuid_of_time(p_time timestamp with time zone) returns uuid',
        'wait_alone(p_message uuid, p_seconds double precision, p_looked_at timestamp with time zone DEFAULT NULL::timestamp with time zone) returns void',
        'wake_held(p_after_key text, p_after uuid, p_limit integer) returns TABLE(held_for text, message uuid)'
    ]
    loop
        execute 'create function ' || v_signature || ' language plpgsql as $$ begin end $$';
    end loop;
    foreach v_signature in array array[
        'view sendable as select null::uuid as id, 0 as attempt, null::uuid as campaign, null::text as refusal, null::text as phone_key',
        'view own_rate_profiles as select null::text as id, null::jsonb as rate_profile',
        'trigger messages_unknown after update on messages for each row execute function note_unknown()',
        'trigger attempts_unanswered after insert on attempts for each row execute function note_unanswered()',
        'trigger attempts_answered after update on attempts for each row execute function note_unanswered()'
    ]
    loop
        execute 'create ' || v_signature;
    end loop;
end
$make$;
