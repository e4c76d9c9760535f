-- What was told of alerts, so that of several monitors one tells, and tells once.

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
comment on table alerts is
    'Alerts that are on and of which somebody is told. Of several monitors the one that claims an alert tells of it.';
comment on column alerts.seen_at is 'When a monitor last found it on; one that none has found for a while is over.';
