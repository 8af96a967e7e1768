-- Adds one flush to one bucket and moves the watermark of one partition, or changes nothing.
--
-- Lua in Redis has no roll-back, so the script only plans at first: it reads its arguments, compares the
-- watermark, looks the ids up and checks every value that a command of the plan will touch. What is planned
-- cannot fail for its type, range or number of arguments. Only then is the plan carried out.
--
-- Answers, of which all but the first left everything as it was:
--   {'applied', oldest generation that is no longer needed or ''}
--   {'repeated', index, 1 if the content differs else 0, …}
--   {'moved', stored watermark or ''}
--   {'overflow', key}
--   {'corrupt', key, what is wrong}
--
-- This is the second part; call.lua, the first, reads KEYS and ARGV.

local DAY_MS = 86400000
local MAX_GROUPS = 2147483647
-- Redis's Lua gives an error for calls with many more arguments than this.
local MOST_ARGUMENTS = 4000

-- Planning -------------------------------------------------------------------------------------------

local plan = {}
local fault

local function stop(kind, name, detail)
  fault = {kind, name, detail}
  error('stopped')
end

local function read(name, command, ...)
  local reply = redis.pcall(command, name, ...)
  if type(reply) == 'table' and reply.err then
    -- Any other error is the server's and no fault of the key.
    if not reply.err:find('^WRONGTYPE') then error(reply) end
    stop('corrupt', name, reply.err)
  end
  return reply
end

-- What a field will hold once the plan is done: several additions to it are checked together. Above 2^53 a
-- double is only near it.
local sums = {}

-- One HSET for many sums costs a fraction of as many HINCRBY; only HINCRBY is exact above 2^53.
local function plan_add(name, field, current, amount, exact)
  if current and not is_integer(current) then stop('corrupt', name, field .. ' is not an integer') end
  local of_key = sums[name]
  local before, more = of_key[field] or tonumber(current or '0'), tonumber(amount)
  local sum = before + more
  if abs(sum) > SUM_LIMIT then stop('overflow', name) end
  of_key[field] = sum
  if abs(before) < EXACT and abs(more) < EXACT and abs(sum) < EXACT then
    local last = #exact
    exact[last + 1], exact[last + 2] = field, format('%.0f', sum)
  else
    if not is_integer(amount) then error('bad call: not a 64-bit integer') end
    plan[#plan + 1] = {'HINCRBY', name, field, amount}
  end
end

-- fields: {field, amount, field, amount, …}
local function plan_adds(name, fields)
  -- Without fields nothing is read, but a wrong type must not go unnoticed.
  if #fields == 0 then read(name, 'HLEN') end
  sums[name] = sums[name] or {}
  for first = 1, #fields, MOST_ARGUMENTS do
    local names, exact = {}, {'HSET', name}
    local last = math.min(first + MOST_ARGUMENTS, #fields + 1) - 1
    for i = first, last, 2 do names[#names + 1] = fields[i] end
    local current = read(name, 'HMGET', unpack(names))
    for i = 1, #names do plan_add(name, names[i], current[i], fields[first + 2 * i - 1], exact) end
    if #exact > 2 then plan[#plan + 1] = exact end
  end
end

-- Seen ids -------------------------------------------------------------------------------------------

local function look_up(shard, live, repeats)
  local found = {}
  for _, lookup in ipairs(shard.lookups) do
    local own = lookup.generation == shard.generation
    if own then shard.key = lookup.key end
    -- A generation that holds no id has no keys; its own is read all the same, for its type.
    if own or live(lookup.generation) then
      local known = read(lookup.key, 'SMISMEMBER', unpack(shard.id))
      for i = 1, #known do
        if known[i] == 1 and not found[i] then
          found[i] = true
          local same = read(lookup.key, 'SISMEMBER', shard.content[i])
          repeats[#repeats + 1] = shard.index[i]
          repeats[#repeats + 1] = same == 1 and '0' or '1'
        end
      end
    end
  end
  if not shard.key then error('bad call: shard without its own generation') end
end

local function plan_shard(shard, sizes)
  local members = {}
  for i = 1, #shard.id do
    members[#members + 1] = shard.id[i]
    members[#members + 1] = shard.content[i]
  end
  plan[#plan + 1] = {'SADD', shard.key, unpack(members)}
  sizes[shard.generation] = (sizes[shard.generation] or 0) + #shard.id
end

-- Months of a user or tenant -------------------------------------------------------------------------

-- A group's counters stand under a number that the month gives it: short fields, and a name said once.
local function number_groups(month)
  local names = {'groups'}
  for _, group in ipairs(month.groups) do names[#names + 1] = group.name end
  local numbers = read(month.key, 'HMGET', unpack(names))
  local size = numbers[1] or '0'
  if not is_integer(size) or tonumber(size) < 0 or tonumber(size) >= MAX_GROUPS then
    stop('corrupt', month.key, 'groups is not a count')
  end
  local last, given = tonumber(size), {}
  for i, group in ipairs(month.groups) do
    group.number = numbers[i + 1] or given[group.name]
    if group.number and not is_integer(group.number) then
      stop('corrupt', month.key, group.name .. ' is not a number')
    elseif not group.number then
      last = last + 1
      group.number = format('%d', last)
      given[group.name] = group.number
      plan[#plan + 1] = {'HSET', month.key, group.name, group.number, 'groups', group.number}
    end
  end
end

local function plan_sums(month)
  local fields = month.tools
  for _, group in ipairs(month.groups) do
    for i = 1, #group.fields, 2 do
      fields[#fields + 1] = group.number .. ':' .. group.fields[i]
      fields[#fields + 1] = group.fields[i + 1]
    end
  end
  plan_adds(month.key, fields)
  plan_adds(month.days_key, month.days)
  if #month.days > 0 then plan[#plan + 1] = {'EXPIREAT', month.days_key, format('%.0f', month.days_expire)} end
end

local function plan_month(month)
  number_groups(month)
  plan_sums(month)
  if month.kind == 'user' then
    read(month.users_key, 'ZCARD')
    plan[#plan + 1] = {'ZINCRBY', month.users_key, month.cost, month.user}
  else
    read(month.months_key, 'SCARD')
    plan[#plan + 1] = {'SADD', month.months_key, month.month}
  end
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
    local was = read(name, 'ZSCORE', member) or nil
    if was and not is_integer(was) then stop('corrupt', name, member .. ' has no time for a score') end
    entry = {key = name, member = member, was = tonumber(was), now = tonumber(was)}
    scores[id] = entry
    score_order[#score_order + 1] = entry
  end
  return entry
end

local count_moves, count_order = {}, {}

local function move_count(name, field, amount)
  local id = name .. '\0' .. field
  if not count_moves[id] then
    count_moves[id] = {key = name, field = field, amount = 0}
    count_order[#count_order + 1] = count_moves[id]
  end
  count_moves[id].amount = count_moves[id].amount + amount
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

local function plan_outputs(changes)
  for _, change in ipairs(changes) do
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
  for _, move in ipairs(count_order) do
    -- Its type is checked even if it stays as it is.
    plan_adds(move.key, move.amount == 0 and {} or {move.field, format('%.0f', move.amount)})
  end
end

-- Log time and what it expires -----------------------------------------------------------------------

-- The log time that every partition has passed; nil while one of them was never counted, for its records may be
-- older than all the others.
local function bucket_log_time(state, call, own_time)
  local fields = read(state, 'HGETALL')
  local least, known = own_time, 1
  for i = 1, #fields, 2 do
    if fields[i]:sub(1, 4) == 'log:' and fields[i] ~= call.log then
      if not is_integer(fields[i + 1]) then stop('corrupt', state, fields[i] .. ' is not a time') end
      least, known = math.min(least, tonumber(fields[i + 1])), known + 1
    end
  end
  return known >= call.partitions and least or nil, fields
end

local function is_expired(generation, log_time, window)
  return is_integer(generation) and log_time >= (tonumber(generation) + 1) * DAY_MS + window
end

-- The oldest generation that no window reaches any more, beside the one that this call drops.
local function oldest_expired(fields, log_time, call)
  local oldest = ''
  for i = 1, #fields, 2 do
    local generation = fields[i]:match('^generation:(.*)$')
    if generation ~= call.expire and is_expired(generation, log_time, call.window) then
      if oldest == '' or tonumber(generation) < tonumber(oldest) then oldest = generation end
    end
  end
  return oldest
end

-- The call -------------------------------------------------------------------------------------------

local function plan_seen(call)
  local repeats, live_cache = {'repeated'}, {}
  local function live(generation)
    if live_cache[generation] == nil then
      live_cache[generation] = read(call.state, 'HEXISTS', 'generation:' .. generation) == 1
    end
    return live_cache[generation]
  end
  for _, shard in ipairs(call.shards) do look_up(shard, live, repeats) end
  if #repeats > 1 then return repeats end
  local sizes = {}
  for _, shard in ipairs(call.shards) do plan_shard(shard, sizes) end
  for generation, size in pairs(sizes) do
    plan_adds(call.state, {'generation:' .. generation, format('%d', size)})
  end
end

-- Housekeeping rides on calls without events: every bucket gets one every few seconds.
local function plan_expiry(call, log_time)
  local before = format('(%.0f', log_time - call.keep_tombstones)
  local old = read(call.tombstones, 'ZRANGEBYSCORE', '-inf', before, 'LIMIT', 0, 1000)
  if #old > 0 then plan[#plan + 1] = {'ZREM', call.tombstones, unpack(old)} end
  if is_expired(call.expire, log_time, call.window) then
    plan[#plan + 1] = {'HDEL', call.state, 'generation:' .. call.expire}
    for first = 1, #call.expire_keys, 1000 do
      plan[#plan + 1] = {'UNLINK', unpack(call.expire_keys, first, math.min(first + 999, #call.expire_keys))}
    end
  end
end

local function main()
  local call = read_call()
  local stored = read(call.state, 'HGET', call.watermark) or ''
  if stored ~= call.expected then return {'moved', stored} end

  local repeats = plan_seen(call)
  if repeats then return repeats end

  for _, month in ipairs(call.months) do plan_month(month) end
  plan_outputs(call.changes)

  local known_log = read(call.state, 'HGET', call.log)
  if known_log and not is_integer(known_log) then stop('corrupt', call.state, call.log .. ' is not a time') end
  local own_log = math.max(call.log_time, tonumber(known_log or '-9007199254740992'))
  plan_adds(call.state, {'applied', call.applied})
  plan[#plan + 1] = {'HSET', call.state, call.watermark, call.target, call.log, format('%.0f', own_log)}

  local expired = ''
  if #call.shards == 0 then
    plan[#plan + 1] = {'HSET', call.state, 'partitions', format('%d', call.partitions)}
    local log_time, fields = bucket_log_time(call.state, call, own_log)
    if log_time then
      plan_expiry(call, log_time)
      expired = oldest_expired(fields, log_time, call)
    end
  end
  for _, command in ipairs(plan) do
    local answer = redis.pcall(unpack(command))
    -- Only the first can meet this: a server that is full or a replica refuses every one.
    if type(answer) == 'table' and answer.err then return answer end
  end
  return {'applied', expired}
end

local done, reply = pcall(main)
if done then return reply end
if fault then return fault end
-- An error of the server's goes out under its own code.
if type(reply) == 'table' then return reply end
error(reply)
