-- The people: which account wrote to whom, who wrote to which account, and which number is behind a hidden id
-- (`<digits>@lid`).

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
