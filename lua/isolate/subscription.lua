--- Subscriptions: one who listens to a stream.

local math, setmetatable = math, setmetatable
local errors = require "isolate.errors"
local loop = require "isolate.loop"

local subscription = {}

---@class isolate.Subscription
local Subscription = { __name = "isolate.Subscription", __transfer = false }
Subscription.__index = Subscription

local function check_subscription(self, name)
  if getmetatable(self) ~= Subscription then errors.bad_self("Subscription", self, name, 3) end
end

--- Values wait in the stream until each pause was followed by a `resume`.
function Subscription:pause()
  check_subscription(self, "pause")
  self.pauses = self.pauses + 1
  self.paused = true
  self.changed()
end

function Subscription:resume()
  check_subscription(self, "resume")
  self.pauses = math.max(0, self.pauses - 1)
  self.paused = self.pauses > 0
  if not self.paused then self.changed() end
end

--- Closes the stream; `on_done` does not follow.
function Subscription:cancel()
  check_subscription(self, "cancel")
  self.on_done = nil
  self.stream:close()
  self.changed()
end

-- For the stream: it is closed. `on_done` follows, unless it is cancelled before.
function Subscription:tell_done()
  loop.ready(function()
    local on_done = self.on_done
    if on_done then loop.start(loop.uncaught, on_done) end
  end)
end

-- For the stream: calls the handler with a value, as a task.
function Subscription:give(value) loop.start(loop.uncaught, self.on_message, value) end

--- A subscription to the stream `of`; `changed()` is called when it is paused,
-- when it is no longer, and when it is cancelled.
function subscription.new(of, on_message, opts, changed)
  return setmetatable({
    stream = of, on_message = on_message, on_done = opts.on_done,
    pauses = 0, changed = changed,
  }, Subscription)
end

--- One consumer has a stream, and what that is made from (nil: not any more). A
-- broadcast is for all.
function subscription.claim(of, claimed)
  while of and not of.taps do
    of.claimed = claimed
    of = of.source
  end
end

--- Checks the arguments of `listen`, and returns its options.
function subscription.check(on_message, opts)
  errors.check_function(on_message, 1, "listen", false, 4)
  if opts == nil then return {} end
  local options = require "isolate.options"
  opts = options.check(opts, 2, "listen", { on_done = options.callback }, 3)
  return opts
end

return subscription
