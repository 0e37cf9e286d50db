--- Listening to a port, or to another buffer: what an isolate needs that only listens.
-- Its loop comes when there is more to do than to call handlers, see boot.c.

local setmetatable, type = setmetatable, type
local core = require "isolate.core"

local listen = {}

---@class isolate.Subscription
---@field pause fun(self)   values wait in the stream until each was followed by a `resume`
---@field resume fun(self)
---@field cancel fun(self)  closes the stream; `on_done` does not follow
local Subscription = core.late { __name = "isolate.Subscription", __transfer = false }

--- A subscription to a stream, which is told by its method `changed` when that is
-- paused, when it is no longer, and when it is cancelled.
function listen.new(of, on_message, opts)
  return setmetatable({
    stream = of, on_message = on_message, on_done = opts and opts.on_done,
    pauses = 0, paused = false,
  }, Subscription)
end

--- One consumer has a stream, and what that is made from (nil: not any more). A
-- broadcast is for all.
function listen.claim(of, claimed)
  while of and not of.taps do
    of.claimed = claimed
    of = of.source
  end
end

--- Checks the arguments of `listen`, and returns its options or nil.
function listen.check(on_message, opts)
  if type(on_message) ~= "function" then
    require "isolate.errors".check_function(on_message, 1, "listen", false, 4)
  end
  if opts == nil then return nil end
  local options = require "isolate.options"
  opts = options.check(opts, 2, "listen", { on_done = options.callback }, 3)
  return opts
end

--- Of buffers: calls `on_message(value)` as a task for each value, without a task in
-- between, until the buffer is closed. Once per stream.
---@param on_message function
---@param opts {on_done: function?}?  `on_done()` follows the close
---@return isolate.Subscription
function listen:listen(on_message, opts)
  core.check_free(self, "listen")
  opts = listen.check(on_message, opts)
  local to = listen.new(self, on_message, opts)
  self.subscription = to
  listen.claim(self, true)
  if self.closed then
    to:tell_done()
  elseif self.first_value <= self.last_value then
    require "isolate.loop".ready(function() self:changed() end)
  else
    self:pass_to(on_message)
  end
  return to
end

return listen
