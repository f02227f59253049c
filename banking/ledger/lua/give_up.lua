-- Move one transaction from intake to the dead letters.
--
-- KEYS  1 meta  2 state  3 status  4 intake  5 queued  6 parked  7 attempts  8 dead  9 dead-bytes  10 messages
--       11 batches
-- ARGV  epoch, signature, letter (packed), most letters, bytes at which the dead letters are full, message hash ('' = not
--       known)
-- RESULT 1 moved, 0 it has an outcome or was moved before, -1 the dead letters are full: nothing was changed
-- ERRORS STALE_EPOCH <current>

local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch ~= ARGV[1] then
  return redis.error_reply('STALE_EPOCH ' .. (epoch or 'none'))
end
local signature = ARGV[2]
local moved = 0
if redis.call('HEXISTS', KEYS[3], signature) == 0 and redis.call('HEXISTS', KEYS[8], signature) == 0 then
  local bytes = tonumber(redis.call('GET', KEYS[9]) or '0')
  if redis.call('HLEN', KEYS[8]) >= tonumber(ARGV[4]) or bytes >= tonumber(ARGV[5]) then return -1 end
  moved = 1
  redis.call('HSET', KEYS[8], signature, ARGV[3])
  redis.call('INCRBY', KEYS[9], #signature + #ARGV[3])
  if redis.call('HEXISTS', KEYS[4], signature) == 0 then redis.call('HINCRBY', KEYS[2], 'accepted', 1) end
  if ARGV[6] ~= '' and redis.call('HGET', KEYS[10], ARGV[6]) == signature then redis.call('HDEL', KEYS[10], ARGV[6]) end
end
-- A batch that one of it leaves is not whole any more (see accept.lua).
local id = redis.call('HGET', KEYS[4], signature)
local mark = id and #id == 16 and redis.call('HGET', KEYS[11], id .. 'w')
if mark then
  redis.call('HDEL', KEYS[11], id .. 'w')
  redis.call('HSET', KEYS[11], id .. 'o', string.match(mark, '%d+$'))
end
-- In either case it has its end now, and nothing may speak for it any more.
redis.call('HDEL', KEYS[4], signature)
redis.call('ZREM', KEYS[5], signature)
redis.call('ZREM', KEYS[6], signature)
redis.call('HDEL', KEYS[7], signature)
return moved
