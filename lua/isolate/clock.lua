--- What the loop does at a time: timers are fired, calls made later.

local core = require "isolate.core"
local errors = require "isolate.errors"
local loop = require "isolate.loop"
local Timers = require "isolate.timer"

local now = core.now

local timers = setmetatable(loop.timers, Timers)

local clock = { timers = timers }

-- Fires the timers that are due; true if there were any.
function loop.fire()
  local time = now()
  if timers.n == 0 or time < timers[1].deadline then return false end
  local made = timers.made
  repeat
    core.hold()  -- who paused it in this turn holds timers, too
    local timer = timers:due(time, made)
    if timer then
      timer:fire(time)
      loop.run_ready()
    end
  until not timer
  return true
end

-- A call of `fn` that is to come; keeps the isolate alive until then. May be
-- a to-be-closed variable.
local Call = {}
Call.__index = Call

-- If `fn` raises for lack of memory, it is called again at the next turn.
function Call:fire()
  self.fn()
  self:cancel()
end

function Call:cancel()
  if timers:remove(self) then core.alive(-1) end
end

Call.__close = Call.cancel

--- Calls `fn()`, no code of the user's, after `seconds`.
function clock.after(seconds, fn)
  local call = setmetatable({ fn = fn }, Call)
  timers:add(call, now() + seconds)
  core.alive(1)
  return call
end

--- Waits as `await` does.
---@param seconds number
function clock.sleep(seconds)
  errors.check_number(seconds, 1, "sleep", true)
  loop.wait(loop.waiter(), seconds)
end

return clock
