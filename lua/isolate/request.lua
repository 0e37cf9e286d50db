--- Requests: calls of something that lives in another isolate. The answer comes
-- to a port of its own; if the other isolate ends first, the call fails then.
--
-- The arguments travel in a parcel, which the one who answers unpacks: so if
-- they cannot be built over there, that is the answer.

local core = require "isolate.core"
local errors = require "isolate.errors"
local future = require "isolate.future"
local loop = require "isolate.loop"
local private_port = require "isolate.private_port"

local request = {}

local _, _, _, here = core.self()

------------------------------------------------------------------------------
-- The caller's side

-- Isolates that calls wait for: control port -> {call's port -> function that
-- fails the call}. One exit listener each.
local waiting = {}

local function wait_for(control)
  local calls = waiting[control]
  if calls then return calls end
  calls = {}
  local notice = private_port.new(function(self)
    self:close()
    waiting[control] = nil
    for _, fail in pairs(calls) do fail() end
  end)
  notice:unref()
  core.on_exit(control, notice.send_port)
  if core.ended(control) then
    notice:close()
    return nil
  end
  waiting[control] = calls
  return calls
end

--- Packs values. `kind` says how an error calls them that cannot be sent; `level`
-- is counted from the caller, as that of `error`.
function request.pack(level, kind, ...)
  local ok, parcel = pcall(core.pack, kind, ...)
  if ok then return parcel end
  core.check()
  errors.rethrow(parcel, level + 2)
end

--- Sends `message`, a new table with a `parcel`, to whoever answers at `target`.
-- Returns a Future of the answer, which fails with a RemoteError that says `lost`
-- when there can be none.
---@return isolate.Future
function request.call(target, message, lost)
  local result = future.new()
  local function fail() future.fail(result, errors.RemoteError(lost, "")) end
  local calls = wait_for(core.owner(target))
  if not calls then
    fail()
    return result
  end
  local reply
  local function drop()
    reply:close()
    calls[reply] = nil
  end
  local function lose()
    drop()
    fail()
  end
  local function ask()
    calls[reply] = lose
    message.reply = reply.send_port
    target:send(message)
  end
  result.on_cancel = drop
  reply = private_port.new(function(_, ok, done, ...)
    drop()
    if not ok then
      future.fail(result, errors.unbuilt_answer(done))
    elseif done then
      future.complete(result, ...)
    else
      future.fail(result, errors.RemoteError(...))
    end
  end)
  local ok, why = pcall(ask)
  if ok then return result end
  drop()
  error(why, 0)
end

------------------------------------------------------------------------------
-- The side that answers

--- The answer is an error.
function request.refuse(reply, value, traceback)
  local message, trace = errors.describe(value, traceback)
  if not pcall(core.post, reply, false, message, trace, here, value) then
    core.check()
    core.post(reply, false, message, trace, here)
  end
end

--- Answers with what `handle(...)` makes of what was packed. To be called in a
-- task: `handle` may wait.
function request.answer(message, handle)
  local traceback
  local ok, why = xpcall(function()
    core.post(message.reply, true, handle(core.unpack(message.parcel)))
  end, function(problem)
    traceback = debug.traceback(nil, 2)
    return problem
  end)
  if ok then return end
  core.check()
  request.refuse(message.reply, why, traceback)
end

--- A port where each request is answered by `handle(...)` in a task of its own.
function request.serve(handle)
  return private_port.new(function(_, ok, message)
    if not ok then return loop.uncaught(message) end
    loop.start(loop.uncaught, request.answer, message, handle)
  end)
end

return request
