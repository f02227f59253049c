-- Take a letter out; of several callers exactly one gets it.
--
-- KEYS[1]  hash: letter id -> packed letter
-- KEYS[2]  number: bytes of all ids and letters
-- ARGV[1]  letter id
-- ARGV[2]  the packed letter as it was read: another one in its place is left alone
-- Result   1, or false when it is not there (any more)

local letter = redis.call('HGET', KEYS[1], ARGV[1])
if letter ~= ARGV[2] then
  return false
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('DECRBY', KEYS[2], #ARGV[1] + #letter)
return 1
