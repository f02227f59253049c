-- Commit a batch of executed transactions: each one whole or not at all, decided one by one, atomically.
--
-- KEYS  1 meta  2 state  3 accounts  4 versions  5 status  6 messages  7 blockhashes  8 journal
--       9 intake  10 queued  11 parked  12 attempts  13 dead  14 images_even  15 images_odd
--       16 refusals  17 refused  18 batches  19 turns
-- ARGV  1 epoch  2 enqueued_at (ms, 0 = unknown)  3 max_age (slots that a blockhash stays valid)
--       4 mark (random bytes that make the versions of this commit its own, see banking/ledger/versions.py)
--       5, 6 most bytes of a slot: shared by its transactions, and with a single large one on top (limits.py)
--       7 token of the slot that the transactions were executed for  8 most refusals that are remembered
--       then the columns of the batch (banking/ledger/commit_request.py says what is in them)
--       9 account keys  10 versions read  11 blockhashes  12 signatures  13 message hashes  14 heads  15 reads  16 writes
--       17 burned  18 their sum  19 how many succeeded  20 all are paid for  21 any is bound  22 outcomes  23 batch  24 turn,
--       and one by one T results, T raw transactions (none of a batch), and the records written
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
--
-- Nearly always nothing speaks against any of the batch: then it is one decision (`whole_batch`), and no transaction is
-- looked at by itself. That none of a whole batch (see accept.lua) has its outcome was seen to when it was accepted.
-- A message belongs to the signature that it was applied under, or that claimed it when it was accepted.

-- A plain account is its own version (banking/ledger/stored_account.py): its record comes as 8 bytes, and is stored with
-- the number of its write behind it.

-- include hand_on
-- include columns
-- include compare_reads
local ARGV, sub, byte = ARGV, string.sub, string.byte

local function whole(number) return string.format('%.0f', number) end

local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch ~= ARGV[1] then return redis.error_reply('STALE_EPOCH ' .. (epoch or 'none')) end
local enqueued_at = tonumber(ARGV[2])
if not enqueued_at then return redis.error_reply('ERR enqueued_at is no number') end
local state = redis.call('HMGET', KEYS[2], 'slot', 'seq', 'bytes', 'full', 'slot_time', 'watermark', 'heat', 'turn')
local slot, seq = tonumber(state[1]), tonumber(state[2])
local slot_bytes, full = tonumber(state[3] or '0'), state[4] or ''
local shared_bytes, most_bytes = tonumber(ARGV[5]), tonumber(ARGV[6])
local images = KEYS[14 + slot % 2]
local same_slot = ARGV[7] == state[1] .. ':' .. (state[5] or '')

-- ---- the transactions
local heads, write_indexes = ARGV[14], ARGV[16]
local count, id = #heads / 11, ARGV[23]
local RESULTS, RECORDS = 24, 24 + count
local signatures, hashes, raw_bytes, frames = {}, {}, {}, {}
local batch, is_whole, hashes_at, raws_at = false, false, 0, 0
if id == '' then
  RECORDS = 24 + 2 * count
  signatures, hashes = split(ARGV[12], 64), split(ARGV[13], 32)
  for i = 1, count do
    local raw = ARGV[24 + count + i]
    raw_bytes[i], frames[i] = #raw, string.char(math.floor(#raw / 256), #raw % 256) .. raw
  end
else
  local found = redis.call('HMGET', KEYS[18], id, id .. 'w')
  batch = found[1]
  -- Others brought all of it to its end, or took it apart: each is to be looked at by itself.
  if not batch then return {state[1], whole(seq + 1), string.rep('C', count)} end
  is_whole = found[2] == epoch .. ':' .. whole(count)
  local a1, a2, b1, b2 = byte(batch, 1, 4)
  hashes_at = 7 + 32 * ((a1 + b1) * 256 + a2 + b2)
  raws_at = hashes_at + 32 * count
  local at = raws_at
  for i = 1, count do
    local high, low = byte(batch, at, at + 1)
    hashes[i], signatures[i] = sub(batch, hashes_at + 32 * i - 32, hashes_at + 32 * i - 1), sub(batch, at + 3, at + 66)
    raw_bytes[i] = high * 256 + low
    at = at + 2 + raw_bytes[i]
  end
end

-- ---- what speaks against any of them
local keys, blockhashes = split(ARGV[9], 32), split(ARGV[11], 32)
local clean = ARGV[20] == '1' and (same_slot or ARGV[21] ~= '1')
local fresh_hash = {}
local seen_at = in_chunks('HMGET', KEYS[7], blockhashes)
local stale, had_version = compare_reads(KEYS[3], KEYS[4], keys, ARGV[10])
clean = clean and not next(stale)
for i = 1, #blockhashes do
  fresh_hash[i] = seen_at[i] and slot - tonumber(seen_at[i]) <= tonumber(ARGV[3])
  clean = clean and fresh_hash[i]
end
local status, message, claimed, overtaken, seen_message = {}, {}, {}, {}, {}
if not is_whole then
  status = redis.call('HMGET', KEYS[5], unpack(signatures))
  if redis.call('EXISTS', KEYS[13]) == 1 then
    -- What was given up stays given up until somebody replays it: one end for each transaction.
    local letters = redis.call('HMGET', KEYS[13], unpack(signatures))
    for i = 1, count do status[i] = status[i] or letters[i] end
  end
  if redis.call('EXISTS', KEYS[16]) == 1 then
    -- A refusal that was told never executes, unless the transaction was accepted again.
    local refusals = redis.call('HMGET', KEYS[16], unpack(signatures))
    for i = 1, count do
      if refusals[i] and redis.call('HEXISTS', KEYS[9], signatures[i]) == 0 then status[i] = status[i] or refusals[i] end
    end
  end
  message = redis.call('HMGET', KEYS[6], unpack(hashes))
  for i = 1, count do
    if message[i] == signatures[i] then
      claimed[i], message[i] = true, false
    elseif message[i] and redis.call('HEXISTS', KEYS[5], message[i]) == 0 then
      -- A claim only: who is first is first.
      overtaken[i], message[i] = message[i], false
    end
    if status[i] or message[i] or overtaken[i] or seen_message[hashes[i]] then clean = false end
    seen_message[hashes[i]] = true
  end
end

-- ---- room in the slot
local image, touched, writer = {}, {}, {}

-- How long a record or image is in a block: one of 8 bytes is that of a plain account, of 49.
local function record_bytes(record) return #record == 8 and 49 or #record end

-- How long the images are that the slot has of what may be written. One look-up for all whose new record is small; where
-- the old one is not, that is some milliseconds, once.
local image_bytes, small, small_index = {}, {}, {}
for w = 1, #write_indexes / 2 do
  local index = index_at(write_indexes, w)
  if not image_bytes[index] then
    if #ARGV[RECORDS + w] > 1024 then
      local length = redis.call('HSTRLEN', images, keys[index])
      image_bytes[index] = length == 8 and 49 or length
    else
      image_bytes[index], small[#small + 1], small_index[#small_index + 1] = 0, keys[index], index
    end
  end
end
local found_images = slot_bytes > 0 and in_chunks('HMGET', images, small) or {}
for i = 1, #found_images do
  if found_images[i] then image_bytes[small_index[i]] = record_bytes(found_images[i]) end
end

-- What an outcome adds to the slot's block: its entry, and what the images of its accounts grow by.
local slot_prefix, numbers = whole(slot) .. ':', {}
local function entry_bytes(i, detail, writes)
  return 65 + raw_bytes[i] + #slot_prefix + #numbers[i] + #ARGV[RESULTS + i] + detail + 32 * writes
end
local function growth(index, length)
  return length - image_bytes[index] + (image_bytes[index] == 0 and 48 or 0)
end

-- A transaction that is large by itself may go beyond what is shared, one a slot: it must not wait for an empty one.
local function fits(bytes)
  if slot_bytes + bytes <= shared_bytes then return true end
  local large = full ~= '2' and bytes > shared_bytes / 2 and slot_bytes + bytes <= most_bytes
  if large then full = '2' elseif full == '' then full = '1' end
  return large
end

-- ---- what is to be written
local first, applied, ok_count, burned_sum, conflicts = seq + 1, 0, 0, {}, 0
local new_status, new_messages, done, applied_signatures, codes = {}, {}, {}, {}, {}
local refused, refusals, refused_at = {}, {}, {}
local applied_hashes, applied_raws, outcomes, given_back = {}, {}, {}, {}
local NO_HASH = string.rep('\0', 32)

-- The images that the writes from `first_write` to `last_write`, those of transaction `i`, leave.
local function touch(i, first_write, last_write)
  for w = first_write, last_write do
    local index, record = index_at(write_indexes, w), ARGV[RECORDS + w]
    if not image[index] then touched[#touched + 1] = index end
    image[index], writer[index] = record == '' and '-' or record, i
  end
end

local function apply(i, included)
  applied = applied + 1
  local signature, at = signatures[i], 2 * applied
  new_status[at - 1], new_status[at] = signature, slot_prefix .. numbers[i] .. ':' .. ARGV[RESULTS + i]
  applied_signatures[applied] = signature
  -- Without a fee it was not included (as in Solana), and the same message may be tried again.
  if included and not (is_whole or claimed[i]) then
    local n = #new_messages
    new_messages[n + 1], new_messages[n + 2] = hashes[i], signature
  end
end

-- Every transaction of a batch against which nothing speaks; false when the slot has no room for all of them.
local function whole_batch()
  local last_write, sum = 0, 0
  for i = 1, count do
    local w1, w2, d1, d2, d3, d4 = byte(heads, 11 * i - 5, 11 * i)
    local first_write = last_write + 1
    last_write = last_write + w1 * 256 + w2
    numbers[i] = whole(seq + i)
    sum = sum + entry_bytes(i, ((d1 * 256 + d2) * 256 + d3) * 256 + d4, last_write - first_write + 1)
    touch(i, first_write, last_write)
  end
  for t = 1, #touched do sum = sum + growth(touched[t], record_bytes(image[touched[t]])) end
  if slot_bytes + sum > shared_bytes then
    image, touched, writer = {}, {}, {}
    return false
  end
  for i = 1, count do apply(i, true) end
  applied_hashes, applied_raws = hashes, frames
  if batch then applied_hashes, applied_raws = {sub(batch, hashes_at, raws_at - 1)}, {sub(batch, raws_at)} end
  seq, slot_bytes = seq + count, slot_bytes + sum
  ok_count, burned_sum[1] = tonumber(ARGV[19]), ARGV[18]
  outcomes[1], codes[1] = ARGV[22], string.rep('A', count)
  return true
end

-- The same, one by one: what speaks against one costs only that one, and those that built on it.
local function one_by_one()
  local burned, at, frame_at = {}, 1, raws_at
  for lamports in string.gmatch(ARGV[17], '%d+') do burned[#burned + 1] = lamports end
  seen_message = {}
  local last_read, last_write, small_sum = 0, 0, 0

  local function judge(i, flags, blockhash, first_read)
    if status[i] then return 'D' end
    -- A refusal on record for this message (blockhash 0) may be written; an execution may not.
    if blockhash ~= 0 and (message[i] or seen_message[hashes[i]]) then return 'M' end
    if blockhash > 0 and blockhash < 65535 and not fresh_hash[blockhash] then return 'E' end
    if flags % 4 >= 2 and not same_slot then return 'C' end
    for r = first_read, last_read do
      if stale[index_at(ARGV[15], r)] then return 'C' end
    end
    return 'A'
  end

  for i = 1, count do
    local flags, b1, b2, r1, r2, w1, w2, d1, d2, d3, d4 = byte(heads, 11 * i - 10, 11 * i)
    local blockhash = b1 * 256 + b2
    local first_read, first_write = last_read + 1, last_write + 1
    last_read, last_write = last_read + r1 * 256 + r2, last_write + w1 * 256 + w2
    local o1, o2, o3, o4 = byte(ARGV[22], at, at + 3)
    local length = 4 + ((o1 * 256 + o2) * 256 + o3) * 256 + o4
    local code, bytes = judge(i, flags, blockhash, first_read), 0
    if code == 'A' and flags % 8 >= 4 then
      code = 'R'
      status[i] = ARGV[RESULTS + i]
      local n = 2 * #refused + 1
      refused[#refused + 1] = signatures[i]
      refusals[n], refusals[n + 1] = signatures[i], slot_prefix .. ARGV[RESULTS + i]
      refused_at[n], refused_at[n + 1] = whole(slot), signatures[i]
      if is_whole or claimed[i] then given_back[#given_back + 1] = hashes[i] end
    elseif code == 'A' then
      numbers[i] = whole(seq + 1)
      bytes = entry_bytes(i, ((d1 * 256 + d2) * 256 + d3) * 256 + d4, last_write - first_write + 1)
      for w = first_write, last_write do
        bytes = bytes + growth(index_at(write_indexes, w), math.max(record_bytes(ARGV[RECORDS + w]), 1))
      end
      if not fits(bytes) then code = 'B' end
    end
    codes[i] = code
    if code == 'A' then
      seq, slot_bytes = seq + 1, slot_bytes + bytes
      local included = blockhash ~= 0 and flags >= 8
      touch(i, first_write, last_write)
      for w = first_write, last_write do
        image_bytes[index_at(write_indexes, w)] = math.max(record_bytes(ARGV[RECORDS + w]), 1)
      end
      apply(i, included)
      applied_raws[applied] = batch and sub(batch, frame_at, frame_at + 1 + raw_bytes[i]) or frames[i]
      applied_hashes[applied] = included and hashes[i] or NO_HASH
      seen_message[hashes[i]] = included or seen_message[hashes[i]]
      if not included and (is_whole or claimed[i]) then given_back[#given_back + 1] = hashes[i] end
      outcomes[applied] = sub(ARGV[22], at, at + length - 1)
      if flags % 2 == 1 then ok_count = ok_count + 1 end
      -- Fees are small, and their sum stays far below 2^53; one that is not is counted by itself, exactly.
      if #burned[i] < 12 then small_sum = small_sum + burned[i] else burned_sum[#burned_sum + 1] = burned[i] end
      status[i] = numbers[i]
    elseif code ~= 'R' then
      -- Later transactions of the batch were executed on top of what this one would have written.
      for w = first_write, last_write do stale[index_at(write_indexes, w)] = true end
      if code == 'D' then done[#done + 1] = signatures[i] end
      if code == 'C' then conflicts = conflicts + 1 end
    end
    at, frame_at = at + length, frame_at + 2 + raw_bytes[i]
  end
  if small_sum > 0 then burned_sum[#burned_sum + 1] = whole(small_sum) end
end

local together = clean and whole_batch()
if not together then one_by_one() end

-- ---- who leaves intake
-- Some of a batch are not in it any more: it is not whole, and goes with its last one.
local function leave(of, how_many)
  local mark = redis.call('HGET', KEYS[18], of .. 'w')
  if mark then
    redis.call('HDEL', KEYS[18], of .. 'w')
    redis.call('HSET', KEYS[18], of .. 'o', string.match(mark, '%d+$'))
  end
  if redis.call('HINCRBY', KEYS[18], of .. 'o', -how_many) <= 0 then
    redis.call('HDEL', KEYS[18], of, of .. 'w', of .. 'o')
    redis.call('ZREM', KEYS[10], of)
    redis.call('HDEL', KEYS[12], of)
  end
end

-- Drops the records of what has its end, and whatever spoke for it.
local function leave_intake(names, ended_here)
  local leaving = {}
  if together and is_whole then
    leaving[id] = count
  else
    for _, held in ipairs(redis.call('HMGET', KEYS[9], unpack(names))) do
      if held and #held == 16 then leaving[held] = (leaving[held] or 0) + 1 end
    end
    redis.call('ZREM', KEYS[10], unpack(names))
  end
  redis.call('ZREM', KEYS[11], unpack(names))
  redis.call('HDEL', KEYS[12], unpack(names))
  local accepted = redis.call('HDEL', KEYS[9], unpack(names))
  for of, how_many in pairs(leaving) do leave(of, how_many) end
  -- What came as a bare message is accepted by its end.
  if ended_here and accepted < #names then redis.call('HINCRBY', KEYS[2], 'accepted', #names - accepted) end
end

-- ---- the writes
if applied > 0 then
  redis.call('HSET', KEYS[2], 'seq', whole(seq), 'bytes', whole(slot_bytes), 'full', full)
  if ok_count > 0 then redis.call('HINCRBY', KEYS[2], 'processed', ok_count) end
  if ok_count < applied then redis.call('HINCRBY', KEYS[2], 'failed', applied - ok_count) end
  for i = 1, #burned_sum do redis.call('HINCRBY', KEYS[2], 'burned', burned_sum[i]) end
  local records, versions, gone, unversioned, stored = {}, {}, {}, {}, {}
  for t = 1, #touched do
    local index = touched[t]
    local key, record = keys[index], image[index]
    stored[2 * t - 1], stored[2 * t] = key, record
    local is_plain, at, i = #record == 8, #records, writer[index]
    if record == '-' then
      gone[#gone + 1] = key
    else
      records[at + 1], records[at + 2] = key, is_plain and record .. numbers[i] or record
      if not is_plain then
        at = #versions
        versions[at + 1], versions[at + 2] = key, numbers[i] .. ':' .. sub(signatures[i], 1, 16) .. ARGV[4]
      end
    end
    if had_version[index] and (is_plain or record == '-') then unversioned[#unversioned + 1] = key end
  end
  in_chunks('HSET', images, stored)
  in_chunks('HSET', KEYS[3], records)
  in_chunks('HSET', KEYS[4], versions)
  in_chunks('HDEL', KEYS[3], gone)
  in_chunks('HDEL', KEYS[4], unversioned)
  in_chunks('HSET', KEYS[5], new_status)
  in_chunks('HSET', KEYS[6], new_messages)
  redis.call('XADD', KEYS[8], whole(slot) .. '-' .. whole(first), 'n', whole(applied), 't', table.concat(applied_raws),
    'h', table.concat(applied_hashes), 'o', table.concat(outcomes))
  for i = 1, count do
    -- The batch of who claimed the message must look again.
    local claimant = overtaken[i] and status[i] and redis.call('HGET', KEYS[9], overtaken[i])
    if claimant and #claimant == 16 then leave(claimant, 0) end
  end
  leave_intake(applied_signatures, true)
elseif full ~= (state[4] or '') then redis.call('HSET', KEYS[2], 'full', full) end
if #refused > 0 then
  redis.call('HSET', KEYS[16], unpack(refusals))
  redis.call('ZADD', KEYS[17], unpack(refused_at))
  redis.call('HINCRBY', KEYS[2], 'refused', #refused)
  leave_intake(refused, true)
  -- Once its blockhash is old a refused transaction is an expired one; and the oldest go when there are too many.
  local gone = redis.call('ZRANGEBYSCORE', KEYS[17], '-inf', whole(slot - tonumber(ARGV[3]) - 1), 'LIMIT', 0, 1000)
  local excess = math.min(redis.call('ZCARD', KEYS[17]) - #gone - tonumber(ARGV[8]), 1000)
  if excess > 0 then gone = redis.call('ZRANGE', KEYS[17], 0, #gone + excess - 1) end
  in_chunks('HDEL', KEYS[16], gone)
  in_chunks('ZREM', KEYS[17], gone)
end
-- What was not included gives up its claim, unless a twin was applied beside it.
for i = 1, #given_back do
  if not seen_message[given_back[i]] then redis.call('HDEL', KEYS[6], given_back[i]) end
end
if #done > 0 then leave_intake(done) end
if applied + #refused + #done > 0 and enqueued_at > tonumber(state[6] or '0') then
  redis.call('HSET', KEYS[2], 'watermark', ARGV[2])
end
hand_on(KEYS[2], KEYS[19], state[7], state[8], ARGV[24], count, conflicts)
return {whole(slot), whole(first), table.concat(codes)}
