--- Channels: bounded queues between isolates, with many senders and receivers.
-- What waits for one registers there, is told by a number that comes to this
-- isolate's bell, and tries again.

local math = math
local core = require "isolate.core"
local errors = require "isolate.errors"
local loop = require "isolate.loop"
local private_port = require "isolate.private_port"

local expected = errors.expected
local now = core.now

local DEFAULT_CAPACITY = 1024

---@class isolate.Channel
local Channel = { __name = "isolate.Channel" }
Channel.__index = Channel

local channel = { Channel = Channel }

------------------------------------------------------------------------------
-- Waiting

local waiters, last = {}, 0     -- number -> who waits

local bell = private_port.new(function(_, _, number)
  local waiter = waiters[number]
  if waiter then loop.wake(waiter) end
end)
bell:unref()

-- A wait that another isolate can end keeps this one alive.
local Waiter = {}

function Waiter:__close()
  waiters[self.number] = nil
  core.alive(-1)
end

--- A new waiter, to be closed: `core.channel_wait` wakes it by its number.
function channel.waiter()
  last = last + 1
  local waiter = setmetatable(loop.waiter(), Waiter)
  waiter.number = last
  waiters[last] = waiter
  core.alive(1)
  return waiter
end

-- Its place among those that wait for something in a channel (or for room).
local function place_of(raw, for_room, waiter)
  return core.channel_waiter(raw, for_room, bell.id, waiter.number)
end

--- Registers the waiter with a channel: a to-be-closed value, or nil if there is
-- something now.
function channel.register(raw, waiter)
  local place = place_of(raw, false, waiter)
  if core.channel_wait(place) then return place end
end

-- Waits until there is something (or room), tries `attempt(raw, what)`, and again,
-- until that returns something, which is returned; or nil, "timeout".
local function wait(raw, for_room, deadline, attempt, what)
  local waiter <close> = channel.waiter()
  local place <close> = place_of(raw, for_room, waiter)
  while true do
    local left = deadline and math.max(0, deadline - now())
    if left == 0 then return nil, "timeout" end
    if core.channel_wait(place) then
      waiter.done = nil
      loop.wait(waiter, left)
    end
    local result, value = attempt(raw, what)
    if result ~= nil then return result, value end
  end
end

--- Sends what found no room, when there is: true; false if the channel is closed;
-- or nil, "timeout".
function channel.send_parcel(raw, parcel, deadline)
  return wait(raw, true, deadline, core.channel_retry, parcel)
end

------------------------------------------------------------------------------
-- Channels

local known = setmetatable({}, { __mode = "v" })  -- id -> the object of this isolate

--- The object for what the core made.
function channel.of(raw)
  local _, id = core.channel_count(raw)
  local self = known[id]
  if not self then
    self = setmetatable({ raw = raw, id = id }, Channel)
    known[id] = self
  end
  return self
end

function Channel:__transfer() return channel.of, self.raw end

function Channel.__eq(a, b) return getmetatable(a) == getmetatable(b) and a.id == b.id end

function Channel:__tostring() return "isolate.Channel: " .. self.id end

local function check_self(self, name)
  core.check()
  if getmetatable(self) ~= Channel then errors.bad_self("Channel", self, name, 3) end
end

local function deadline_of(timeout) return timeout and now() + timeout end

--- Sends a copy of `message`, and waits, as `await` does, while the channel is
-- full. Raises for what cannot be sent.
---@param message any
---@param timeout number?  seconds; 0 does not wait
---@return boolean? sent, string? why  true; or nil, "timeout"; or nil, "closed"
function Channel:send(message, timeout)
  check_self(self, "send")
  errors.check_number(timeout, 2, "send")
  local ok, sent = pcall(core.channel_send, self.raw, "message", 0, 0, message)
  core.check()
  if not ok then errors.rethrow(sent, 3) end
  if type(sent) == "userdata" then
    local why
    sent, why = channel.send_parcel(self.raw, sent, deadline_of(timeout))
    if sent == nil then return nil, why end
  end
  if sent then return true end
  return nil, "closed"
end

-- What `core.channel_take` returned: true and the message; false, "closed"; or nil.
local function taken(id, ok, ...)
  if id == nil then
    if ok then return false, "closed" end
    return nil
  end
  if not ok then
    error("a message of a channel could not be received: " .. errors.message((...)), 0)
  end
  return true, (...)
end

local function take(raw) return taken(core.channel_take(raw)) end

--- Takes what is there: true and it; or false, and whether it is closed.
function channel.try(raw)
  local got, message = take(raw)
  if got then return true, message end
  return false, got == false
end

-- true and a message; or false or nil, and why: "timeout", "closed".
local function receive(raw, timeout)
  local deadline = deadline_of(timeout)
  local got, message = take(raw)
  if got == nil then return wait(raw, false, deadline, take) end
  return got, message
end

--- Waits for the next message, as `await` does. A closed channel gives what is in
-- it first.
---@param timeout number?  seconds; 0 takes what is there
---@return any message, string? why  or nil, "timeout"; or nil, "closed"
function Channel:receive(timeout)
  check_self(self, "receive")
  errors.check_number(timeout, 1, "receive")
  local got, message = receive(self.raw, timeout)
  if got then return message end
  return nil, message
end

--- `for i, message in channel:messages() do`, until it is closed and empty; `i`
-- counts from 1.
---@return fun(): integer?, any
function Channel:messages()
  check_self(self, "messages")
  local i = 0
  return function()
    local got, message = receive(self.raw)
    i = i + 1
    if got then return i, message end
  end
end

--- Nothing more can be sent; what is there can be received. Closing twice is fine.
function Channel:close()
  check_self(self, "close")
  core.channel_close(self.raw)
end

Channel.__close = Channel.close

--- A channel that holds up to `capacity` messages.
---@param capacity integer?  default 1,024
---@return isolate.Channel
local function new(capacity)
  if capacity == nil then capacity = DEFAULT_CAPACITY end
  local count = math.tointeger(capacity)
  if type(capacity) ~= "number" then expected("number", capacity, 1, "Channel", 2) end
  if not count or count < 1 then
    error("bad argument #1 to 'Channel' (an integer of 1 or more expected, got "
      .. tostring(capacity) .. ")", 2)
  end
  return channel.of(core.channel(count))
end

return setmetatable(channel, { __call = function(_, ...) return new(...) end })
