-- Adds one flush to one bucket and moves the watermark of one partition, or changes nothing.
--
-- The caller has read what it adds to, and has added: sums arrive as they are to be. The stamp says whether the bucket
-- is still as it was read. Every flush leaves a new one, which no other flush ever bears.
--
-- Lua in Redis has no roll-back, so the script only plans at first: it reads its arguments, compares watermark and
-- stamp, looks the ids up and checks every value that a command of the plan will touch. What is planned cannot fail
-- for its type, range or number of arguments. Only then is the plan carried out.
--
-- Answers, of which all but the first left everything as it was:
--   {'applied', tier of seen ids that is no longer needed or '', outputs counted under another kind}
--   {'repeated', place among the call's ids, 1 if the content differs else 0, …}
--   {'moved', stored watermark or ''}
--   {'stale'}: read again, and add again
--   {'overflow'}: the caller only asked whether the ids are known, because a sum would not fit
--   {'corrupt', key, what is wrong}
--
-- This is the second part; call.lua, the first, reads KEYS and ARGV.

local DAY_MS = 86400000
local OTHER = 'other'

-- Planning -------------------------------------------------------------------------------------------

local plan = {}
local fault

local function stop(kind, name, detail)
  fault = {kind, name, detail}
  error('stopped')
end

local function read(command, name, ...)
  local reply = redis.pcall(command, name, ...)
  if type(reply) == 'table' and reply.err then
    -- Any other error is the server's and no fault of the key.
    if not reply.err:find('^WRONGTYPE') then error(reply) end
    stop('corrupt', name, reply.err)
  end
  return reply
end

local function stored_number(name, field, value)
  if value and not is_integer(value) then stop('corrupt', name, field .. ' is not an integer') end
  return tonumber(value or '0')
end

-- Seen ids -------------------------------------------------------------------------------------------

local function look_up(call, run, found, repeats)
  local known = read('SMISMEMBER', run.key, unpack(call.ids, run.first, run.last))
  for i = 1, #known do
    local at = run.first + i - 1
    if known[i] == 1 and not found[at] then
      found[at] = true
      local same = read('SISMEMBER', run.key, call.members[2 * at])
      repeats[#repeats + 1] = format('%d', at - 1)
      repeats[#repeats + 1] = same == 1 and '0' or '1'
    end
  end
end

local function repeats_of(call)
  local found, repeats = {}, {'repeated'}
  for _, block in ipairs(call.blocks) do
    for _, runs in ipairs(block.lookups) do
      for _, run in ipairs(runs) do look_up(call, run, found, repeats) end
    end
  end
  return #repeats > 1 and repeats or nil
end

local function lists(tiers, name)
  return (' ' .. tiers .. ' '):find(' ' .. name .. ' ', 1, true)
end

local function with(tiers, name)
  if lists(tiers, name) then return tiers end
  return tiers == '' and name or tiers .. ' ' .. name
end

-- A tier that is full is followed by a larger one: a set of integers is compact only while it is small.
local function plan_seen(call, tiers)
  for _, block in ipairs(call.blocks) do
    local runs = block.lookups[1]
    for _, run in ipairs(runs) do
      plan[#plan + 1] = {'SADD', run.key, unpack(call.members, 2 * run.first - 1, 2 * run.last)}
    end
    local name = format('%d:%d', block.generation, block.tier)
    local field, more = 'seen:' .. name, runs[#runs].last - runs[1].first + 1
    local sum = (call.sizes[field] or stored_number(call.state, field, read('HGET', call.state, field))) + more
    call.sizes[field] = sum
    tiers = with(tiers, name)
    if block.capacity > 0 and sum >= block.capacity then
      tiers = with(tiers, format('%d:%d', block.generation, block.tier + 1))
    end
  end
  return tiers
end

-- Months ---------------------------------------------------------------------------------------------

local function plan_months(call)
  -- A user's month is one text; MSET takes many, whatever stood there.
  for first = 0, call.months - 1, 2000 do
    local set = {'MSET'}
    for i = first, math.min(first + 2000, call.months) - 1 do
      set[#set + 1] = KEYS[call.first_month_key + i]
      set[#set + 1] = ARGV[call.first_month + i]
    end
    plan[#plan + 1] = set
  end
end

local function plan_hash(hash)
  read('HLEN', hash.key)
  for first = 0, hash.cells - 1, 2000 do
    local from = hash.first_cell + 2 * first
    local to = hash.first_cell + 2 * math.min(first + 2000, hash.cells) - 1
    plan[#plan + 1] = {'HSET', hash.key, unpack(ARGV, from, to)}
  end
end

local function plan_tenant(tenant)
  plan_hash(tenant)
  read('ZCARD', tenant.users_key)
  local last = tenant.first_user + 2 * tenant.users - 1
  for i = tenant.first_user, last, 2 do
    if #ARGV[i] > 19 or not ARGV[i]:find('^%d+$') then error('bad call: a cost is no score') end
  end
  if tenant.users > 0 then plan[#plan + 1] = {'ZADD', tenant.users_key, unpack(ARGV, tenant.first_user, last)} end
  read('SCARD', tenant.months_key)
  plan[#plan + 1] = {'SADD', tenant.months_key, tenant.month}
end

-- Saved outputs --------------------------------------------------------------------------------------
-- An output is saved (in the set of its user and kind, by creation time), deleted (a tombstone), or both
-- unknown. A tombstone that came before its creation is marked, so that the creation is counted once as
-- created when it comes. The earliest creation time counts. So the order of the events does not matter.

-- The month of a time in UTC, 'YYYY-MM' (days to civil date, Gregorian calendar).
local function month_of(ms)
  local z = math.floor(ms / DAY_MS) + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return format('%04d-%02d', year, month)
end

-- What the sets will hold once the plan is done: [key .. member] = {key, member, was, now}.
local scores, score_order = {}, {}

local function score(name, member)
  local id = name .. '\0' .. member
  local entry = scores[id]
  if not entry then
    local was = read('ZSCORE', name, member) or nil
    if was and not is_integer(was) then stop('corrupt', name, member .. ' has no time for a score') end
    entry = {key = name, member = member, was = tonumber(was), now = tonumber(was)}
    scores[id] = entry
    score_order[#score_order + 1] = entry
  end
  return entry
end

-- What is added to the counts of tenants: [key .. field] = {key, field, amount}.
local moves, move_order = {}, {}

local function move_count(name, field, amount)
  local id = name .. '\0' .. field
  if not moves[id] then
    moves[id] = {key = name, field = field, amount = 0}
    move_order[#move_order + 1] = moves[id]
  end
  moves[id].amount = moves[id].amount + amount
end

-- Whether the tenant has room for the kind. Its first output decides, for good, so that a deletion finds what the
-- creation did: kinds are never forgotten.
local rooms, kinds = {}, {}

local function has_room(change, most)
  local id = change.counts .. '\0' .. change.kind
  if rooms[id] == nil then
    local known = read('HMGET', change.counts, change.kind .. ':created', change.kind .. ':deleted')
    rooms[id] = known[1] or known[2] or change.kind == OTHER
    if not rooms[id] then
      local size = kinds[change.counts]
        or stored_number(change.counts, 'kinds', read('HGET', change.counts, 'kinds'))
      rooms[id] = size < most
      if rooms[id] then
        kinds[change.counts] = size + 1
        move_count(change.counts, 'kinds', 1)
      end
    end
  end
  return rooms[id]
end

local function created(change)
  local saved = score(change.saved, change.id)
  if score(change.tombstones, 'deleted:' .. change.member).now then
    local early = score(change.tombstones, 'early:' .. change.member)
    if early.now then
      early.now = nil
      move_count(change.counts, change.kind .. ':created', 1)
    end
  elseif not saved.now then
    saved.now = change.time
    move_count(change.counts, change.kind .. ':created', 1)
    move_count(change.counts, change.kind .. ':' .. month_of(change.time), 1)
  elseif change.time < saved.now then
    move_count(change.counts, change.kind .. ':' .. month_of(saved.now), -1)
    move_count(change.counts, change.kind .. ':' .. month_of(change.time), 1)
    saved.now = change.time
  end
end

local function deleted(change)
  local saved = score(change.saved, change.id)
  local tombstone = score(change.tombstones, 'deleted:' .. change.member)
  if tombstone.now then
    tombstone.now = math.max(tombstone.now, change.log)
    return
  end
  tombstone.now = change.log
  move_count(change.counts, change.kind .. ':deleted', 1)
  if saved.now then
    move_count(change.counts, change.kind .. ':' .. month_of(saved.now), -1)
    saved.now = nil
  else
    score(change.tombstones, 'early:' .. change.member).now = change.log
  end
end

local function plan_outputs(changes, most_kinds)
  local others = 0
  for _, change in ipairs(changes) do
    if not has_room(change, most_kinds) then
      change.saved, change.id, change.kind = change.other_saved, change.kind .. ':' .. change.id, OTHER
      others = others + 1
    end
    if change.verb == 'created' then
      created(change)
    elseif change.verb == 'deleted' then
      deleted(change)
    else
      error('bad call: unknown verb')
    end
  end
  for _, entry in ipairs(score_order) do
    if entry.now and entry.now ~= entry.was then
      plan[#plan + 1] = {'ZADD', entry.key, format('%.0f', entry.now), entry.member}
    elseif entry.was and not entry.now then
      plan[#plan + 1] = {'ZREM', entry.key, entry.member}
    end
  end
  for _, move in ipairs(move_order) do
    -- Its type is checked even if it stays as it is.
    stored_number(move.key, move.field, read('HGET', move.key, move.field))
    if move.amount ~= 0 then plan[#plan + 1] = {'HINCRBY', move.key, move.field, format('%.0f', move.amount)} end
  end
  return others
end

-- Log time and what it expires -----------------------------------------------------------------------

-- The log time that every partition has passed; nil while one of them was never counted, for its records may be
-- older than all the others.
local function bucket_log_time(call, own_time)
  local fields = read('HGETALL', call.state)
  local least, known = own_time, 1
  for i = 1, #fields, 2 do
    if fields[i]:sub(1, 4) == 'log:' and fields[i] ~= call.log then
      if not is_integer(fields[i + 1]) then stop('corrupt', call.state, fields[i] .. ' is not a time') end
      least, known = math.min(least, tonumber(fields[i + 1])), known + 1
    end
  end
  return known >= call.partitions and least or nil
end

local function is_expired(tier, log_time, window)
  local generation = tier:match('^(-?%d+):%d$')
  return generation and log_time >= (tonumber(generation) + 1) * DAY_MS + window
end

-- Drops a part of a tier that no window reaches any more, and forgets the tier with its last part.
local function plan_expiry(call, log_time, tiers)
  local before = format('(%.0f', log_time - call.keep_tombstones)
  local old = read('ZRANGEBYSCORE', call.tombstones, '-inf', before, 'LIMIT', 0, 1000)
  if #old > 0 then plan[#plan + 1] = {'ZREM', call.tombstones, unpack(old)} end
  local left, oldest = {}, ''
  local drops = is_expired(call.expire, log_time, call.window)
  for tier in tiers:gmatch('%S+') do
    if not (drops and call.expires_all and tier == call.expire) then
      left[#left + 1] = tier
      if oldest == '' and is_expired(tier, log_time, call.window) then oldest = tier end
    end
  end
  if drops then
    if call.expires_all then plan[#plan + 1] = {'HDEL', call.state, 'seen:' .. call.expire} end
    for first = 1, #call.expire_keys, 1000 do
      plan[#plan + 1] = {'UNLINK', unpack(call.expire_keys, first, math.min(first + 999, #call.expire_keys))}
    end
  end
  return table.concat(left, ' '), oldest
end

-- The call -------------------------------------------------------------------------------------------

local function main()
  local call = read_call()
  local state = read('HMGET', call.state, call.watermark, 'stamp', 'tiers', 'applied', call.log, call.unrated)
  if (state[1] or '') ~= call.expected then return {'moved', state[1] or ''} end
  if call.events > 0 and (state[2] or '') ~= call.stamp then return {'stale'} end
  local repeats = repeats_of(call)
  if repeats then return repeats end
  if call.only_looks then return {'overflow'} end

  call.sizes = {}
  local known_tiers = state[3] or ''
  local tiers = plan_seen(call, known_tiers)
  plan_months(call)
  -- Quotas, price mismatches, and notices that are to be sent.
  for _, hash in ipairs(call.hashes) do plan_hash(hash) end
  for _, tenant in ipairs(call.tenants) do plan_tenant(tenant) end
  local others = plan_outputs(call.changes, call.most_kinds)

  local log_time = call.log_time
  if state[5] then log_time = math.max(log_time, stored_number(call.state, call.log, state[5])) end
  local applied = stored_number(call.state, 'applied', state[4]) + call.events
  local moved = {'HSET', call.state, call.watermark, call.target, call.log, format('%.0f', log_time),
    'applied', format('%.0f', applied)}
  plan[#plan + 1] = moved
  local function also(field, value) moved[#moved + 1], moved[#moved + 2] = field, value end
  for field, size in pairs(call.sizes) do also(field, format('%.0f', size)) end

  local expired = ''
  if call.events > 0 then
    also('stamp', call.next_stamp)
  else
    -- Housekeeping rides on calls without events: every bucket gets one every few seconds.
    also('partitions', format('%d', call.partitions))
    local passed = bucket_log_time(call, log_time)
    if passed then tiers, expired = plan_expiry(call, passed, tiers) end
  end
  if tiers ~= known_tiers then also('tiers', tiers) end
  if call.unrated_from ~= '' then
    also(call.unrated, call.unrated_from)
  elseif state[6] then
    plan[#plan + 1] = {'HDEL', call.state, call.unrated}
  end
  for _, command in ipairs(plan) do
    local answer = redis.pcall(unpack(command))
    -- Only the first can meet this: a server that is full or a replica refuses every one.
    if type(answer) == 'table' and answer.err then return answer end
  end
  return {'applied', expired, format('%d', others)}
end

local done, reply = pcall(main)
if done then return reply end
if fault then return fault end
-- An error of the server's goes out under its own code.
if type(reply) == 'table' then return reply end
error(reply)
