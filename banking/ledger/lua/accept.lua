-- Take signed transactions in: the durable record that makes "accepted" true.
--
-- KEYS  1 meta  2 state  3 status  4 intake  5 queued  6 dead  7 dead-bytes  8 refusals  9 refused  10 messages
--       11 batches
-- ARGV  epoch, limit (most unresolved transactions), most outcomes not yet in the archive (2^52: any number, and
--       any number of bytes), most dead letters, bytes at which the dead letters are full, then
--       either an id (16 bytes that no batch ever had) and the record of a batch (banking/ledger/batch_record.py),
--       or '' and pairs: signature, raw transaction
-- RESULT {now (ms), codes, '1' when they are a batch now, '0' when those accepted have a record each}
--       codes one letter a transaction:
--       A accepted   D duplicate of one not yet resolved   P duplicate of one that has its outcome
--       X duplicate of one in the dead letters   F refused: intake is full
--       U refused: the archive cannot keep up   L refused: the dead letters are full
-- ERRORS STALE_EPOCH <current>
--
-- A batch is whole (its field `id..w` reads `epoch:how many`) as long as none of it has left it, and as no other
-- transaction with one of its messages was applied: then none of them can have its outcome, and commit.lua need not
-- look. So they claim their messages here. What is not taken as a whole is no batch, nor is what shares a message.

local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch ~= ARGV[1] then
  return redis.error_reply('STALE_EPOCH ' .. (epoch or 'none'))
end
local clock = redis.call('TIME')
local now = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))

-- What a seal may take before intake is turned away.
local PATIENCE_MS = 2000
local ANY_NUMBER = 2 ^ 52

local sub, byte = string.sub, string.byte
local signatures, hashes, ends = {}, {}, {}
local id, batch, raws_at = ARGV[6], ARGV[7], 0
if id == '' then
  for i = 7, #ARGV, 2 do signatures[#signatures + 1] = ARGV[i] end
else
  local a1, a2, b1, b2, t1, t2 = byte(batch, 1, 6)
  local count, at = t1 * 256 + t2, 7 + 32 * ((a1 + b1) * 256 + a2 + b2)
  for i = 1, count do hashes[i] = sub(batch, at + 32 * i - 32, at + 32 * i - 1) end
  at = at + 32 * count
  for i = 1, count do
    local high, low = byte(batch, at, at + 1)
    signatures[i] = sub(batch, at + 3, at + 66)
    at = at + 2 + high * 256 + low
    ends[i] = at - 1
  end
  raws_at = 7 + 32 * ((a1 + b1) * 256 + a2 + b2 + count)
end
local function raw_of(i)
  if id == '' then return ARGV[6 + i * 2] end
  return sub(batch, (ends[i - 1] or raws_at - 1) + 3, ends[i])
end

local status = redis.call('HMGET', KEYS[3], unpack(signatures))
local waiting = redis.call('HMGET', KEYS[4], unpack(signatures))
local dead = redis.call('EXISTS', KEYS[6]) == 1 and redis.call('HMGET', KEYS[6], unpack(signatures)) or {}
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

local codes, chosen, taken = {}, {}, {}
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
    chosen[#chosen + 1] = i
  end
end

local together = id ~= '' and #chosen == #signatures
if together then
  local messages, seen = redis.call('HMGET', KEYS[10], unpack(hashes)), {}
  for i = 1, #hashes do
    if messages[i] or seen[hashes[i]] then together = false end
    seen[hashes[i]] = true
  end
end
if #chosen > 0 then
  local records, scores = {}, {now, id}
  if together then
    local claims = {}
    for i = 1, #signatures do
      records[2 * i - 1], records[2 * i] = signatures[i], id
      claims[2 * i - 1], claims[2 * i] = hashes[i], signatures[i]
    end
    redis.call('HSET', KEYS[11], id, batch, id .. 'w', epoch .. ':' .. string.format('%.0f', #signatures))
    redis.call('HSET', KEYS[10], unpack(claims))
  else
    for n = 1, #chosen do
      local signature = signatures[chosen[n]]
      records[2 * n - 1], records[2 * n] = signature, raw_of(chosen[n])
      scores[2 * n - 1], scores[2 * n] = now, signature
    end
  end
  redis.call('HSET', KEYS[4], unpack(records))
  if redis.call('EXISTS', KEYS[8]) == 1 then
    -- What was refused before is tried again: it was never anything but told.
    for i = 1, #records, 2 do
      redis.call('HDEL', KEYS[8], records[i])
      redis.call('ZREM', KEYS[9], records[i])
    end
  end
  redis.call('ZADD', KEYS[5], unpack(scores))
  redis.call('HINCRBY', KEYS[2], 'accepted', #chosen)
end
return {now, table.concat(codes), together and '1' or '0'}
