-- name: note
insert into sent_names as n (url_sha256, name) values (sha256(convert_to($1, 'UTF8')), $2)
on conflict (url_sha256, name) do update set noted_at = excluded.noted_at

-- name: prune
with old as (
    delete from sent_names n where n.noted_at < clock_timestamp() - make_interval(secs => $1) returning 1
)
select count(*) from old
