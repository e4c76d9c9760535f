-- The accounts, as operators, feedback and their own answers have left them.
--
-- Where an account stands is here and not in Redis, which may be lost; its slowing reaches the dispatchers with the rate
-- profile, of which Redis has a copy, its suspension is that of an operator with another name on it.

create table endpoints (
    id text primary key,
    suspended_at timestamptz,
    suspend_reason text,
    rate_profile jsonb not null default '{}',
    first_seen_at timestamptz not null default clock_timestamp(),
    cold_held_until timestamptz,
    suspended_by text check (suspended_by in ('operator', 'feedback')),
    hold_released_at timestamptz
);
comment on column endpoints.cold_held_until is
    'WhatsApp lets the account open no new chats for now; those that it has go on.';
comment on column endpoints.suspended_by is
    'Who: a suspension by feedback ends by a trial, an operator''s by the operator. Means nothing while suspended_at is null.';
comment on column endpoints.hold_released_at is 'When an operator last ended its hold for new contacts.';

-- An account that turns bad is slowed, then suspended, and comes back by a trial.
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
comment on column account_feedback.judged_from is
    'Only what it sent after this is held against it: what it was slowed for must not suspend it as well.';
comment on column account_feedback.slow_factor is 'Its pauses between campaign messages are that many times as long.';
comment on column account_feedback.suspensions is 'In a row, without having been normal between them; each is longer.';

create table account_feedback_changes (
    id bigint generated always as identity primary key,
    endpoint text not null,
    changed_at timestamptz not null default clock_timestamp(),
    before text not null,
    after text not null,
    reason text not null
);
comment on table account_feedback_changes is 'What became of accounts and why, for whoever asks; kept for 90 days.';
create index account_feedback_changes_by_endpoint on account_feedback_changes (endpoint, changed_at desc);

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
