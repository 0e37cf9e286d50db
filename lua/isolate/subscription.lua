--- What subscriptions can do, see listen.lua.

local math = math
local listen = require "isolate.listen"
local loop = require "isolate.loop"

local Subscription = getmetatable(listen.new())

local methods = {}

local function check_subscription(self, name)
  if getmetatable(self) ~= Subscription then
    require "isolate.errors".bad_self("Subscription", self, name, 3)
  end
end

function methods:pause()
  check_subscription(self, "pause")
  self.pauses = self.pauses + 1
  self.paused = true
  self.stream:changed()
end

function methods:resume()
  check_subscription(self, "resume")
  self.pauses = math.max(0, self.pauses - 1)
  self.paused = self.pauses > 0
  if not self.paused then self.stream:changed() end
end

function methods:cancel()
  check_subscription(self, "cancel")
  self.on_done = nil
  self.stream:close()
  self.stream:changed()
end

--- For the stream: it is closed. `on_done` follows, unless it is cancelled before.
function methods:tell_done()
  loop.ready(function()
    local on_done = self.on_done
    if on_done then loop.start(loop.uncaught, on_done) end
  end)
end

--- For the stream: calls the handler with a value, as a task.
function methods:give(value) loop.start(loop.uncaught, self.on_message, value) end

return methods
