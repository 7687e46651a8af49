import { createHash } from 'node:crypto'
import type { Argument, Reply } from './connections.js'

/** A script that runs in Redis, in one step. All keys of a call have the same hash tag. */
export class Script {
  readonly text: string
  readonly sha1: string

  constructor (text: string) {
    this.text = text
    this.sha1 = createHash('sha1').update(text).digest('hex')
  }
}

export type Send = (key: string | null, args: Argument[]) => Promise<Reply>

/** Runs a script, which Redis keeps from then on until it restarts or somebody flushes the scripts. */
export async function run (send: Send, script: Script, keys: string[], args: Argument[]): Promise<Reply> {
  const rest = [String(keys.length), ...keys, ...args]
  try {
    return await send(keys[0]!, ['EVALSHA', script.sha1, ...rest])
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error
    return await send(keys[0]!, ['EVAL', script.text, ...rest])
  }
}

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`

/**
 * Stores a message once and announces it. XADD is the first write: if Redis refuses it, for lack of memory, nothing has been
 * written. Behind another write, even a DEL of nothing, Redis would not refuse it. What is too old is removed in small parts: as much as comes in, at least.
 */
export const PUBLISH = new Script(`-- KEYS: stream, meta, id
-- ARGV: id, data, channel, PUBLISH or SPUBLISH, messages, milliseconds of the history, of the id, of meta, epoch if there is none
local at = redis.call('GET', KEYS[3])
if at then
  local dot = string.find(at, '.', 1, true)
  return { string.sub(at, 1, dot - 1), tonumber(string.sub(at, dot + 1)) }
end
local meta = redis.call('HMGET', KEYS[2], 'e', 'o', 't')
${NOW}
local epoch, offset, oldest = meta[1], tonumber(meta[2]), tonumber(meta[3] or now)
if not epoch then
  epoch, offset, oldest = ARGV[9], 0, now
  if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('DEL', KEYS[1]) end
end
offset = offset + 1
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[5], offset .. '-0', 'i', ARGV[1], 't', now, 'd', ARGV[2])
local limit = now - tonumber(ARGV[6])
if oldest < limit then
  oldest = now
  local from
  for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 8)) do
    oldest = tonumber(entry[2][4])
    if oldest >= limit then break end
    from = tonumber(string.match(entry[1], '%d+')) + 1
  end
  if from then redis.call('XTRIM', KEYS[1], 'MINID', from .. '-0') end
end
redis.call('HSET', KEYS[2], 'e', epoch, 'o', offset, 'i', ARGV[1], 't', oldest)
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('PEXPIRE', KEYS[2], ARGV[8])
redis.call('SET', KEYS[3], epoch .. '.' .. offset, 'PX', ARGV[7])
redis.call(ARGV[4], ARGV[3], '1\\n' .. epoch .. '\\n' .. offset .. '\\n' .. ARGV[1] .. '\\n' .. ARGV[2])
return { epoch, offset }
`)

/** Writes nothing. The anchor is the message at the position: it is there, with the same id, if nothing after it is missing. */
export const READ = new Script(`-- KEYS: stream, meta
-- ARGV: limit, and to read behind a position its epoch, offset and id
local meta = redis.call('HMGET', KEYS[2], 'e', 'o', 'i')
if not meta[1] then return false end
local top, limit = tonumber(meta[2]), tonumber(ARGV[1])
local isComplete, entries = 1, {}
if not ARGV[2] then
  if limit > 0 then entries = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', limit) end
else
  local since = tonumber(ARGV[3])
  if ARGV[2] ~= meta[1] then
    isComplete, since = 0, 0
  elseif since == 0 then
    local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
    if top > 0 and not (first and first[1] == '1-0') then isComplete = 0 end
  else
    local at = ARGV[3] .. '-0'
    local anchor = redis.call('XRANGE', KEYS[1], at, at)[1]
    local id = anchor and anchor[2][2] or since == top and meta[3]
    if id ~= ARGV[4] then isComplete = 0 end
  end
  if limit > 0 then entries = redis.call('XRANGE', KEYS[1], string.format('%.0f-0', since + 1), '+', 'COUNT', limit) end
end
return { meta[1], top, meta[3], isComplete, entries }
`)

/** Begins an epoch, so that a position before the first message means something. */
export const BEGIN = new Script(`-- KEYS: stream, meta
-- ARGV: epoch, milliseconds
if redis.call('HSETNX', KEYS[2], 'e', ARGV[1]) == 1 then
  redis.call('HSET', KEYS[2], 'o', 0, 'i', '')
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
  redis.call('DEL', KEYS[1])
end
return 1
`)

/** Lets keys that are in use live for at least as long again. */
export const KEEP = new Script(`-- KEYS: any
-- ARGV: milliseconds
for _, key in ipairs(KEYS) do
  local left = redis.call('PTTL', key)
  if left >= 0 and left < tonumber(ARGV[1]) then redis.call('PEXPIRE', key, ARGV[1]) end
end
return 1
`)

// --- presence: a lease belongs to an owner, which is a process and eight characters. When it has ended, the owner never comes
// back: the process goes on as another one. So whoever removes the members of an owner races with nobody.

/** Renews the lease of an owner, or begins that of the next. Returns whether it was renewed. */
export const RENEW = new Script(`-- KEYS: leases
-- ARGV: milliseconds, milliseconds of the key, owner, next owner
${NOW}
local score = redis.call('ZSCORE', KEYS[1], ARGV[3])
local isThere = score and tonumber(score) > now
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), isThere and ARGV[3] or ARGV[4])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return isThere and 1 or 0
`)

/** Returns the owners whose leases run, and those whose leases have ended. */
export const OWNERS = new Script(`-- KEYS: leases
${NOW}
return { redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf'), redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now) }
`)

/** Ends the lease of an owner for good, whatever clock a later server has. */
export const END_LEASE = new Script(`-- KEYS: leases
-- ARGV: owner, 1 to end one that still runs
${NOW}
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or (tonumber(score) > now and ARGV[2] ~= '1') then return 0 end
redis.call('ZADD', KEYS[1], 0, ARGV[1])
return 1
`)

const PARSE_OWNER = `
local function ownerOf (value)
  local colon = string.find(value, ':', 1, true)
  return string.sub(value, colon + 1, colon + tonumber(string.sub(value, 1, colon - 1)))
end
local function remove (members, counts, id, owner)
  redis.call('HDEL', members, id)
  if redis.call('HINCRBY', counts, owner, -1) <= 0 then redis.call('HDEL', counts, owner) end
end
`

/** Adds members of one partition. Returns for each the owner that it had: '' if it was not there. */
export const ENTER = new Script(`-- KEYS: owned, and for each member: members, counts
-- ARGV: owner, milliseconds, and for each member: id, value, what it is in owned
${PARSE_OWNER}
local before = {}
for i = 2, #KEYS, 2 do
  local id, value, entry = ARGV[i * 3 / 2], ARGV[i * 3 / 2 + 1], ARGV[i * 3 / 2 + 2]
  local known = redis.call('HGET', KEYS[i], id)
  local owner = known and ownerOf(known) or ''
  redis.call('HSET', KEYS[i], id, value)
  if owner ~= ARGV[1] then
    if known and redis.call('HINCRBY', KEYS[i + 1], owner, -1) <= 0 then redis.call('HDEL', KEYS[i + 1], owner) end
    redis.call('HINCRBY', KEYS[i + 1], ARGV[1], 1)
    redis.call('SADD', KEYS[1], entry)
  end
  redis.call('PEXPIRE', KEYS[i], ARGV[2])
  redis.call('PEXPIRE', KEYS[i + 1], ARGV[2])
  before[#before + 1] = owner
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return before
`)

/** Removes members of one partition that still belong to a process. Returns for each 1 or 0. */
export const LEAVE = new Script(`-- KEYS: owned, and for each member: members, counts
-- ARGV: process, and for each member: id, what it is in owned
${PARSE_OWNER}
local removed = {}
for i = 2, #KEYS, 2 do
  local known = redis.call('HGET', KEYS[i], ARGV[i])
  local owner = known and ownerOf(known)
  local isOurs = owner and string.sub(owner, 1, -10) == ARGV[1]
  if isOurs then
    remove(KEYS[i], KEYS[i + 1], ARGV[i], owner)
    redis.call('SREM', KEYS[1], ARGV[i + 1])
  end
  removed[#removed + 1] = isOurs and 1 or 0
end
return removed
`)

/** Removes members of one partition that still belong to an owner. Returns for each 1 or 0. */
export const SWEEP = new Script(`-- KEYS: owned, and for each member: members, counts
-- ARGV: owner, and for each member: id, what it is in owned
${PARSE_OWNER}
local removed = {}
for i = 2, #KEYS, 2 do
  local known = redis.call('HGET', KEYS[i], ARGV[i])
  local isTheirs = known and ownerOf(known) == ARGV[1]
  if isTheirs then remove(KEYS[i], KEYS[i + 1], ARGV[i], ARGV[1]) end
  redis.call('SREM', KEYS[1], ARGV[i + 1])
  removed[#removed + 1] = isTheirs and 1 or 0
end
return removed
`)
