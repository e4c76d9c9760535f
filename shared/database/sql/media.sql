-- name: insert_media
-- Nothing is inserted when all media together would be more than $6 bytes. Uploads at the same moment do not see each
-- other, so the limit may be passed by what is under way.
insert into media (id, filename, content_type, size, sha256)
select $1, $2, $3, $4::bigint, $5
where (select coalesce(sum(size), 0) from media) + $4::bigint <= $6::bigint
returning id

-- name: copy_timeout
set local statement_timeout = '120s'

-- name: delete_unowned
delete from media where id = $1 and owner is null

-- name: delete_abandoned
delete from media where owner is null and created_at < clock_timestamp() - make_interval(secs => $1)
