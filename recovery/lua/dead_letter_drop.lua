-- Forget a letter.
--
-- KEYS[1]  hash: letter id -> packed letter
-- KEYS[2]  number: bytes of all ids and letters
-- ARGV[1]  letter id
-- Result   1, or 0 when there is none

local size = redis.call('HSTRLEN', KEYS[1], ARGV[1])
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then
  return 0
end
redis.call('DECRBY', KEYS[2], #ARGV[1] + size)
return 1
