-- Read a batch out of intake, and all that its transactions need, as of one moment.
--
-- KEYS  1 meta  2 state  3 accounts  4 versions  5 blockhashes  6 batches  7 turns
-- ARGV  epoch, max_age (slots that a blockhash stays valid), token of the slot whose sysvars are at hand ('' = none),
--       id of the batch, most bytes of records (see load.lua),
--       '?', or the turn that was handed to the caller ('' = it goes without; see banking/ledger/turns.py),
--       milliseconds after which a turn is lost, then pairs: account key, version: records at hand, which are not sent again; they are looked at in any case
-- RESULT {slot, time of the block before (ms), batch, valid, versions, records, blockhashes, looked at, turn}, as
--       load.lua says; accounts are those of the batch, then those at hand
--       turn  the number of the caller's turn; '' = there are none at present; '-' = another has it, and nothing was
--       read: wait until one comes, and ask again
--       batch  its record; '' = it is not in intake, or some of it has left it: ask load.lua for each transaction
-- ERRORS STALE_EPOCH <current>

-- include take_turn
-- include read_accounts

local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch ~= ARGV[1] then
  return redis.error_reply('STALE_EPOCH ' .. (epoch or 'none'))
end
local id, most = ARGV[4], tonumber(ARGV[5])
local found = redis.call('HMGET', KEYS[6], id, id .. 'w')
local batch, whole = found[1], found[2]
local state = redis.call('HMGET', KEYS[2], 'slot', 'slot_time', 'heat', 'turn', 'turn_at')
local time = state[2] or ''
if not batch or not whole or string.match(whole, '^%d+') ~= epoch then
  return {state[1], time, '', '', {}, {}, {}, 0, ''}
end

local turn = take_turn(KEYS[2], KEYS[7], state[3], state[4], state[5], ARGV[6], ARGV[7])
if turn == '-' then return {state[1], time, '', '', {}, {}, {}, 0, turn} end

local sub = string.sub
local a1, a2, b1, b2 = string.byte(batch, 1, 4)
local accounts, blockhashes, at_hand, valid, at = {}, {}, {}, {}, 7
for i = 1, a1 * 256 + a2 do
  accounts[i] = sub(batch, at, at + 31)
  at = at + 32
end
for i = 1, b1 * 256 + b2 do
  blockhashes[i] = sub(batch, at, at + 31)
  at = at + 32
end
for i = 8, #ARGV, 2 do
  accounts[#accounts + 1] = ARGV[i]
  at_hand[#accounts] = ARGV[i + 1]
end
for i, seen_at in ipairs(redis.call('HMGET', KEYS[5], unpack(blockhashes))) do
  valid[i] = seen_at and tonumber(state[1]) - tonumber(seen_at) <= tonumber(ARGV[2]) and '1' or '0'
end

local versions, records, looked_at = read_accounts(KEYS[3], KEYS[4], accounts, at_hand, most)
local kept = {}
if ARGV[3] ~= state[1] .. ':' .. time then kept = redis.call('HGETALL', KEYS[5]) end
return {state[1], time, batch, table.concat(valid), versions, records, kept, looked_at, turn}
