--- Ports: where messages arrive. A port is an id in its isolate's one mailbox;
-- the loop hands each message to the object here that has the id.

local string, table, math = string, table, math
local core = require "isolate.core"
local errors = require "isolate.errors"
local future = require "isolate.future"
local loop = require "isolate.loop"

local expected = errors.expected

local ports = core.ports

local port = {}

------------------------------------------------------------------------------
-- What all kinds have in common

-- Opens a port for `self`: messages come to `self:deliver(ok, message)`.
local function open(self)
  local send_port, id = core.port()
  rawset(self, "send_port", send_port)
  rawset(self, "id", id)
  ports[id] = self
  loop.alive = loop.alive + 1
  return self
end

-- Closes it; false if it was closed.
local function close(self)
  if ports[self.id] ~= self then return false end
  ports[self.id] = nil
  if self.keep_alive ~= false then loop.alive = loop.alive - 1 end
  return true
end

local Private = { __index = { close = close }, __close = close }

--- A port for one purpose: `deliver(self, ok, ...)` gets its messages. Has
-- `send_port` and `close()`.
function port.private(deliver)
  return open(setmetatable({ deliver = deliver }, Private))
end

-- A message could not be built: an uncaught error that names the port.
local function undeliverable(self, value)
  local name = self.name and ("port '" .. self.name .. "'") or "a port"
  loop.uncaught("a message to " .. name .. " could not be received: " .. errors.message(value))
end

local function uncaught(value, traceback) loop.uncaught(value, traceback) end

local function check_self(self, class, name)
  if getmetatable(self) ~= class then
    expected(string.sub(class.__name, 9), self, 1, name, 3)
  end
end

------------------------------------------------------------------------------
-- RawReceivePort

---@class isolate.RawReceivePort
---@field send_port isolate.SendPort
---@field handler function?    called as a task for each message; may be set at any time
---@field keep_alive boolean   does this port keep its isolate alive? (default true)
local RawReceivePort = { __name = "isolate.RawReceivePort", __transfer = false }

function RawReceivePort.__index(self, key)
  if key == "keep_alive" then return rawget(self, "alive") end
  if key == "handler" then return rawget(self, "on_message") end
  return RawReceivePort[key]
end

function RawReceivePort:__newindex(key, value)
  if key == "keep_alive" then
    if type(value) ~= "boolean" then
      error("keep_alive is true or false, not a " .. type(value), 2)
    end
    if ports[self.id] == self and value ~= self.alive then
      loop.alive = loop.alive + (value and 1 or -1)
    end
    rawset(self, "alive", value)
  elseif key == "handler" then
    future.check_function(value, 1, "handler", true)
    rawset(self, "on_message", value)
  else
    error("a RawReceivePort has no field '" .. tostring(key) .. "' to be set", 2)
  end
end

function RawReceivePort:deliver(ok, message)
  if not ok then return undeliverable(self, message) end
  local handler = rawget(self, "on_message")
  if handler then loop.start(uncaught, handler, message) end
end

--- Later messages are dropped, and the handler is never called again. Closing
-- twice is fine.
function RawReceivePort:close()
  check_self(self, RawReceivePort, "close")
  local taken = rawget(self, "taken")
  if taken then taken:close() else close(self) end
end

RawReceivePort.__close = RawReceivePort.close

--- A port with one handler, which may be set at any time. A message that finds
-- none is lost.
---@param handler function?
---@return isolate.RawReceivePort
function port.RawReceivePort(handler)
  future.check_function(handler, 1, "RawReceivePort", true)
  local self = setmetatable({ alive = true }, RawReceivePort)
  rawset(self, "on_message", handler)
  return open(self)
end

------------------------------------------------------------------------------
-- Subscriptions

---@class isolate.Subscription
local Subscription = { __name = "isolate.Subscription", __transfer = false }
Subscription.__index = Subscription

--- Messages wait in the port until each pause was followed by a `resume`.
function Subscription:pause()
  self.pauses = self.pauses + 1
  self.paused = true
end

function Subscription:resume()
  self.pauses = math.max(0, self.pauses - 1)
  self.paused = self.pauses > 0
  if not self.paused then self.port:pump() end
end

--- Closes the port; `on_done` does not follow.
function Subscription:cancel()
  self.on_done = nil
  self.port:close()
end

------------------------------------------------------------------------------
-- ReceivePort

---@class isolate.ReceivePort
---@field send_port isolate.SendPort
---@field name string?
local ReceivePort = { __name = "isolate.ReceivePort", __transfer = false }
ReceivePort.__index = ReceivePort

local function receive_port(name)
  return setmetatable({
    name = name,
    first_message = 1, last_message = 0,  -- of those that wait, in `self`'s queue
    queue = {},
  }, ReceivePort)
end

--- A port whose messages wait in it until somebody asks.
---@param name string?  for error messages
---@return isolate.ReceivePort
function port.ReceivePort(name)
  if name ~= nil and type(name) ~= "string" then
    expected("string", name, 1, "ReceivePort", 2)
  end
  return open(receive_port(name))
end

--- Takes a raw port over, with its SendPorts; no later message is lost.
---@param raw isolate.RawReceivePort
---@return isolate.ReceivePort
local function from_raw(raw)
  if getmetatable(raw) ~= RawReceivePort then
    expected("RawReceivePort", raw, 1, "from_raw", 2)
  end
  if ports[raw.id] ~= raw then
    error("from_raw: the port is closed, or was taken over already", 2)
  end
  local self = receive_port()
  self.send_port, self.id, self.keep_alive = raw.send_port, raw.id, raw.keep_alive
  ports[self.id] = self
  rawset(raw, "taken", self)
  return self
end

local function push(self, message)
  self.last_message = self.last_message + 1
  self.queue[self.last_message] = message
end

local function pop(self)
  local i = self.first_message
  local message = self.queue[i]
  self.queue[i] = nil
  self.first_message = i + 1
  return message
end

local function has_messages(self) return self.first_message <= self.last_message end

-- The waiter that came first and still waits.
local function next_waiter(self)
  local waiters = self.waiters
  while waiters and waiters[1] do
    local waiter = table.remove(waiters, 1)
    if not waiter.done then return waiter end
  end
end

function ReceivePort:deliver(ok, message)
  if not ok then return undeliverable(self, message) end
  local subscription = self.subscription
  if subscription then
    if subscription.paused or has_messages(self) then
      push(self, message)
    else
      loop.start(uncaught, subscription.on_message, message)
    end
    return
  end
  local waiter = next_waiter(self)
  if waiter then
    waiter.got, waiter.message = true, message
    loop.wake(waiter)
  else
    push(self, message)
  end
end

-- Gives the messages that wait to the subscription, one task each.
function ReceivePort:pump()
  local subscription = self.subscription
  while has_messages(self) and not subscription.paused do
    loop.start(uncaught, subscription.on_message, pop(self))
  end
end

local function check_free(self, name)
  core.check()
  check_self(self, ReceivePort, name)
  if self.subscription then
    error("bad use of '" .. name .. "': somebody listens to this port already", 3)
  end
end

-- The port is closed: `on_done` follows, unless it is cancelled before.
local function tell_done(subscription)
  loop.ready(function()
    local on_done = subscription.on_done
    if on_done then loop.start(uncaught, on_done) end
  end)
end

local function subscribe(self, on_message, on_done)
  local subscription = setmetatable(
    { port = self, on_message = on_message, on_done = on_done, pauses = 0 }, Subscription)
  self.subscription, self.on_message = subscription, on_message
  if self.closed then
    tell_done(subscription)
  elseif has_messages(self) then
    loop.ready(function() self:pump() end)
  end
  return subscription
end

--- Calls `on_message(message)` as a task for each message, until the port is
-- closed; the next message does not wait for it to end. Once per port.
---@param on_message function
---@param opts {on_done: function?}?  `on_done()` follows the port's close
---@return isolate.Subscription
function ReceivePort:listen(on_message, opts)
  check_free(self, "listen")
  future.check_function(on_message, 1, "listen")
  if opts ~= nil and type(opts) ~= "table" then
    expected("table", opts, 2, "listen", 2)
  end
  for key in pairs(opts or {}) do
    if key ~= "on_done" then
      error("bad argument #2 to 'listen' (unknown option '" .. tostring(key) .. "')", 2)
    end
  end
  local on_done = opts and opts.on_done
  if on_done ~= nil and type(on_done) ~= "function" then
    error("bad argument #2 to 'listen' (option 'on_done': function expected, got "
      .. type(on_done) .. ")", 2)
  end
  return subscribe(self, on_message, on_done)
end

--- The first message, as a Future; the port is closed then. Fails with a
-- ClosedError if the port is closed before.
---@return isolate.Future
function ReceivePort:first()
  check_free(self, "first")
  local result = future.new()
  local function closed()
    if not result.done then
      future.fail(result, errors.ClosedError "the port was closed before a message came")
    end
  end
  if self.closed then
    closed()
    return result
  end
  local subscription
  subscription = subscribe(self, function(message)
    subscription.paused = true
    if result.done then return end
    future.complete(result, message)
    subscription:cancel()
    self.subscription = nil
  end, closed)
  result.on_cancel = function() self:close() end
  return result
end

-- One who waits for a message. When an error ends the wait (that of a timer, in
-- the main isolate), nothing is given to it afterwards, and what it was given
-- goes back.
local Waiter = {}

function Waiter:__close(problem)
  self.done = true
  if problem ~= nil and self.got then
    local from = self.port
    from.first_message = from.first_message - 1
    from.queue[from.first_message] = self.message
  end
end

-- Waits for a message: true and it, or false and why there is none.
local function receive(self, timeout)
  if has_messages(self) then return true, pop(self) end
  if self.closed then return false, "closed" end
  local waiter <close> = setmetatable({ port = self }, Waiter)
  local waiters = self.waiters
  if waiters then waiters[#waiters + 1] = waiter else self.waiters = { waiter } end
  local over = future.wait(waiter, timeout)
  if waiter.got then return true, waiter.message end
  if waiter.timed_out then return false, "timeout" end
  if not over then error("nothing can come to this port", 3) end
  return false, "closed"
end

--- Waits for the next message, as `await` does. Returns it; or nil, "timeout";
-- or nil, "closed". Those who wait are served in the order they came.
---@param timeout number?  seconds; 0 takes what is there
---@return any message, string? why
function ReceivePort:receive(timeout)
  check_free(self, "receive")
  future.check_number(timeout, 1, "receive")
  local got, message = receive(self, timeout)
  if got then return message end
  return nil, message
end

--- `for i, message in port:messages() do`, until the port is closed; `i` counts
-- from 1, so that nil messages pass. Leaving the loop leaves the port open.
function ReceivePort:messages()
  check_free(self, "messages")
  return function(_, i)
    local got, message = receive(self)
    if got then return i + 1, message end
  end, nil, 0
end

--- No more messages: those that wait are dropped, whoever waits is told, and
-- `on_done` follows. Closing twice is fine.
function ReceivePort:close()
  check_self(self, ReceivePort, "close")
  if not close(self) then return end
  self.closed = true
  self.queue, self.first_message, self.last_message = {}, 1, 0
  local waiter = next_waiter(self)
  while waiter do
    loop.wake(waiter)
    waiter = next_waiter(self)
  end
  if self.subscription then tell_done(self.subscription) end
end

ReceivePort.__close = ReceivePort.close

port.from_raw = from_raw

return port
