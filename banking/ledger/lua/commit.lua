-- Commit a batch of executed transactions: each one whole or not at all, decided one by one, atomically.
--
-- KEYS  1 meta  2 state  3 accounts  4 versions  5 status  6 messages  7 blockhashes  8 journal
--       9 intake  10 queued  11 parked  12 attempts  13 dead  14 images_even  15 images_odd
--       16 refusals  17 refused
-- ARGV  epoch, enqueued_at (ms, 0 = unknown), max_age (slots that a blockhash stays valid),
--       mark (random bytes that make the versions of this commit its own, see banking/ledger/versions.py),
--       most bytes of a slot: shared by its transactions, and with a single large one on top (banking/ledger/limits.py),
--       token of the slot that the transactions were executed for, most refusals that are remembered
--       A, then A times: account key, version read ('' = absent)
--       B, then B times: blockhash
--       T, then T times: signature, message hash, blockhash index (0 = a refusal, -1 = valid by its nonce: not
--         checked), bound to the slot ('1' or '0'), reads (2 bytes big-endian an account index, from 1), burned
--         (lamports), ok ('1', '0', or 'r': a refusal without a fee, see below), result (packed), raw transaction, detail (packed), W, then W times: account index,
--         record ('' = the account is gone)
-- RESULT {slot, first sequence number, codes}, codes one letter a transaction:
--       A applied   R refused without a fee: told to whoever asks, and otherwise it never was; it may be accepted again
--       C conflict: an account, or the slot, changed since it was read, or an earlier one of the batch
--       that this one built on was not applied   D duplicate: the signature has its outcome already, is a dead
--       letter, or was refused and not accepted again since
--       E blockhash not valid
--       M the same message was applied under another signature
--       B the slot has no room for its bytes: it closes early, the transaction comes again
-- ERRORS STALE_EPOCH <current>: the caller's view is fenced off. Nothing was written.
--        ERR enqueued_at is no number
--
-- Everything is decided before the first write, because Lua cannot roll back, and the first write is one that
-- Redis denies when it is out of memory, so a refusal leaves nothing behind. Balances and records are opaque bytes.
-- Sequence numbers, slots and counts stay below 2^53, where Lua numbers are exact.

local ARGV = ARGV

local function whole(number)
  return string.format('%.0f', number)
end

local function in_chunks(command, key, items)
  local all = {}
  for first = 1, #items, 4000 do
    local part = redis.call(command, key, unpack(items, first, math.min(first + 3999, #items)))
    for i = 1, #part do all[#all + 1] = part[i] end
  end
  return all
end

local function write_chunks(command, key, items)
  local total = 0
  for first = 1, #items, 4000 do
    total = total + redis.call(command, key, unpack(items, first, math.min(first + 3999, #items)))
  end
  return total
end

local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch ~= ARGV[1] then
  return redis.error_reply('STALE_EPOCH ' .. (epoch or 'none'))
end

local enqueued_at = tonumber(ARGV[2])
if not enqueued_at then return redis.error_reply('ERR enqueued_at is no number') end

local at = 9
local function take()
  local value = ARGV[at]
  at = at + 1
  return value
end

local keys, read_versions = {}, {}
for i = 1, tonumber(take()) do
  keys[i] = take()
  read_versions[i] = take()
end
local blockhashes = {}
for i = 1, tonumber(take()) do blockhashes[i] = take() end

local txs, signatures, hashes = {}, {}, {}
for i = 1, tonumber(take()) do
  signatures[i], hashes[i] = ARGV[at], ARGV[at + 1]
  local writes, count = {}, tonumber(ARGV[at + 10])
  -- Made at once, a table need not grow field by field.
  txs[i] = {
    blockhash = tonumber(ARGV[at + 2]), bound = ARGV[at + 3], reads = ARGV[at + 4], burned = ARGV[at + 5],
    ok = ARGV[at + 6], result = ARGV[at + 7], raw = ARGV[at + 8], detail = ARGV[at + 9], writes = writes,
  }
  at = at + 11
  for w = 1, count do
    -- An account that is gone has an image, too.
    local record = ARGV[at + 1]
    writes[w] = {tonumber(ARGV[at]), record == '' and '-' or record}
    at = at + 2
  end
end

local state = redis.call('HMGET', KEYS[2], 'slot', 'seq', 'bytes', 'full', 'slot_time')
local slot, seq = tonumber(state[1]), tonumber(state[2])
local slot_bytes, full = tonumber(state[3] or '0'), state[4] or ''
local shared_bytes, most_bytes = tonumber(ARGV[5]), tonumber(ARGV[6])
local images = KEYS[14 + slot % 2]
local same_slot = ARGV[7] == state[1] .. ':' .. (state[5] or '')

local stale = {}
if #keys > 0 then
  local current = in_chunks('HMGET', KEYS[4], keys)
  for i = 1, #keys do stale[i] = (current[i] or '') ~= read_versions[i] end
end
local fresh_hash = {}
if #blockhashes > 0 then
  local seen_at = redis.call('HMGET', KEYS[7], unpack(blockhashes))
  for i = 1, #blockhashes do
    fresh_hash[i] = seen_at[i] and slot - tonumber(seen_at[i]) <= tonumber(ARGV[3])
  end
end
local status = redis.call('HMGET', KEYS[5], unpack(signatures))
if redis.call('EXISTS', KEYS[13]) == 1 then
  -- What was given up stays given up until somebody replays it: one end for each transaction.
  local letters = redis.call('HMGET', KEYS[13], unpack(signatures))
  for i = 1, #signatures do status[i] = status[i] or letters[i] end
end
if redis.call('EXISTS', KEYS[16]) == 1 then
  -- A refusal that was told never executes, unless the transaction was accepted again.
  local refusals = redis.call('HMGET', KEYS[16], unpack(signatures))
  for i = 1, #signatures do
    if refusals[i] and redis.call('HEXISTS', KEYS[9], signatures[i]) == 0 then status[i] = status[i] or refusals[i] end
  end
end
local message = redis.call('HMGET', KEYS[6], unpack(hashes))
local seen_message = {}

local function judge(i, tx)
  if status[i] then return 'D' end
  if message[i] or seen_message[hashes[i]] then
    -- A refusal on record for this message (blockhash index 0) may be written; an execution may not.
    if tx.blockhash ~= 0 then return 'M' end
  end
  if tx.blockhash > 0 and not fresh_hash[tx.blockhash] then return 'E' end
  if tx.bound == '1' and not same_slot then return 'C' end
  for r = 1, #tx.reads, 2 do
    local high, low = string.byte(tx.reads, r, r + 1)
    if stale[high * 256 + low] then return 'C' end
  end
  return 'A'
end

local first = seq + 1
local codes, journal = {}, {}
local image, image_version, touched = {}, {}, {}

-- How long the images are that the slot has of what may be written. One look-up for all whose new record is small; where
-- the old one is not, that is some milliseconds, once.
local image_bytes, small, small_index = {}, {}, {}
for i = 1, #txs do
  for w = 1, #txs[i].writes do
    local index, record = txs[i].writes[w][1], txs[i].writes[w][2]
    if not image_bytes[index] then
      if #record > 1024 then
        image_bytes[index] = redis.call('HSTRLEN', images, keys[index])
      else
        image_bytes[index] = 0
        small[#small + 1] = keys[index]
        small_index[#small_index + 1] = index
      end
    end
  end
end
if slot_bytes > 0 and #small > 0 then
  local found = in_chunks('HMGET', images, small)
  for i = 1, #small do
    if found[i] then image_bytes[small_index[i]] = #found[i] end
  end
end

-- What a transaction adds to the slot's block: its entry, and what the images of its accounts grow by.
local function bytes_of(tx, result)
  local writes = tx.writes
  local sum = 64 + #tx.raw + #result + #tx.detail + 32 * #writes
  for w = 1, #writes do
    local before = image_bytes[writes[w][1]]
    sum = sum + #writes[w][2] - before
    if before == 0 then sum = sum + 48 end
  end
  return sum
end

-- A transaction that is large by itself may go beyond what is shared, one a slot: it must not wait for an empty one.
local function fits(bytes)
  if slot_bytes + bytes <= shared_bytes then return true end
  local large = full ~= '2' and bytes > shared_bytes / 2 and slot_bytes + bytes <= most_bytes
  if large then full = '2' elseif full == '' then full = '1' end
  return large
end
local slot_prefix, slot_id, mark = whole(slot) .. ':', whole(slot) .. '-', ARGV[4]
local new_status, new_messages, done, applied_signatures = {}, {}, {}, {}
local ok_count, failed_count, burned_sum, burned = 0, 0, 0, {}
local refused, refusals, refused_at = {}, {}, {}
for i = 1, #txs do
  local tx = txs[i]
  local code = judge(i, tx)
  local number, result, bytes
  if code == 'A' and tx.ok == 'r' then
    code = 'R'
    status[i] = tx.result
    refused[#refused + 1] = signatures[i]
    refusals[#refusals + 1] = signatures[i]
    refusals[#refusals + 1] = whole(slot) .. ':' .. tx.result
    refused_at[#refused_at + 1] = whole(slot)
    refused_at[#refused_at + 1] = signatures[i]
  elseif code == 'A' then
    number = whole(seq + 1)
    result = slot_prefix .. number .. ':' .. tx.result
    bytes = bytes_of(tx, result)
    if not fits(bytes) then code = 'B' end
  end
  codes[i] = code
  if code == 'A' then
    seq = seq + 1
    slot_bytes = slot_bytes + bytes
    local version = number .. ':' .. string.sub(signatures[i], 1, 16) .. mark
    local written = {}
    for w = 1, #tx.writes do
      local index, record = tx.writes[w][1], tx.writes[w][2]
      if not image[index] then touched[#touched + 1] = index end
      image[index] = record
      image_bytes[index] = #record
      image_version[index] = version
      written[w] = keys[index]
    end
    journal[#journal + 1] = {slot_id .. number, 't', tx.raw, 'r', result, 'f', tx.burned, 'd', tx.detail, 'w', table.concat(written)}
    new_status[#new_status + 1] = signatures[i]
    new_status[#new_status + 1] = result
    -- Without a fee it was not included (as in Solana), and the same message may be tried again.
    if tx.blockhash ~= 0 and tx.burned ~= '0' then
      new_messages[#new_messages + 1] = hashes[i]
      new_messages[#new_messages + 1] = signatures[i]
      seen_message[hashes[i]] = true
    end
    if tx.ok == '1' then ok_count = ok_count + 1 else failed_count = failed_count + 1 end
    -- Fees are small, and their sum stays far below 2^53; one that is not is counted by itself, exactly.
    if #tx.burned < 12 then burned_sum = burned_sum + tonumber(tx.burned) else burned[#burned + 1] = tx.burned end
    status[i] = result
    applied_signatures[#applied_signatures + 1] = signatures[i]
  elseif code ~= 'R' then
    -- Later transactions of the batch were executed on top of what this one would have written.
    for w = 1, #tx.writes do stale[tx.writes[w][1]] = true end
    if code == 'D' then done[#done + 1] = signatures[i] end
  end
end

local applied = #applied_signatures
if applied > 0 then
  redis.call('HSET', KEYS[2], 'seq', whole(seq), 'bytes', whole(slot_bytes), 'full', full)
  if ok_count > 0 then redis.call('HINCRBY', KEYS[2], 'processed', ok_count) end
  if failed_count > 0 then redis.call('HINCRBY', KEYS[2], 'failed', failed_count) end
  if burned_sum > 0 then redis.call('HINCRBY', KEYS[2], 'burned', whole(burned_sum)) end
  for i = 1, #burned do redis.call('HINCRBY', KEYS[2], 'burned', burned[i]) end
  local records, versions, gone, stored = {}, {}, {}, {}
  for i = 1, #touched do
    local index = touched[i]
    stored[#stored + 1] = keys[index]
    stored[#stored + 1] = image[index]
    if image[index] == '-' then
      gone[#gone + 1] = keys[index]
    else
      records[#records + 1] = keys[index]
      records[#records + 1] = image[index]
      versions[#versions + 1] = keys[index]
      versions[#versions + 1] = image_version[index]
    end
  end
  write_chunks('HSET', images, stored)
  write_chunks('HSET', KEYS[3], records)
  write_chunks('HSET', KEYS[4], versions)
  write_chunks('HDEL', KEYS[3], gone)
  write_chunks('HDEL', KEYS[4], gone)
  write_chunks('HSET', KEYS[5], new_status)
  write_chunks('HSET', KEYS[6], new_messages)
  for i = 1, #journal do
    redis.call('XADD', KEYS[8], unpack(journal[i]))
  end
  local taken_in = redis.call('HDEL', KEYS[9], unpack(applied_signatures))
  if taken_in < applied then redis.call('HINCRBY', KEYS[2], 'accepted', applied - taken_in) end
  for i = 1, applied do done[#done + 1] = applied_signatures[i] end
elseif full ~= (state[4] or '') then
  redis.call('HSET', KEYS[2], 'full', full)
end
if #refused > 0 then
  redis.call('HSET', KEYS[16], unpack(refusals))
  redis.call('ZADD', KEYS[17], unpack(refused_at))
  redis.call('HINCRBY', KEYS[2], 'refused', #refused)
  local taken_in = redis.call('HDEL', KEYS[9], unpack(refused))
  if taken_in < #refused then redis.call('HINCRBY', KEYS[2], 'accepted', #refused - taken_in) end
  for i = 1, #refused do done[#done + 1] = refused[i] end
  -- Once its blockhash is old a refused transaction is an expired one; and the oldest go when there are too many.
  local gone = redis.call('ZRANGEBYSCORE', KEYS[17], '-inf', whole(slot - tonumber(ARGV[3]) - 1), 'LIMIT', 0, 1000)
  local excess = math.min(redis.call('ZCARD', KEYS[17]) - #gone - tonumber(ARGV[8]), 1000)
  if excess > 0 then gone = redis.call('ZRANGE', KEYS[17], 0, #gone + excess - 1) end
  if #gone > 0 then
    redis.call('HDEL', KEYS[16], unpack(gone))
    redis.call('ZREM', KEYS[17], unpack(gone))
  end
end
if #done > 0 then
  -- Those applied were dropped above.
  if #done > applied then redis.call('HDEL', KEYS[9], unpack(done)) end
  redis.call('ZREM', KEYS[10], unpack(done))
  redis.call('ZREM', KEYS[11], unpack(done))
  redis.call('HDEL', KEYS[12], unpack(done))
  if enqueued_at > tonumber(redis.call('HGET', KEYS[2], 'watermark') or '0') then
    redis.call('HSET', KEYS[2], 'watermark', ARGV[2])
  end
end
return {whole(slot), whole(first), table.concat(codes)}
