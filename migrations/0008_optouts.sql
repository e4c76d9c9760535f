-- Who wants to hear no more.

create table optouts (
    phone_key text primary key,
    scope text not null default 'bulk' check (scope in ('bulk', 'all')),
    source text not null default 'api' constraint optouts_source check (source in ('api', 'message')),
    created_at timestamptz not null default clock_timestamp(),
    phone text,
    said_at timestamptz
);
comment on column optouts.phone is 'The number as it was given; the key is for comparing.';
comment on column optouts.source is 'Who asked: a caller of the API, or the person by a message. Only the latter ends by a message.';
comment on column optouts.said_at is 'When the person wrote so, by the account''s clock.';

create table unresolved_optouts (
    lid text primary key,
    wish text not null check (wish in ('out', 'in')),
    said_at timestamptz not null,
    endpoint text not null,
    noted_at timestamptz not null default clock_timestamp()
);
comment on table unresolved_optouts is
    'The last word of somebody whose number is not known yet; it takes effect with the event that names it.';
