-- Read all that a batch of transactions needs, as of one moment.
--
-- KEYS  1 meta  2 state  3 accounts  4 versions  5 status  6 blockhashes  7 dead  8 intake  9 refusals
--       10 turns
-- ARGV  epoch, max_age (slots that a blockhash stays valid), token of the slot whose sysvars are at hand ('' = none)
--       '?', or the turn that was handed to the caller ('' = it goes without), and the milliseconds after which a turn is
--       lost, then S, then S times: signature
--       B, then B times: blockhash
--       A, then A times: account key, version at hand ('' = none: send the record)
--       most bytes of records, about: with those that go beyond it, the answer ends
-- RESULT {slot, time of the block before (ms), resolved, valid, versions, records, accepted, blockhashes, looked at, turn}
--       resolved  one letter a signature: 1 = it has its outcome or is a dead letter, 0 = not yet,
--                 2 = refused, and not accepted again since
--       valid     one letter a blockhash: 1 = recent, 0 = unknown or expired
--       versions  per account; '' = absent, '=' and what is stored: a plain one (banking/ledger/stored_account.py)
--       records   per account; '' = absent, plain, or as at hand
--       accepted  per signature, the raw transaction that intake holds; '' = none
--       blockhashes  all that are kept: hash of a block, slot behind it, ...; none when the token is still right
--       looked at how many accounts, in the order asked, have their record; those behind were left out
--       turn  the number of the caller's turn; '' = there are none at present; '-' = another has it, and nothing was
--                 read: wait until one comes, and ask again
-- ERRORS STALE_EPOCH <current>

-- include take_turn
-- include read_accounts

local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch ~= ARGV[1] then
  return redis.error_reply('STALE_EPOCH ' .. (epoch or 'none'))
end

local at = 6
local function take_list(step)
  local count = tonumber(ARGV[at])
  local list, extra = {}, {}
  at = at + 1
  for i = 1, count do
    list[i] = ARGV[at]
    if step == 2 then extra[i] = ARGV[at + 1] end
    at = at + step
  end
  return list, extra
end

local function hmget(key, fields)
  local all = {}
  for first = 1, #fields, 4000 do
    local part = redis.call('HMGET', key, unpack(fields, first, math.min(first + 3999, #fields)))
    for i = 1, #part do all[#all + 1] = part[i] or '' end
  end
  return all
end

local signatures = take_list(1)
local blockhashes = take_list(1)
local accounts, at_hand = take_list(2)

local state = redis.call('HMGET', KEYS[2], 'slot', 'slot_time', 'heat', 'turn', 'turn_at')
local time = state[2] or ''
local turn = take_turn(KEYS[2], KEYS[10], state[3], state[4], state[5], ARGV[4], ARGV[5])
if turn == '-' then return {state[1], time, '', '', {}, {}, {}, {}, 0, turn} end
local resolved, valid = {}, {}
for i, value in ipairs(hmget(KEYS[5], signatures)) do resolved[i] = value == '' and '0' or '1' end
-- Nearly always there are no dead letters, and this is one look-up.
if redis.call('EXISTS', KEYS[7]) == 1 then
  for i, value in ipairs(hmget(KEYS[7], signatures)) do if value ~= '' then resolved[i] = '1' end end
end
local accepted = hmget(KEYS[8], signatures)
if redis.call('EXISTS', KEYS[9]) == 1 then
  for i, value in ipairs(hmget(KEYS[9], signatures)) do
    if value ~= '' and resolved[i] == '0' and accepted[i] == '' then resolved[i] = '2' end
  end
end
for i, seen_at in ipairs(hmget(KEYS[6], blockhashes)) do
  local recent = seen_at ~= '' and tonumber(state[1]) - tonumber(seen_at) <= tonumber(ARGV[2])
  valid[i] = recent and '1' or '0'
end

local versions, records, looked_at = read_accounts(KEYS[3], KEYS[4], accounts, at_hand, tonumber(ARGV[at]))
local kept = {}
if ARGV[3] ~= state[1] .. ':' .. time then kept = redis.call('HGETALL', KEYS[6]) end
return {state[1], time, table.concat(resolved), table.concat(valid), versions, records, accepted,
  kept, looked_at, turn}
