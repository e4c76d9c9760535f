-- What holds for the whole: what is stopped, the pace, and the two numbers by which Postgres and Redis know each other.

create table control (
    singleton boolean primary key default true check (singleton),
    epoch bigint not null default 1,
    rebuild_started_at timestamptz,
    stopped_lanes text[] not null default '{}',
    stop_reason text,
    rate_profile jsonb not null default '{}',
    went_back_at timestamptz,
    ahead_epoch bigint,
    ahead_beat bigint
);
comment on table control is
    'One row: the epoch (raised at each rebuild of Redis), what is stopped, the rate profile set at run time.';
comment on column control.went_back_at is
    'Since when Redis is known to be ahead; null: it is not, or an operator has confirmed it.';
comment on column control.ahead_beat is 'The highest beat number that Redis had; ahead_epoch: the highest epoch.';
insert into control default values;

-- A number that schedulers raise here first and then write to Redis. So Redis is never ahead of Postgres, unless Postgres
-- went back: a backup was restored, or a standby took over that had not received everything. Then messages that were sent
-- may stand here as waiting, and everything stops until an operator has confirmed it.
--
-- A sequence, since its row is changed in place: raised twice a second, a row of a table would leave 7,000 dead versions
-- in the hour of a backup, and every gate would read them. It is raised by setval, which writes each number to the log;
-- nextval writes 32 ahead, and a copy that lags by so many would not be seen to.
create sequence beat_number;
