-- Add a letter unless it is there already or the store is full.
--
-- KEYS[1]  hash: letter id -> packed letter
-- KEYS[2]  number: bytes of all ids and letters
-- ARGV[1]  letter id
-- ARGV[2]  packed letter (opaque)
-- ARGV[3]  most letters
-- ARGV[4]  bytes at which the store is full
-- Result   1 added, 0 there already (unchanged), -1 full

if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
  return 0
end
local bytes = tonumber(redis.call('GET', KEYS[2]) or '0')
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) or bytes >= tonumber(ARGV[4]) then
  return -1
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('INCRBY', KEYS[2], #ARGV[1] + #ARGV[2])
return 1
