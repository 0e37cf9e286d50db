--- Broadcasts: what is sent under a name is heard by all who listen to it, in
-- any isolate.

local core = require "isolate.core"
local errors = require "isolate.errors"

local PREFIX = "broadcast "

---@class isolate.Broadcast
---@field name string
local Broadcast = { __name = "isolate.Broadcast" }
Broadcast.__index = Broadcast

local function check_self(self, name)
  if getmetatable(self) ~= Broadcast then errors.bad_self("Broadcast", self, name, 3) end
  if self.closed then error("this Broadcast is closed", 3) end
end

--- The broadcast of that name: who makes another of it, in any isolate, hears the same.
---@param name string
---@return isolate.Broadcast
local function new(name)
  errors.check_string(name, 1, "Broadcast")
  return setmetatable({ name = name, closed = false,
    subscriptions = setmetatable({}, { __mode = "k" }) }, Broadcast)
end

function Broadcast:__transfer() return new, self.name end

--- Sends `message` to all who listen now, this isolate included. It is packed
-- once. What cannot be sent raises, and nobody hears anything.
---@param message any
function Broadcast:send(message)
  check_self(self, "send")
  local ok, why = pcall(core.name_post, PREFIX .. self.name, message)
  core.check()
  if not ok then errors.rethrow(why, 3) end
end

local function subscribe(self, inbox, on_message)
  local subscription = inbox:listen(on_message)
  self.subscriptions[subscription] = true
  core.name_add(PREFIX .. self.name, inbox.send_port)
  return subscription
end

--- Calls `on_message(message)` as a task for each message sent from now on; keeps
-- this isolate alive until it is cancelled.
---@param on_message function
---@return isolate.Subscription
function Broadcast:listen(on_message)
  check_self(self, "listen")
  errors.check_function(on_message, 1, "listen")
  local inbox = core.ReceivePort(self.name)
  local ok, subscription = pcall(subscribe, self, inbox, on_message)
  if ok then return subscription end
  inbox:close()
  error(subscription, 0)
end

--- Cancels what was listened to through this object. Closing twice is fine.
function Broadcast:close()
  if getmetatable(self) ~= Broadcast then errors.bad_self("Broadcast", self, "close", 2) end
  self.closed = true
  for subscription in pairs(self.subscriptions) do subscription:cancel() end
end

Broadcast.__close = Broadcast.close

return setmetatable({ new = new }, { __call = function(_, ...) return new(...) end })
