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

-- name: block
select bytes from media_blocks where media = $1 and number = $2

-- name: owned
-- The next $2 files after $1 that belong to a message or a campaign.
select id, owner from media where owner is not null and id > $1 order by id limit $2

-- name: campaign_needs
-- Locks the campaign, as a retry of it does, and says whether it may still need its file, $2 seconds after its end.
select c.finished_at is null or (
        c.finished_at > clock_timestamp() - make_interval(secs => $2)
        and exists (select from campaign_counts n where n.campaign = c.token having sum(n.failed + n.unknown) > 0)
    ) as needed
from campaigns c where c.token = $1
for no key update of c

-- name: message_needs
-- The same for a single message.
select m.status in ('queued', 'sending', 'retrying') or (
        m.status in ('failed', 'unknown')
        and coalesce(m.changed_at, m.created_at) > clock_timestamp() - make_interval(secs => $2)
    ) as needed
from messages m where m.id = $1
for no key update of m

-- name: delete
delete from media where id = $1 and owner = $2

-- name: delete_ownerless
-- Its owner is in no table any more.
delete from media where id = $1 and owner = $2 and created_at < clock_timestamp() - make_interval(secs => $3)
