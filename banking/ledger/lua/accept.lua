-- Take signed transactions in: the durable record that makes "accepted" true.
--
-- KEYS  1 meta  2 state  3 status  4 intake  5 queued  6 dead  7 dead-bytes  8 refusals  9 refused
-- ARGV  epoch, limit (most unresolved transactions), most outcomes not yet in the archive (2^52: any number, and
--       any number of bytes), most dead letters, bytes at
--       which the dead letters are full, then pairs: signature, raw transaction
-- RESULT {now (ms), codes}, codes one letter a transaction:
--       A accepted   D duplicate of one not yet resolved   P duplicate of one that has its outcome
--       X duplicate of one in the dead letters   F refused: intake is full
--       U refused: the archive cannot keep up   L refused: the dead letters are full
-- ERRORS STALE_EPOCH <current>

local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch ~= ARGV[1] then
  return redis.error_reply('STALE_EPOCH ' .. (epoch or 'none'))
end
local clock = redis.call('TIME')
local now = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))

-- What a seal may take before intake is turned away.
local PATIENCE_MS = 2000
local ANY_NUMBER = 2 ^ 52

local signatures = {}
for i = 6, #ARGV, 2 do signatures[#signatures + 1] = ARGV[i] end
local status = redis.call('HMGET', KEYS[3], unpack(signatures))
local waiting = redis.call('HMGET', KEYS[4], unpack(signatures))
local dead = redis.call('HMGET', KEYS[6], unpack(signatures))
local counters = redis.call('HMGET', KEYS[2], 'seq', 'finalized_seq', 'full', 'closing', 'closing_time')
local unsealed = tonumber(counters[1]) - tonumber(counters[2]) > tonumber(ARGV[3])
-- In bytes, slots have their own bound: when the open one has reached it, and the one before it still waits.
if tonumber(ARGV[3]) < ANY_NUMBER and (counters[3] or '') ~= '' and (counters[4] or '') ~= '' then
  unsealed = unsealed or tonumber(now) - tonumber(counters[5]) > PATIENCE_MS
end
-- What fails for good would have nowhere to go.
local letters_full = redis.call('HLEN', KEYS[6]) >= tonumber(ARGV[4])
  or tonumber(redis.call('GET', KEYS[7]) or '0') >= tonumber(ARGV[5])
local room = tonumber(ARGV[2]) - redis.call('HLEN', KEYS[4])

local codes, records, scores, taken = {}, {}, {}, {}
for i = 1, #signatures do
  local signature = signatures[i]
  if status[i] then codes[i] = 'P'
  elseif waiting[i] or taken[signature] then codes[i] = 'D'
  elseif dead[i] then codes[i] = 'X'
  elseif letters_full then codes[i] = 'L'
  elseif unsealed then codes[i] = 'U'
  elseif room <= 0 then codes[i] = 'F'
  else
    codes[i] = 'A'
    room = room - 1
    taken[signature] = true
    records[#records + 1] = signature
    records[#records + 1] = ARGV[5 + i * 2]
    scores[#scores + 1] = now
    scores[#scores + 1] = signature
  end
end
if #records > 0 then
  redis.call('HSET', KEYS[4], unpack(records))
  if redis.call('EXISTS', KEYS[8]) == 1 then
    -- What was refused before is tried again: it was never anything but told.
    for i = 1, #records, 2 do
      redis.call('HDEL', KEYS[8], records[i])
      redis.call('ZREM', KEYS[9], records[i])
    end
  end
  redis.call('ZADD', KEYS[5], unpack(scores))
  redis.call('HINCRBY', KEYS[2], 'accepted', #records / 2)
end
return {now, table.concat(codes)}
