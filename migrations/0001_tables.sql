-- The tables. A row in `messages` is the truth about a message; Redis can be thrown away and rebuilt from here.
--
-- `messages` is updated twice for each attempt, so no index may name its status, attempt or a time, not even in the
-- predicate of a partial index: with any such index no update is HOT, without one and at fillfactor 50 all are. Open
-- work is found elsewhere: a campaign's through its chunks, attempts under way through `open_attempts`, everything else
-- that waits (single sends, retries, checks of unknown outcomes) through `due`.

create table control (
    singleton boolean primary key default true check (singleton),
    epoch bigint not null default 1,
    rebuild_started_at timestamptz,
    stopped_lanes text[] not null default '{}',
    stop_reason text,
    rate_profile jsonb not null default '{}',
    beat bigint not null default 0
);
comment on table control is
    'One row: the epoch (raised at each rebuild of Redis), what is stopped, the rate profile set at run time.';
insert into control default values;

create table endpoints (
    id text primary key,
    suspended_at timestamptz,
    suspend_reason text,
    rate_profile jsonb not null default '{}',
    first_seen_at timestamptz not null default clock_timestamp(),
    cold_held_until timestamptz
);
comment on column endpoints.cold_held_until is
    'WhatsApp lets the account open no new chats for now; those that it has go on.';

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
comment on column campaigns.last_fed_at is 'The feeder serves the campaign that has waited longest.';
create index campaigns_by_age on campaigns (created_at desc, token desc);
-- Terminal campaigns are many and never fed; this index holds the few others.
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
comment on table chunks is 'A slice of a campaign: the messages of the campaign whose id lies in [first_id, last_id].';
comment on column chunks.again_at is
    'Then it is fed again, for the messages of it that might not be sent yet, such as at night.';
comment on column chunks.skipped is
    'Accounts whose stream was full when it was fed, each with the first message of its own that was left out.';
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
comment on table campaign_counts is
    'How many messages of a campaign are in each terminal status, as deltas over shards so that dispatchers do not meet '
    'on one row. Every change of a status changes this table in the same statement.';

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
comment on column messages.phone is 'What is sent to: digits and a WhatsApp server part, such as 15550100001@s.whatsapp.net.';
comment on column messages.phone_key is 'The same person however the number is spelt; opt-outs and duplicates compare it.';
comment on column messages.content is 'The sender''s own fields; null means the campaign''s.';
comment on column messages.expires_at is 'Null means the campaign''s.';
comment on column messages.attempt is 'The number of the last attempt begun. Only ever grows: it is the fence.';
comment on column messages.tries_used is 'Attempts that count toward WORKER_MAX_RETRIES.';
comment on column messages.token is 'The assignment whose attempt passed the gate last.';
comment on column messages.previous_status is
    'What the last change found. Read back by RETURNING, so that counts follow what really changed.';

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
comment on table attempts is 'The history: attempts that ended. Those under way are in open_attempts.';
-- What an account did lately: its caps and next times after Redis was lost, and its feedback.
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
comment on table open_attempts is
    'Attempts that passed the gate and have no verdict. The primary key is the promise that a slot of an account never '
    'has two messages in flight, whatever Redis or a sleeping dispatcher believes.';
comment on column open_attempts.deadline is 'After it nobody can still be waiting for the answer: the outcome is unknown.';
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
comment on table due is
    'Messages that wait outside a chunk: single sends not begun (send), retries (retry), outcomes to be looked up (check).';
comment on column due.enqueued_at is
    'When the entry was last put into Redis, or parked there. Null, or older than everything in its stream: it is '
    'enqueued again once it is due.';
create index due_by_time on due (due_at);
-- What is not in Redis is rare but after a rebuild; looking for it each second must not cost the whole backlog.
create index due_unqueued on due (due_at) where enqueued_at is null and why <> 'check';
create index due_by_campaign on due (campaign) where campaign is not null;

create table whatsapp_ids (
    whatsapp_id text not null,
    endpoint text not null,
    message uuid not null,
    number integer not null,
    primary key (whatsapp_id, endpoint)
);
comment on table whatsapp_ids is 'Which attempt a WhatsApp message id belongs to; an id proves one attempt only.';

create table contacts (
    phone_key text not null,
    endpoint text not null,
    last_sent_at timestamptz not null,
    primary key (phone_key, endpoint)
) with (fillfactor = 70);
comment on table contacts is
    'Which account talked to whom, and when last: a recipient stays with the latest, and an account knows its chats.';

create table cold_locks (
    phone_key text not null,
    endpoint text not null,
    locked_at timestamptz not null default clock_timestamp(),
    until timestamptz not null,
    primary key (phone_key, endpoint)
);
comment on table cold_locks is 'WhatsApp refused this account a new chat with this recipient.';
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
comment on column media.owner is 'The message or campaign that it belongs to; null while its request is not accepted yet.';
create index media_by_owner on media (owner);

create table media_blocks (
    media uuid not null references media (id) on delete cascade,
    number integer not null,
    bytes bytea not null,
    primary key (media, number)
);
-- Pictures and documents are compressed already; EXTERNAL spares the attempt and keeps blocks apart from the row.
alter table media_blocks alter column bytes set storage external;
