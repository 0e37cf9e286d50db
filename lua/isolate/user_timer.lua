--- Isolate.Timer: a function called later, once or again and again.

local math = math
local core = require "isolate.core"
local clock = require "isolate.clock"
local errors = require "isolate.errors"
local loop = require "isolate.loop"

local timers = clock.timers

---@class isolate.Timer
---@field tick integer  how often it was due
local Timer = { __name = "isolate.Timer", __transfer = false }
Timer.__index = Timer

-- Missed ticks of a periodic timer are counted, not made up for, as in Dart.
function Timer:fire(time)
  local period = self.period
  if period then
    local late = time - self.deadline
    local missed = period > 0 and late // period or 0
    self.tick = self.tick + 1 + math.tointeger(missed)
    timers:move(self, self.deadline + (missed + 1) * period)
  else
    self.tick = 1
    self:cancel()
  end
  loop.start(loop.uncaught, self.fn, self)
end

local function check_self(self, name)
  if getmetatable(self) ~= Timer then errors.bad_self("Timer", self, name, 3) end
end

--- Takes it back; twice is fine.
function Timer:cancel()
  check_self(self, "cancel")
  if not self.active then return end
  timers:remove(self)
  self.active = false
  core.alive(-1)
end

--- Is it still to come?
---@return boolean
function Timer:is_active()
  check_self(self, "is_active")
  return self.active
end

local function make(seconds, fn, periodic, name)
  errors.check_number(seconds, 1, name, true)
  errors.check_function(fn, 2, name)
  seconds = math.max(0, seconds)
  local self = setmetatable({ fn = fn, active = true, tick = 0 }, Timer)
  if periodic then self.period = seconds < 1e-9 and 0 or seconds end  -- no clock has less
  timers:add(self, core.now() + seconds)
  core.alive(1)
  return self
end

--- Isolate.Timer(seconds, fn) calls `fn(timer)` once, Isolate.Timer.periodic
-- again and again; as tasks. An active timer keeps its isolate alive. Less than 0
-- seconds are 0.
---@overload fun(seconds: number, fn: fun(timer: isolate.Timer)): isolate.Timer
return setmetatable({
  periodic = function(seconds, fn) return make(seconds, fn, true, "periodic") end,
}, {
  __call = function(_, seconds, fn) return make(seconds, fn, false, "Timer") end,
})
