-- name: hear
select phone_key, phone from hear($1, $2, $3, $4, $5, $6)

-- name: note_number
select note_number($1, $2, $3)

-- name: keep_unresolved
select phone_key, phone from keep_unresolved($1, $2, coalesce($3::timestamptz, clock_timestamp()), $4)

-- name: forget
select forget_heard($1, $2, $3)
