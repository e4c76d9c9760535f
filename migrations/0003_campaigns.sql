-- Campaigns, the chunks that they are fed by, and how far they are.

create table campaigns (
    token uuid primary key,
    status text not null check (status in ('scheduled', 'running', 'paused', 'finished', 'canceled')),
    kind text not null,
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
    finished_at timestamptz,
    send_at timestamptz
);
comment on column campaigns.last_fed_at is 'The feeder serves the campaign that has waited longest.';
comment on column campaigns.send_at is 'Null: it ran at once. Until then it is scheduled.';
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
    'on one row. A trigger of `messages` keeps it, so that no statement that changes a status can forget to.';
