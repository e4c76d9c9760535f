-- name: block
select bytes from media_blocks where media = $1 and number = $2
