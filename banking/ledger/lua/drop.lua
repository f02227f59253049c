-- Forget a dead letter for good.
--
-- KEYS  1 meta  2 state  3 dead  4 dead-bytes
-- ARGV  epoch, id of the letter
-- RESULT 1 dropped, 0 there is none
-- ERRORS STALE_EPOCH <current>

local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch ~= ARGV[1] then
  return redis.error_reply('STALE_EPOCH ' .. (epoch or 'none'))
end
local size = redis.call('HSTRLEN', KEYS[3], ARGV[2])
if redis.call('HDEL', KEYS[3], ARGV[2]) == 0 then return 0 end
redis.call('DECRBY', KEYS[4], #ARGV[2] + size)
-- An accepted transaction's end (its id is a signature): whoever adds the ends up must know of it.
if #ARGV[2] == 64 then redis.call('HINCRBY', KEYS[2], 'dropped', 1) end
return 1
