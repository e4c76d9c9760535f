-- name: opt_out
select phone_key, phone, scope, source, created_at from opt_out($1, $2, $3)

-- name: opt_out_by_message
select opt_out_by_message($1, $2, coalesce($3::timestamptz, clock_timestamp()))

-- name: opt_in
delete from optouts where phone_key = $1 returning phone_key

-- name: opt_in_by_message
-- Only what the person said before; who was opted out by the API is left alone.
delete from optouts
where phone_key = $1 and source = 'message' and said_at < coalesce($2::timestamptz, clock_timestamp())
returning phone_key

-- name: one
select phone_key, phone, scope, source, created_at from optouts where phone_key = $1

-- name: page
select phone_key, phone, scope, source, created_at from optouts where phone_key > $1 order by phone_key limit $2

-- name: recipient_of
-- Whom the message with WhatsApp id $1 went to; of two, the one that endpoint $2 sent.
select m.phone, m.phone_key
from whatsapp_ids w join messages m on m.id = w.message
where w.whatsapp_id = $1 and m.phone not like '%@g.us'
order by w.endpoint <> $2 limit 1

-- name: unresolved
select lid, endpoint, said_at from unresolved_optouts where wish = 'out' order by noted_at, lid limit $1
