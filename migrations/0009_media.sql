-- Files, whole and in the database, so that whoever has the message has its file.

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

create table sent_names (
    url_sha256 bytea not null,
    name text not null,
    noted_at timestamptz not null default clock_timestamp(),
    primary key (url_sha256, name)
);
comment on table sent_names is
    'Under which names files from a URL were uploaded to senders. A redirect or a header gives them, so the URL does not tell.';
create index sent_names_by_age on sent_names (noted_at);
