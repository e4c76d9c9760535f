-- The messages. A row in `messages` is the truth about a message; Redis can be thrown away and rebuilt from here.
--
-- `messages` is updated twice for each attempt, so no index may name its status, attempt or a time, not even in the
-- predicate of a partial index: with any such index no update is HOT, without one and at fillfactor 50 all are. Open
-- work is found elsewhere: a campaign's through its chunks, attempts under way through `open_attempts`, everything else
-- that waits (single sends, retries, checks of unknown outcomes) through `due`.
--
-- Its partitions are by the month that is written into a UUIDv7; ensure_partitions makes them, retention drops them whole.

create table messages (
    id uuid not null,
    campaign uuid,
    lane text not null check (lane in ('transactional', 'bulk')),
    kind text not null,
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
    attempt integer not null default 0,
    tries_used smallint not null default 0,
    crashes smallint not null default 0,
    possible_duplicate boolean not null default false,
    token uuid,
    endpoint text,
    reason text,
    receipt text not null default 'none' check (receipt in ('none', 'delivered', 'read')),
    changed_at timestamptz,
    send_at timestamptz,
    primary key (id)
) partition by range (id);
comment on column messages.kind is 'Any: the table of kinds in the code says which there are, and passes over rows of others.';
comment on column messages.phone is 'What is sent to: digits and a WhatsApp server part, such as 15550100001@s.whatsapp.net.';
comment on column messages.phone_key is 'The same person however the number is spelt; opt-outs and duplicates compare it.';
comment on column messages.content is 'The sender''s own fields; null means the campaign''s.';
comment on column messages.expires_at is 'Null means the campaign''s.';
comment on column messages.attempt is 'The number of the last attempt begun. Only ever grows: it is the fence.';
comment on column messages.tries_used is 'Attempts that count toward WORKER_MAX_RETRIES.';
comment on column messages.token is 'The assignment whose attempt passed the gate last.';
comment on column messages.send_at is
    'Null: as soon as possible. It is enqueued by its due row, which is not looked at before.';

-- Rows whose month has no partition still find a place: a clock that is wrong must not lose a message.
create table messages_other partition of messages default with (fillfactor = 50);

create table due (
    message uuid primary key,
    due_at timestamptz not null,
    why text not null check (why in ('send', 'retry', 'check')),
    campaign uuid,
    lane text not null,
    enqueued_at timestamptz,
    checks smallint not null default 0,
    first_check_at timestamptz,
    held_for text
) with (fillfactor = 70);
comment on table due is
    'Messages that wait outside a chunk: single sends not begun (send), retries (retry), outcomes to be looked up (check).';
comment on column due.enqueued_at is
    'When the entry was last put into Redis, or parked there. Null, or older than everything in its stream: it is '
    'enqueued again once it is due.';
comment on column due.held_for is
    'Phone key of a recipient to whom no account, or not the chosen one, may write yet: looked at again when they write or a hold '
    'is released.';
create index due_by_time on due (due_at);
-- What is not in Redis is rare but after a rebuild; looking for it each second must not cost the whole backlog.
create index due_unqueued on due (due_at) where enqueued_at is null and why <> 'check';
create index due_by_campaign on due (campaign) where campaign is not null;
create index due_held on due (held_for, message) where held_for is not null;

create table unknown_messages (
    message uuid primary key,
    campaign uuid,
    since timestamptz not null
);
comment on table unknown_messages is
    'Exactly the messages whose status is unknown, since no index may name it. A trigger keeps it, so that no statement that '
    'changes a status can forget to.';
create index unknown_messages_by_campaign on unknown_messages (campaign, message) where campaign is not null;

create table dropped_months (
    first_id uuid primary key,
    end_id uuid not null,
    next_block bigint not null default 0
);
comment on table dropped_months is
    'Months whose messages are gone while what belonged to them is still being deleted. No index says which WhatsApp ids those '
    'are: it would cost every send, and 400 MB for ten million, for what is wanted once a month. They are read through once.';
comment on column dropped_months.next_block is 'Of whatsapp_ids: those before are done.';
