--- The remote side of a pool: an isolate that takes jobs from the pool's queue,
-- one after the other, and what a job can do.

local debug, pcall, xpcall = debug, pcall, xpcall
local core = require "isolate.core"
local channel = require "isolate.channel"
local errors = require "isolate.errors"
local future = require "isolate.future"
local loop = require "isolate.loop"

local now = core.now
local _, _, _, here = core.self()

local worker = {}

local config                    -- what the pool said
local job                       -- the id of the running one
local told = 0                  -- when its progress was told last
local held                      -- is there one that was not told? It is here:
local held_done, held_total, held_text
local traceback                 -- of the error that is being handled

local TELL_EVERY = 0.02         -- seconds
local MAX_FUNCTIONS = 256       -- that are kept

------------------------------------------------------------------------------
-- For jobs

--- Does somebody want the running job to end by itself? False outside of a job.
---@return boolean
function worker.cancelled()
  return job ~= nil and core.seat_wanted(config.seat)
end

local function tell_held()
  held = false
  core.answer(config.notice, job, "progress", held_done, held_total, held_text)
end

--- Tells who waits for the running job how far it is; does nothing outside of
-- one. Calls in quick succession are left out, but never the last one.
---@param done number
---@param total number?
---@param text string?
function worker.progress(done, total, text)
  errors.check_number(done, 1, "progress", true)
  errors.check_number(total, 2, "progress")
  errors.check_string(text, 3, "progress", true)
  if not job then return end
  held, held_done, held_total, held_text = true, done, total, text
  local time = now()
  if done ~= total and time - told < TELL_EVERY then return end
  told = time
  tell_held()
end

------------------------------------------------------------------------------
-- One job

local function with_traceback(problem)
  traceback = debug.traceback(nil, 2)
  return problem
end

-- What an error was, for the answer. After one of memory the heap is full of what
-- the job left, and the worker is to go.
local function describe(value)
  config.full = config.full or value == "not enough memory"
  local message, trace = errors.describe(value, traceback)
  traceback = nil
  return message, trace
end

-- An error is the answer; `i` is the number of the item in a chunk.
local function refuse(id, value, i)
  if held then tell_held() end
  local message, trace = describe(value)
  if not pcall(core.answer, config.notice, id, false, message, trace, here, value, i) then
    core.check()
    core.answer(config.notice, id, false, message, trace, here, nil, i)
  end
end

-- Results are the answer, after the seconds it took. False and why, if they cannot
-- be sent.
local function reply(id, start, ...)
  if held then tell_held() end
  local sent, why = pcall(core.answer, config.notice, id, now() - start, ...)
  core.check()
  return sent, why
end

local function finish(id, start, ok, ...)
  core.check()
  if not ok then return refuse(id, (...)) end
  local sent, why = reply(id, start, ...)
  if not sent then refuse(id, why) end
end

local function resolve(...)
  local value = ...
  if future.is_future(value) then return value:await() end
  return ...
end

local function call(fn, ...) return resolve(fn(...)) end

-- Calls `fn` for each item; the answer are the first results, and the failures if
-- they are collected. Else the first one is the answer.
local function run_chunk(id, start, fn, items, collect)
  local results, failures = { n = items.n }, nil

  -- Item `i` has failed. True if that is to be collected.
  local function failed(i, value)
    if not collect then
      refuse(id, value, i)
      return false
    end
    local message, trace = describe(value)
    local sendable = pcall(core.sendable, value)
    failures = failures or {}
    failures[#failures + 1] = { i = i, message = message, traceback = trace, isolate = here,
      value = sendable and value or nil }
    return true
  end

  for i = 1, items.n do
    if core.seat_wanted(config.seat) then break end
    local ok, value = xpcall(call, with_traceback, fn, items[i])
    core.check()
    if ok then
      results[i] = value
    elseif not failed(i, value) then
      return
    end
  end
  if reply(id, start, results, failures) then return end
  -- a result cannot be sent: that is a failure of its item
  for i = 1, items.n do
    local ok, why = pcall(core.pack, "result", true, results[i])
    core.check()
    if not ok then
      results[i] = nil
      if not failed(i, why) then return end
    end
  end
  finish(id, start, true, results, failures)
end

-- Functions that came in parcels are built once.
local functions, known = {}, 0

local function function_of(value)
  if type(value) ~= "userdata" then return value end
  local id = core.parcel_id(value)
  local fn = functions[id]
  if not fn then
    local _
    _, fn = core.unpack(value)
    if known == MAX_FUNCTIONS then functions, known = {}, 0 end
    functions[id], known = fn, known + 1
  end
  return fn
end

-- Does what `core.channel_take` returned: "done" if it was a job; else "closed" if
-- there will be none, or "empty" if there is none now.
local function work(id, ok, kind, fn, ...)
  if id == nil then return ok and "closed" or "empty" end
  job, told = id, 0
  if not ok then
    refuse(id, "the job could not be received: " .. errors.message(kind))
  else
    local built
    built, fn = xpcall(function_of, with_traceback, fn)
    core.check()
    if not built then
      refuse(id, fn)
    elseif kind == "chunk" then
      run_chunk(id, now(), fn, ...)
    else
      finish(id, now(), xpcall(call, with_traceback, fn, ...))
    end
  end
  job = nil
  return "done"
end

------------------------------------------------------------------------------
-- Life

-- Waits until the queue has something.
local function wait()
  local waiter <close> = channel.waiter()
  local registered <close> = channel.register(config.queue, waiter)
  if registered then loop.wait(waiter) end
end

--- The function of a worker's isolate: takes jobs until the queue is closed and
-- empty, or it has done its share.
function worker.live(how)
  config = how
  if config.init then call(function_of(config.init)) end
  config.notice:send "ready"
  local seat, queue, left = config.seat, config.queue, config.recycle_after
  while not config.full and left ~= 0 do
    local what = work(core.channel_take(queue, seat))
    if what == "closed" then break end
    if what == "empty" then
      wait()
    else
      if left then left = left - 1 end
      if not core.seat_leave(seat) then break end  -- its isolate is to be killed
      if core.pending() or loop.timers.n > 0 then require "isolate.clock".sleep(0) end
      future.tell_lost()  -- in a later job it would be that one's end
    end
  end
  core.exit()
end

return worker
